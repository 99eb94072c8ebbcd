"""Bitfinex's words: its symbols, its codes and flags, the shapes of its frames.

Sources: docs.bitfinex.com "WebSocket: general", "raw books", "trades"; SEQ_ALL and TIMESTAMP as the
official clients use them.  Frames are decoded as positional structs, since arrays may gain
trailing fields without notice; numbers stay the venue's own text (``Raw``), only the engine reads
them.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from ordertape.venues.texts import is_number, shown

__all__ = [
    "Arrival",
    "CommitRule",
    "Event",
    "Frame",
    "Order",
    "Trade",
    "commit_rule",
    "integer",
    "is_greeting",
    "is_number",
    "is_zero",
    "join",
    "native",
    "pair",
    "read_products",
    "rows",
    "shown",
]

# Flags and codes ----------------------------------------------------------------------------------
TIMESTAMP: Final = 32768
"""Every array ends in the server's milliseconds."""
SEQ_ALL: Final = 65536
"""Every array carries a sequence of its connection, before the time."""
OB_CHECKSUM: Final = 131072
"""A ``cs`` frame follows each iteration of a book."""
FLAGS: Final = TIMESTAMP | SEQ_ALL | OB_CHECKSUM


class CommitRule(Enum):
    """Where the statements about a book are complete: the best rule that the flags allow."""

    CHECKSUM = "at the checksum frame"
    TIME = "at a change of the venue's time"
    TURN = "at the turn from adds to deletes"


def commit_rule(flags: int) -> CommitRule:
    """The best rule with these flags."""
    if flags & OB_CHECKSUM:
        return CommitRule.CHECKSUM
    return CommitRule.TIME if flags & TIMESTAMP else CommitRule.TURN


INFO_RESTART: Final = 20051
INFO_MAINTENANCE: Final = 20060
INFO_MAINTENANCE_ENDED: Final = 20061
ERROR_UNKNOWN_EVENT: Final = 10000
ERROR_UNKNOWN_PAIR: Final = 10001
ERROR_SUBSCRIBE_FAILED: Final = 10300
ERROR_ALREADY_SUBSCRIBED: Final = 10301
ERROR_UNKNOWN_CHANNEL: Final = 10302
ERROR_CHANNEL_LIMIT: Final = 10305
ERROR_UNSUBSCRIBE_FAILED: Final = 10400
ERROR_NOT_SUBSCRIBED: Final = 10401

# Symbols ------------------------------------------------------------------------------------------
_OURS = {"UST": "USDT", "USTF0": "USDTF0"}
"""Codes that differ from ours: UST is Bitfinex's code of USDt.  USD stays USD."""
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_NATIVE = re.compile(r"t(?:([A-Z0-9]+):([A-Z0-9]+)|([A-Z0-9]{3})([A-Z0-9]{3}))")


def join(base: str, quote: str) -> str:
    """Our symbol of two currency codes, theirs or ours: ("BTC", "UST") is ``BTC/USDT``."""
    return f"{_OURS.get(base, base)}/{_OURS.get(quote, quote)}"


def native(text: str) -> str | None:
    """Our symbol of Bitfinex's own (``tBTCUST``, ``tAVAX:USD``), None where it isn't one."""
    found = _NATIVE.fullmatch(text)
    return join(found[1] or found[3], found[2] or found[4]) if found else None


def pair(symbol: str) -> str:
    """Bitfinex's form of our symbol; a colon stands where a code has not exactly three letters."""
    base, quote = (_THEIRS.get(code, code) for code in symbol.split("/"))
    return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"


def read_products(text: bytes) -> frozenset[str]:
    """Our symbols of ``/v2/conf/pub:list:pair:exchange`` (or ``:futures``): ``[["BTCUSD", …]]``.

    Raises msgspec.DecodeError where it is no such list; entries of another form are left out.
    """
    lists = msgspec.json.decode(text, type=list[list[str]])
    return frozenset(symbol for pairs in lists for name in pairs if (symbol := native(f"t{name}")))


# Frames -------------------------------------------------------------------------------------------
NOTHING: Final = Raw(b"")
_ZERO: Final = re.compile(rb"-?0(\.0+)?([eE][+-]?\d+)?")
ZERO: Final = Raw(b"0")
"""A price of 0 removes an order."""


class Order(Struct, array_like=True, gc=False):
    """``[id, price, amount]``: amount > 0 is a bid, < 0 an ask."""

    order_id: int
    price: Raw
    amount: Raw


class Frame(Struct, array_like=True, gc=False):
    """Any array: ``[channel, [rows…], tail…]``, ``[channel, "hb", tail…]``,
    ``[channel, "cs", checksum, tail…]``, ``[channel, "te", trade, tail…]``."""

    channel: int
    payload: Raw
    second: Raw = NOTHING
    third: Raw = NOTHING
    fourth: Raw = NOTHING


class Arrival(Struct, gc=False):
    """An array with its tail read: ``second`` is the field after the payload, ``time`` in ns."""

    text: bytes
    channel: int
    payload: bytes
    second: Raw
    ts_recv: int
    sequence: int | None
    time: int | None


class Trade(Struct, array_like=True, gc=False):
    """``[id, milliseconds, amount, price]``: amount > 0 where the taker bought."""

    trade_id: int
    milliseconds: int
    amount: Raw
    price: Raw


class Platform(Struct):
    """0 in ``status`` is maintenance."""

    status: int = 1


class Event(Struct):
    """Any object: the fields that we read of ``info``, ``conf``, ``subscribed``, ``error``, …"""

    event: str
    code: int | None = None
    msg: Any = None
    version: Any = None
    platform: Platform | None = None
    status: Any = None
    flags: int | None = None
    channel: str = ""
    chanId: int | None = None  # noqa: N815 - the venue's name
    symbol: str = ""
    prec: str = ""
    len: int | str | None = None


decode_frame = Decoder(Frame).decode
decode_order = Decoder(Order).decode
decode_orders = Decoder(list[Order]).decode
decode_trade = Decoder(Trade).decode
decode_trades = Decoder(list[Trade]).decode
decode_event = Decoder(Event).decode
_decode_integer = Decoder(int).decode


def integer(raw: Raw) -> int | None:
    """The integer of a field that may be absent; msgspec.DecodeError where it is something else."""
    return _decode_integer(raw) if len(raw) else None


def is_zero(number: Raw) -> bool:
    """Whether a number is nothing, however it is printed."""
    return _ZERO.fullmatch(bytes(number)) is not None


def rows(payload: bytes) -> list[Order]:
    """The orders of ``[[…], …]``, of ``[]`` or of the single ``[…]``."""
    if payload[1:].lstrip()[:1] in (b"[", b"]"):
        return decode_orders(payload)
    return [decode_order(payload)]


def is_greeting(text: bytes) -> bool:
    """``{"event":"info","version":2,…}``: the first frame of a connection."""
    if b'"info"' not in text or b'"version"' not in text:
        return False
    try:
        event = decode_event(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return event.event == "info" and event.version is not None and event.code is None
