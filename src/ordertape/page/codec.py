"""The page's binary frames, written and read; the reader is for tests and for whoever follows a
page's socket from Python.  Little-endian; prices and sizes are integers at the market's scales."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from ordertape.page.numbers import read_varint, read_zigzag, varint, zigzag

__all__ = [
    "GAP_CODE",
    "KEY",
    "Content",
    "FrameType",
    "Gap",
    "Header",
    "HeatDelta",
    "HeatKey",
    "Ladder",
    "Level",
    "Queue",
    "QueueLevel",
    "Trade",
    "Trades",
    "decode",
    "encode",
    "encode_body",
    "encode_header",
]

VERSION = 1
KEY = 1
"""Flag of a header: what follows builds on nothing before it."""
GAP_CODE = 255
_HEADER = struct.Struct("<BBHIQII")
_HEAT_KEY = struct.Struct("<qIB3xqqq")
_PRICES = struct.Struct("<qqq")
_GAP = struct.Struct("<QQH")


class FrameType(IntEnum):
    HEAT_KEY = 1
    HEAT_DELTA = 2
    GAP = 3
    LADDER = 4
    QUEUE = 5
    TRADES = 6


@dataclass(frozen=True, slots=True)
class Header:
    stream: int
    seq: int
    t_us: int
    """Microseconds since 1970 of our clock."""
    epoch: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class HeatKey:
    """A whole column; prices in price units, NULL where there is none."""

    base_row: int
    lod: int
    bid: int
    ask: int
    last: int
    codes: bytes


@dataclass(frozen=True, slots=True)
class HeatDelta:
    bid: int
    ask: int
    last: int
    codes: tuple[tuple[int, int], ...]
    """(row index from the key's base, code), rows rising."""


@dataclass(frozen=True, slots=True)
class Gap:
    from_us: int
    to_us: int
    """0: it goes on."""
    reason: str


@dataclass(frozen=True, slots=True)
class Level:
    price: int
    size: int
    orders: int


@dataclass(frozen=True, slots=True)
class Ladder:
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class QueueLevel:
    side: int
    price: int
    orders: int
    shown: tuple[tuple[int, int], ...]
    """(handle, size), front first."""


@dataclass(frozen=True, slots=True)
class Queue:
    levels: tuple[QueueLevel, ...]


@dataclass(frozen=True, slots=True)
class Trade:
    price: int
    size: int
    taker_side: int
    """0 buys, 1 sells, 2 unknown."""
    behind_us: int


@dataclass(frozen=True, slots=True)
class Trades:
    trades: tuple[Trade, ...]


Content: TypeAlias = HeatKey | HeatDelta | Gap | Ladder | Queue | Trades


def encode(header: Header, content: Content) -> bytes:
    kind, body = encode_body(content)
    return encode_header(header, kind) + body


def encode_header(header: Header, kind: FrameType) -> bytes:
    """What differs between readers of the same content."""
    return _HEADER.pack(
        VERSION, kind, header.stream, header.seq, header.t_us, header.epoch, header.flags
    )


def encode_body(content: Content) -> tuple[FrameType, bytes]:
    """What all readers of the same content share."""
    match content:
        case HeatKey(base_row, lod, bid, ask, last, codes):
            head = _HEAT_KEY.pack(base_row, len(codes), lod, bid, ask, last)
            return FrameType.HEAT_KEY, head + codes
        case HeatDelta(bid, ask, last, changed):
            return FrameType.HEAT_DELTA, _PRICES.pack(bid, ask, last) + _sparse(changed)
        case Gap(from_us, to_us, reason):
            text = reason.encode()[:65_535]
            return FrameType.GAP, _GAP.pack(from_us, to_us, len(text)) + text
        case Ladder(bids, asks):
            return FrameType.LADDER, _levels(bids) + _levels(asks)
        case Queue(levels):
            return FrameType.QUEUE, _queue(levels)
        case Trades(trades):
            return FrameType.TRADES, _trades(trades)


def _sparse(changed: Iterable[tuple[int, int]]) -> bytes:
    out, before = bytearray(), -1
    for row, code in changed:
        out += varint(row - before)
        out.append(code)
        before = row
    return bytes(out)


def _levels(levels: Sequence[Level]) -> bytes:
    out, before = bytearray(varint(len(levels))), 0
    for level in levels:
        out += zigzag(level.price - before) + varint(level.size) + varint(level.orders)
        before = level.price
    return bytes(out)


def _queue(levels: Sequence[QueueLevel]) -> bytes:
    out, before = bytearray(varint(len(levels))), 0
    for level in levels:
        out.append(level.side)
        out += zigzag(level.price - before) + varint(level.orders) + varint(len(level.shown))
        for handle, size in level.shown:
            out += varint(handle) + varint(size)
        before = level.price
    return bytes(out)


def _trades(trades: Sequence[Trade]) -> bytes:
    out, before = bytearray(varint(len(trades))), 0
    for trade in trades:
        out += zigzag(trade.price - before) + varint(trade.size)
        out.append(trade.taker_side)
        out += varint(trade.behind_us)
        before = trade.price
    return bytes(out)


def decode(frame: bytes) -> tuple[Header, Content]:
    """ValueError: it is no such frame, in one sentence."""
    if len(frame) < _HEADER.size:
        raise ValueError(f"expected a frame of {_HEADER.size} bytes or more, found {len(frame)}")
    version, kind, stream, seq, t_us, epoch, flags = _HEADER.unpack_from(frame)
    if version != VERSION or kind not in _READERS:
        raise ValueError(f"expected a frame of version {VERSION}, found {version}, type {kind}")
    try:
        content = _READERS[kind](memoryview(frame)[_HEADER.size :])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"a frame of type {kind} is cut or wrong: {error}") from error
    return Header(stream, seq, t_us, epoch, flags), content


def _read_heat_key(body: memoryview) -> HeatKey:
    base_row, rows, lod, bid, ask, last = _HEAT_KEY.unpack_from(body)
    codes = bytes(body[_HEAT_KEY.size :])
    if len(codes) != rows:
        raise ValueError(f"expected {rows} codes, found {len(codes)}")
    return HeatKey(base_row, lod, bid, ask, last, codes)


def _read_heat_delta(body: memoryview) -> HeatDelta:
    bid, ask, last = _PRICES.unpack_from(body)
    at, row, changed = _PRICES.size, -1, []
    while at < len(body):
        gap, at = read_varint(body, at)
        row += gap
        changed.append((row, body[at]))
        at += 1
    return HeatDelta(bid, ask, last, tuple(changed))


def _read_gap(body: memoryview) -> Gap:
    from_us, to_us, length = _GAP.unpack_from(body)
    reason = bytes(body[_GAP.size :])
    if len(reason) != length:
        raise ValueError(f"expected a reason of {length} bytes, found {len(reason)}")
    return Gap(from_us, to_us, reason.decode())


def _read_levels(body: memoryview, at: int) -> tuple[tuple[Level, ...], int]:
    count, at = read_varint(body, at)
    levels, price = [], 0
    for _ in range(count):
        step, at = read_zigzag(body, at)
        price += step
        size, at = read_varint(body, at)
        orders, at = read_varint(body, at)
        levels.append(Level(price, size, orders))
    return tuple(levels), at


def _read_ladder(body: memoryview) -> Ladder:
    bids, at = _read_levels(body, 0)
    return Ladder(bids, _read_levels(body, at)[0])


def _read_queue(body: memoryview) -> Queue:
    count, at = read_varint(body, 0)
    levels, price = [], 0
    for _ in range(count):
        side = body[at]
        step, at = read_zigzag(body, at + 1)
        price += step
        orders, at = read_varint(body, at)
        shown, at = read_varint(body, at)
        places = []
        for _ in range(shown):
            handle, at = read_varint(body, at)
            size, at = read_varint(body, at)
            places.append((handle, size))
        levels.append(QueueLevel(side, price, orders, tuple(places)))
    return Queue(tuple(levels))


def _read_trades(body: memoryview) -> Trades:
    count, at = read_varint(body, 0)
    trades, price = [], 0
    for _ in range(count):
        step, at = read_zigzag(body, at)
        price += step
        size, at = read_varint(body, at)
        side = body[at]
        behind, at = read_varint(body, at + 1)
        trades.append(Trade(price, size, side, behind))
    return Trades(tuple(trades))


_READERS: dict[int, Callable[[memoryview], Content]] = {
    FrameType.HEAT_KEY: _read_heat_key,
    FrameType.HEAT_DELTA: _read_heat_delta,
    FrameType.GAP: _read_gap,
    FrameType.LADDER: _read_ladder,
    FrameType.QUEUE: _read_queue,
    FrameType.TRADES: _read_trades,
}
