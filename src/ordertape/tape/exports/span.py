"""What is exported: a market's events in a span of time, and the book they start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import UnknownMarket
from ordertape.tape.folder import slug
from ordertape.tape.reader import TapeReader, read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.times import Time, day_end, iso_from_ns, parse_time

__all__ = ["Progress", "Range"]

Progress = Callable[[int], None]
"""Called with the number of events done so far."""


@dataclass(frozen=True)
class Range:
    """Events with ``start`` <= ``ts_recv`` < ``end``; None: from the first, to the last."""

    data: str | Path
    exchange: str
    symbol: str
    start: Time | None = None
    end: Time | None = None
    check: Callable[[], None] = lambda: None
    """Called at least once a batch, and while a file is packed; ends the export by raising."""

    def name(self, day_ns: int, suffix: str) -> str:
        """The name of the file of a day (any moment of it), for instance of 2026-11-22."""
        day = iso_from_ns(day_ns)[:10]
        return f"{slug(self.exchange)}_{slug(self.symbol)}_{day}{suffix}"

    def days(self) -> Iterator[tuple[int, EventBatch]]:
        """(a moment of the UTC day, rows of that day), in order."""
        tape = read_tape(self.data, self.exchange, self.symbol, self.start, self.end)
        for batch in tape:
            self.check()
            yield from cut_at_days(batch)

    def with_book(self) -> tuple[OrderBook | None, Iterator[EventBatch]]:
        """The book just before ``start`` (None: the tape's beginning) and the events after it."""
        reader = TapeReader(self.data, self.exchange, self.symbol)
        book = None
        if self.start is not None:
            with suppress(UnknownMarket):  # nothing was recorded before: the tape's beginning
                before = parse_time(self.start) - 1
                book = rebuild(self.data, self.exchange, self.symbol, before)
        after = 0 if book is None else book.seq
        return book, self._until_end(reader.since(after + 1).batches())

    def _until_end(self, batches: Iterator[EventBatch]) -> Iterator[EventBatch]:
        end = None if self.end is None else parse_time(self.end)
        for batch in batches:
            self.check()
            if end is not None and batch.last_ts_recv >= end:
                before = batch.search_ts_recv(end - 1)
                if before:
                    yield batch[:before]
                return
            yield batch


def cut_at_days(batch: EventBatch) -> Iterator[tuple[int, EventBatch]]:
    """The parts of a batch that lie in one UTC day each."""
    while len(batch):
        first = int(batch[0]["ts_recv"])
        rows = batch.search_ts_recv(day_end(first) - 1)
        yield first, batch[:rows]
        batch = batch[rows:]
