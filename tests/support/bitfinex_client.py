"""A naive reader of Bitfinex raw books, sharing nothing with the simulator or the engine.

Numbers stay the text they were sent as; the order of the book comes from Decimal.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = tuple[int, str, str]


class NaiveBook:
    """Orders by id as (price, amount) texts."""

    def __init__(self) -> None:
        self.orders: dict[int, tuple[str, str]] = {}

    def put(self, row: list[str]) -> None:
        order_id, price, amount = int(row[0]), row[1], row[2]
        if Decimal(price) == 0:
            side = self.orders.pop(order_id)[1].startswith("-")
            assert amount == ("-1" if side else "1")
        else:
            self.orders[order_id] = (price, amount)

    def sides(self) -> tuple[list[Row], list[Row]]:
        rows = [(order_id, *texts) for order_id, texts in self.orders.items()]
        bids = [row for row in rows if not row[2].startswith("-")]
        asks = [row for row in rows if row[2].startswith("-")]
        bids.sort(key=lambda row: (-Decimal(row[1]), row[0]))
        asks.sort(key=lambda row: (Decimal(row[1]), row[0]))
        return bids, asks

    def checksum(self) -> int:
        bids, asks = self.sides()
        parts: list[str] = []
        for place in range(25):
            for side in (bids, asks):
                if place < len(side):
                    parts += [str(side[place][0]), side[place][2]]
        return zlib.crc32(":".join(parts).encode())


class NaiveClient:
    """Takes texts in order and checks what needs no oracle: sequence, the order of the frames of an
    iteration, checksums.  ``at_checksum(time_ms, book)`` is called at each ``cs``."""

    def __init__(
        self,
        at_checksum: Callable[[int, int, NaiveBook], None] | None = None,
        tail: int = 2,
    ) -> None:
        self.books: dict[int, NaiveBook] = {}
        self.channels: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}
        self.trades: list[tuple[str, list[str]]] = []
        self.sequence = 0
        self.iteration: dict[int, list[list[str]]] = {}
        self._at_checksum = at_checksum
        self._tail = tail

    def text(self, text: str | bytes) -> None:
        message = json.loads(text, parse_float=str, parse_int=str)
        if isinstance(message, dict):
            self.events.append(json.loads(text))
            if message["event"] == "subscribed":
                self.channels[int(message["chanId"])] = self.events[-1]
            return
        channel, body = int(message[0]), message[1]
        assert channel in self.channels
        if self._tail:
            self.sequence += 1
            assert int(message[-2]) == self.sequence
        if isinstance(body, str):
            self.counts[body] = self.counts.get(body, 0) + 1
            assert len(message) == (2 if body == "hb" else 3) + self._tail
            if body == "cs":
                self._checksum(channel, int(message[2]), int(message[-1]))
            elif body in ("te", "tu"):
                self.trades.append((body, message[2]))
        elif self.channels[channel]["channel"] == "trades":
            self.trades += [("snapshot", trade) for trade in body]
        elif channel not in self.books:
            self.books[channel] = NaiveBook()
            for row in body:
                self.books[channel].put(row)
        else:
            self.counts["update"] = self.counts.get("update", 0) + 1
            assert len(message) == 2 + self._tail
            self.books[channel].put(body)
            self.iteration.setdefault(channel, []).append(body)

    def _checksum(self, channel: int, value: int, time_ms: int) -> None:
        book = self.books[channel]
        assert -(2**31) <= value < 2**31
        assert book.checksum() == value & 0xFFFFFFFF
        rows = self.iteration.pop(channel, [])
        deletes = [row[1] == "0" for row in rows]
        assert deletes == sorted(deletes, reverse=True)
        assert len({row[0] for row in rows}) == len(rows)
        length = int(self.channels[channel]["len"])
        assert [len(side) for side in book.sides()] == [length, length]
        if self._at_checksum is not None:
            self._at_checksum(time_ms, length, book)
