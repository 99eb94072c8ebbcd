"""Messages of Coinbase's `full` channel for the stream that engines are fed.

Only what cryptofeed's handler understands: it drops `modify_order` and knows no resting order as
taker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from bench.streams import Stream

__all__ = ["PRODUCT", "CoinbaseFrames", "make_frames"]

PRODUCT = "BTC-USD"
_FIRST = 93_000_000_000
_OPEN, _DONE, _MATCH = 0, 1, 2
_SIDES = ("buy", "sell")
_PRICE_ABOVE = 5_000_000
"""Cents added to the stream's prices, so that they look like the venue's."""


class CoinbaseFrames(NamedTuple):
    book: bytes
    """The level 3 book that the messages begin from."""
    messages: list[bytes]


def make_frames(stream: Stream) -> CoinbaseFrames:
    maker = _Maker(stream)
    return CoinbaseFrames(maker.book(), [text.encode() for text in maker.messages()])


class _Maker:
    def __init__(self, stream: Stream) -> None:
        names = ("op", "side", "px", "qty", "hi", "lo")
        self._rows = list(zip(*(stream.events[name].tolist() for name in names), strict=True))
        self._live, self._sequence = stream.live, _FIRST
        self._sizes: dict[int, int] = {}

    def book(self) -> bytes:
        sides: dict[str, list[list[str]]] = {"buy": [], "sell": []}
        for _, side, price, size, hi, lo in self._rows[: self._live]:
            key = hi << 64 | lo
            self._sizes[key] = size
            sides[_SIDES[side]].append([_price(price), _size(size), str(UUID(int=key))])
        about = {"sequence": _FIRST, "auction_mode": False, "time": "2025-01-01T00:00:00.000000Z"}
        return json.dumps({"bids": sides["buy"], "asks": sides["sell"], **about}).encode()

    def messages(self) -> Iterator[str]:
        for nth, (kind, side, price, size, hi, lo) in enumerate(self._rows[self._live :]):
            key = hi << 64 | lo
            order = {"order_id": str(UUID(int=key)), "price": _price(price), "side": _SIDES[side]}
            yield from self._told(kind, key, size, order, nth)

    def _told(
        self, kind: int, key: int, size: int, order: dict[str, str], nth: int
    ) -> Iterator[str]:
        sizes = self._sizes
        if kind == _OPEN:
            sizes[key] = size
            limit = {"order_type": "limit", "size": _size(size)}
            yield self._say(nth, type="received", **order, **limit)
            yield self._say(nth, type="open", **order, remaining_size=_size(size))
        elif kind == _DONE:
            left = _size(sizes.pop(key))
            yield self._say(nth, type="done", **order, reason="canceled", remaining_size=left)
        elif kind == _MATCH:
            maker = order.pop("order_id")
            taker = str(UUID(int=(key * 6_364_136_223_846_793_005 + nth) % (1 << 128)))
            names = {"maker_order_id": maker, "taker_order_id": taker, "trade_id": 700_000 + nth}
            yield self._say(nth, type="match", **names, **order, size=_size(size))
            sizes[key] -= size
            if not sizes[key]:
                del sizes[key]
                ended = {"order_id": maker, "reason": "filled", "remaining_size": "0"}
                yield self._say(nth, type="done", **order, **ended)
        else:
            before, sizes[key] = _size(sizes[key]), size
            change = {"reason": "STP", "old_size": before, "new_size": _size(size)}
            yield self._say(nth, type="change", **order, **change)

    def _say(self, nth: int, **fields: Any) -> str:
        self._sequence += 1
        seconds, micros = divmod(nth * 137, 10**6)
        clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        about = {"product_id": PRODUCT, "sequence": self._sequence}
        time = f"2025-01-01T{clock}.{micros:06d}Z"
        return json.dumps({**fields, **about, "time": time}, separators=(",", ":"))


def _price(cents: int) -> str:
    return f"{(cents + _PRICE_ABOVE) // 100}.{(cents + _PRICE_ABOVE) % 100:02d}"


def _size(units: int) -> str:
    return f"{units // 10**8}.{units % 10**8:08d}"
