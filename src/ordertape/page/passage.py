"""A recorded market from a moment on: the book as it stood, then the tape as far as is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ordertape._engine import EventBatch, OrderBook
from ordertape.arrow import to_numpy
from ordertape.errors import UnknownMarket
from ordertape.events import Flag
from ordertape.tape.reader import Item, TapeReader
from ordertape.tape.rebuild import rebuilt

__all__ = ["Passage"]

Leave = Callable[[], None]
"""Raises where nobody waits any more."""


class Passage:
    """``book`` is everything before ``begin`` (ns of our clock).  To be closed.

    Raises UnknownMarket where there is no tape, TapeCorrupt.
    """

    def __init__(
        self, data: Path, exchange: str, symbol: str, begin: int, scales: tuple[int, int] = (0, 0)
    ) -> None:
        try:
            found = rebuilt(data, exchange, symbol, begin - 1)
        except UnknownMarket:
            found = None  # it was not recorded by then
        self._tail = TapeReader(data, exchange, symbol).tail() if found is None else found.tail()
        self._items: Iterator[Item] = iter(())
        self._next: EventBatch | None = None
        self.ended = False
        """Nothing more is on the tape now."""
        self.book = self._as_told(None if found is None else found.book, scales)

    def close(self) -> None:
        self._tail.close()

    def _as_told(self, book: OrderBook | None, scales: tuple[int, int]) -> OrderBook:
        """The book with the ids of the batches that follow, at scales of at least these."""
        following = self._peek()
        if book is None:
            codec = None if following is None else following.codec
            return OrderBook(*scales, codec=codec)
        codec = book.codec if following is None else following.codec
        known = (book.price_scale or 0) >= scales[0] and (book.size_scale or 0) >= scales[1]
        plain = codec.spec == book.codec.spec and not codec.terms and not book.codec.terms
        if known and (plain or codec == book.codec):
            return book
        same = OrderBook(
            max(scales[0], book.price_scale or 0), max(scales[1], book.size_scale or 0), codec
        )
        rows = book.snapshot()
        if len(rows) and codec != book.codec:
            # A tape's keys are the same whoever reads them; the dictionary is told again.
            columns: dict[str, Any] = to_numpy(rows)
            columns["order_id"] = columns["order_id"].view(np.uint8)
            rows = EventBatch.from_arrays(
                **columns,
                price_scale=rows.price_scale,
                size_scale=rows.size_scale,
                codec=codec,
                trade_codec=rows.trade_codec,
            )
        same.restore(rows, book.era, book.seq, book.ts_recv)
        return same

    def next_ts(self) -> int | None:
        """When the next event was received (ns), None where there is none yet."""
        following = self._peek()
        return None if following is None else int(np.asarray(following.column("ts_recv"))[0])

    def until(self, ts: int) -> Iterator[EventBatch]:
        """What was received before a time (ns), and was not given yet."""
        while (following := self._peek()) is not None:
            count = following.search_ts_recv(ts - 1)
            if count < len(following):
                self._next = following[count:]
                if count:
                    yield following[:count]
                return
            self._next = None
            yield following

    def message(self) -> EventBatch | None:
        """The next message alone, None where none follows yet."""
        following = self._peek()
        if following is None:
            return None
        flags = following.column("flags")
        ends = [] if flags is None else np.flatnonzero(np.asarray(flags) & Flag.LAST).tolist()
        count = ends[0] + 1 if ends else len(following)
        self._next = following[count:] if count < len(following) else None
        return following[:count]

    def _peek(self) -> EventBatch | None:
        if self._next is None:
            self._next = self._read(self._items)
        if self._next is None:
            self._items = self._tail.items()
            self._next = self._read(self._items)
        self.ended = self._next is None
        return self._next

    @staticmethod
    def _read(items: Iterator[Item]) -> EventBatch | None:
        return next((item for item in items if isinstance(item, EventBatch) and len(item)), None)
