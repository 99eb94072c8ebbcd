"""Coinbase Exchange on the wire: symbols, subscriptions, answers.  Messages are the engine's.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/overview", "channels", "errors",
"get-products".
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

__all__ = [
    "FEED",
    "HEARTBEAT",
    "Control",
    "book_path",
    "channels_of",
    "decode_control",
    "is_fatal",
    "is_subscriptions",
    "join",
    "native",
    "pair",
    "read_products",
    "subscribe",
]

FEED: Final = "full"
HEARTBEAT: Final = "heartbeat"

# Symbols ------------------------------------------------------------------------------------------
_NATIVE = re.compile(r"[A-Z0-9]+-[A-Z0-9]+")


def native(text: str) -> str | None:
    """The venue's own form is ours, too: ``BTC-USD``."""
    return text if _NATIVE.fullmatch(text) else None


def join(base: str, quote: str) -> str:
    return f"{base}-{quote}"


def pair(symbol: str) -> str:
    return symbol


class _Product(Struct):
    id: str
    status: str = ""


_decode_products = msgspec.json.Decoder(list[_Product]).decode


def read_products(text: bytes) -> frozenset[str]:
    """The ids of ``GET /products`` that are not delisted; msgspec.DecodeError where it is none."""
    listed = _decode_products(text)
    return frozenset(
        product.id for product in listed if product.status != "delisted" and native(product.id)
    )


def book_path(symbol: str) -> str:
    """The whole book ("get-product-book", level 3)."""
    return f"/products/{symbol}/book?level=3"


# Requests and answers -----------------------------------------------------------------------------


def subscribe(symbol: str, fields: dict[str, str]) -> bytes:
    """One product, named inside each channel: named beside them, a list is taken for empty."""
    channels = [{"name": name, "product_ids": [symbol]} for name in (FEED, HEARTBEAT)]
    return msgspec.json.encode({"type": "subscribe", "channels": channels, **fields})


class Control(Struct):
    """``subscriptions`` and ``error``."""

    type: str
    channels: Any = None
    message: Any = ""
    reason: Any = ""


decode_control = msgspec.json.Decoder(Control).decode


def channels_of(control: Control) -> set[tuple[str, str]]:
    """(channel, product) of everything that is subscribed."""
    found = set()
    for channel in control.channels if isinstance(control.channels, list) else ():
        if isinstance(channel, dict) and isinstance(channel.get("product_ids"), list):
            found |= {(str(channel.get("name")), str(name)) for name in channel["product_ids"]}
    return found


_FATAL = (
    "auth",
    "api key",
    "apikey",
    "passphrase",
    "signature",
    "timestamp",
    "not a valid product",
)


def is_fatal(error: str) -> bool:
    """Whether an error would come again: what it says of credentials and products stays so."""
    return any(word in error.lower() for word in _FATAL)


def is_subscriptions(text: bytes) -> bool:
    """The first message of a connection."""
    if b'"subscriptions"' not in text:
        return False
    try:
        return decode_control(text).type == "subscriptions"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
