"""A tape, walked from any moment on with its flow: plain or cold files, then the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ordertape import limits
from ordertape._engine import Detectors, EventBatch, Flow, OrderBook, Rows
from ordertape.errors import UnknownMarket
from ordertape.lifecycles.walk import Walk
from ordertape.tape.archive_files import load_codecs
from ordertape.tape.bases import base_of_cut, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.history import History, history_of
from ordertape.tape.marks import Mark
from ordertape.tape.reader import Item, Tail, TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.times import parse_time

__all__ = ["WARM_UP_S", "FlowWalk", "Passing", "gaps_of", "new_flow"]

WARM_UP_S: Final = 63
"""Walked before a window, so that what is settled later than it happened is the same wherever a
walk began: a trade's mid after 60 s, a cancel after the attribution horizon."""

Leave = Callable[[], None]
"""Raises where nobody waits any more."""
Ended = Callable[[Rows, int | None], None]
"""Orders that ended; with the time (ns) at which a gap began that cut them."""


def new_flow() -> Flow:
    return Flow(
        hold_ns=limits.attribution_horizon_ms * 1_000_000,
        rows_max=limits.flow_rows_max,
        cells_max=limits.flow_cells_max,
        trades_max=limits.flow_trades_max,
        shocks_max=limits.flow_shocks_max,
        held_max=limits.flow_held_max,
    )


class FlowWalk(Walk):
    """A walk that goes on from a book, and keeps no table of lives."""

    def __init__(
        self,
        book: OrderBook,
        history: Callable[[], History],
        watchers: Sequence[Flow | Detectors],
        ended: Ended | None = None,
    ) -> None:
        super().__init__(MarketCodecs(book.codec), lambda seq: history().era_at(seq), watchers)
        self._ended = ended
        self.lives.era, self.book = book.era, book
        self.seq, self.ts_recv = book.seq, book.ts_recv
        if len(book):
            same, rows = OrderBook(codec=book.codec), book.snapshot()
            _, effects = same.apply(rows, effects=True)
            self.lives.take(rows, effects, same, watchers)

    def see(self, item: Item) -> None:
        super().see(item)
        if isinstance(item, EventBatch):
            self._drain()

    def _drain(self, cut_at: tuple[int, int] | None = None) -> None:
        rows = self.lives.drain()
        if self._ended is not None and len(rows):
            self._ended(rows, None if cut_at is None else cut_at[1])


class Passing:
    """A market's tape from ``begin`` (ns of our clock) on; to be closed.

    Raises UnknownMarket where there is no tape, TapeCorrupt.
    """

    def __init__(
        self,
        data: str | os.PathLike[str],
        exchange: str,
        symbol: str,
        begin: int,
        watchers: Sequence[Flow | Detectors],
        ended: Ended | None = None,
    ) -> None:
        self.reader = TapeReader(data, exchange, symbol)
        try:
            book = rebuild(data, exchange, symbol, begin - 1)
        except UnknownMarket:
            book = OrderBook(codec=load_codecs(self.reader.folder).order)  # not recorded by then
        self.walk = FlowWalk(book, lambda: history_of(self.reader), watchers, ended)
        if not book.seq and (base := base_of_cut(self.reader.folder.archive)) is not None:
            # Its beginning was let go: it begins with its book.
            self.walk.restore(read_base(base, load_codecs(self.reader.folder)))
        self.known = self.walk.ts_recv
        """Up to when the tape tells (ns)."""
        self._tail: Tail = self.reader.since(self.walk.seq + 1).tail()

    def close(self) -> None:
        self._tail.close()

    def until(self, end: int, leave: Leave = lambda: None) -> Iterator[EventBatch]:
        """Walks to before ``end`` (ns); what was taken, piece by piece."""
        for item in self._tail.items():
            leave()
            if isinstance(item, EventBatch):
                count = item.search_ts_recv(end - 1)
                yield from self._pieces(item[:count], leave)
                if count < len(item):
                    self.known = end
                    return
            elif isinstance(item, Mark):
                self.known = max(self.known, min(item.ts, end))
                self.walk.see(item)

    def _pieces(self, batch: EventBatch, leave: Leave) -> Iterator[EventBatch]:
        for begin in range(0, len(batch), limits.archive_batch_rows):
            leave()
            part = batch[begin : begin + limits.archive_batch_rows]
            self.walk.see(part)
            self.known = max(self.known, part.last_ts_recv)
            yield part


def gaps_of(history: History, start: int, end: int) -> list[tuple[int, int | None]]:
    """The gaps that reach into a time (ns), merged where they overlap."""
    merged: list[tuple[int, int | None]] = []
    for gap in history.gaps(start, end):
        begin = parse_time(gap["from"])
        over = None if gap["to"] is None else parse_time(gap["to"])
        if merged and (merged[-1][1] is None or begin <= merged[-1][1]):
            last = merged[-1][1]
            merged[-1] = (
                merged[-1][0],
                None if last is None or over is None else max(last, over),
            )
        else:
            merged.append((begin, over))
    return merged
