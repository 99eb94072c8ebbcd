"""Coinbase Exchange: what it can prove, its symbols and requests.  Messages are the engine's.

Source: docs.cdp.coinbase.com, exchange, "websocket-feed/overview", "channels", "errors",
"get-products".
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

from ordertape.venues.capability import Capability

__all__ = [
    "CAPABILITY",
    "FEED",
    "HEARTBEAT",
    "book_path",
    "join",
    "native",
    "pair",
    "read_products",
    "subscribe",
]

CAPABILITY = Capability(
    exchange="coinbase",
    feed="full and heartbeat, Exchange WebSocket feed; level 3 over REST",
    symbols="BTC-USD",
    credentials="key, secret and passphrase of Coinbase Exchange with the permission View",
    depth="every resting order",
    sequence="each message of the product, the matching engine's own; a loss shows at once",
    checksum="none; a periodic comparison with the whole book over REST is the proof",
    event_time="microseconds, when the matching engine made the message",
    end_reasons="filled, canceled",
    trade_link="maker and taker by id",
    commit="each message",
)

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


# Requests -----------------------------------------------------------------------------------------


def subscribe(symbol: str, fields: dict[str, str]) -> bytes:
    """One product, named inside each channel: named beside them, a list is taken for empty."""
    channels = [{"name": name, "product_ids": [symbol]} for name in (FEED, HEARTBEAT)]
    return msgspec.json.encode({"type": "subscribe", "channels": channels, **fields})
