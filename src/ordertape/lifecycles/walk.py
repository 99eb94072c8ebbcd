"""A market's tape, walked: its book, the lives of its orders, and those that ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ordertape import limits
from ordertape._engine import Detectors, EventBatch, Flow, Lifecycles, OrderBook
from ordertape.events import EventKind
from ordertape.lifecycles.tables import columns_of, joined, no_rows, table_of
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.marks import Mark
from ordertape.tape.rebuild import Replay
from ordertape.tape.snapshot import Snapshot

__all__ = ["State", "Walk"]


class State(NamedTuple):
    """Everything a walk knows of orders behind an event; the book as it stood is apart."""

    seq: int
    ts_recv: int
    era: int
    gap_from: int | None
    """When the gap began that lasts then (ns)."""
    trusted: bool
    """Whether nothing is missing since the last whole book."""
    lives: pa.Table
    """Orders that are alive, and those whose end waits for a trade that may explain it."""


class Walk(Replay):
    """Events, marks and whole books of a tape in order, without a hole that is not noticed.

    ``era_of``: the era that a CLEAR begins, asked where earlier ones are missing.  ``watchers`` are
    told of every event, and by ``gap()`` where nothing is known of the book any more.
    """

    def __init__(
        self,
        codecs: MarketCodecs,
        era_of: Callable[[int], int | None] = lambda _seq: None,
        watchers: Sequence[Flow | Detectors] = (),
    ) -> None:
        super().__init__(OrderBook(codec=codecs.order))
        self.lives = Lifecycles(
            hold_ns=limits.attribution_horizon_ms * 1_000_000,
            evicted_max=limits.evicted_orders_max,
        )
        self.ts_recv = 0
        """Of the last event seen (ns)."""
        self._codecs = codecs
        self._era_of = era_of
        self._watchers = watchers
        self._gap_from: int | None = None
        self._lost = False
        """CLEARs may be missing since the last one."""
        self._told: list[pa.Table] = []

    def go_on(self, state: State, book: OrderBook | None) -> None:
        """Stands where another walk stood; ``book``: as it was there.  Without it nothing is known
        up to a CLEAR or a whole book."""
        columns, scales = columns_of(state.lives)
        now = (state.seq, state.ts_recv)
        self.lives.restore(columns, self._codecs.order, era=state.era, scales=scales, now=now)
        self.seq, self.ts_recv, self._gap_from = state.seq, state.ts_recv, state.gap_from
        self.trusted, self._lost = book is not None, book is None
        if book is not None:
            self.book = book

    def state(self) -> State:
        """What another walk would go on with; behind a complete message."""
        lives = joined([table_of(self.lives.alive()), table_of(self.lives.waiting())])
        return State(self.seq, self.ts_recv, self.lives.era, self._gap_from, self.trusted, lives)

    def alive(self) -> pa.Table:
        """Orders that go on, and those whose end is not known for sure yet, as they opened."""
        found = self.state().lives
        return found.sort_by([("opened_seq", "ascending"), ("order_id", "ascending")])

    def told(self) -> pa.Table:
        """The rows since it was last asked, by their places."""
        self._drain()
        told, self._told = self._told, []
        return joined(told) if told else no_rows()

    def forget_told(self) -> None:
        """For whoever wants no rows."""
        self.lives.drain()
        self._told.clear()

    def see(self, item: EventBatch | Mark | Snapshot) -> None:
        """The next item of the tape."""
        if isinstance(item, EventBatch):
            self.take(item)
        elif isinstance(item, Snapshot):
            if not self.trusted and item.seq >= self.seq:
                self.restore(item)
        elif item.kind == "gap":
            self._gap_from = item.fields["from_ns"] if item.fields["to_ns"] is None else None
            if self._gap_from is not None:
                self.gap(int(self._gap_from))

    def gap(self, from_ns: int) -> None:
        """Nothing is known from a time on (ns), which watchers are told at once: what they wait for
        to happen behind an event would seem not to have happened."""
        for watcher in self._watchers:
            if isinstance(watcher, Flow):
                watcher.gap(from_ns)
            else:
                watcher.gap()

    def take(self, rows: EventBatch) -> None:
        if len(rows):
            if rows.first_seq > self.seq + 1:
                self._drain()
                self.lives.cut((rows.first_seq, int(rows[0]["ts_recv"])))
                self._lost = True
                for watcher in self._watchers:
                    watcher.gap()
            self.ts_recv = rows.last_ts_recv
        super().take(rows)

    def restore(self, snapshot: Snapshot) -> None:
        """Stands on a whole book, whose orders began before anybody looked."""
        super().restore(snapshot)
        self.ts_recv = max(self.ts_recv, snapshot.ts_recv)
        self.lives.era, self._lost = snapshot.era, False
        for watcher in self._watchers:
            watcher.gap()
        if snapshot.rows is not None:
            rows = self._codecs.adopt(snapshot.rows)
            same = OrderBook(codec=self._codecs.order)
            _, effects = same.apply(rows, effects=True)
            self.lives.take(rows, effects, same, self._watchers)

    def _apply(self, part: EventBatch) -> int:
        # Interned ids mean something with their dictionary alone, and readers have one each.
        part = self._codecs.adopt(part)
        clear = _first_clear(part)
        if clear is not None:
            self._drain()
            era = self._era_of(clear) if self._lost else None
            if era is not None:
                self.lives.era = era - 1
        counters, effects = self.book.apply(part, effects=True)
        self.lives.take(part, effects, self.book, self._watchers)
        if clear is not None:
            self._drain(None if self._gap_from is None else (clear, self._gap_from))
            self._gap_from, self._lost = None, False
        return counters.faults

    def _drain(self, cut_at: tuple[int, int] | None = None) -> None:
        rows = self.lives.drain()
        if len(rows):
            self._told.append(table_of(rows, cut_at))


def _first_clear(part: EventBatch) -> int | None:
    if not part.counts()[EventKind.CLEAR]:
        return None
    first = int(np.argmax(np.asarray(part.column("kind")) == EventKind.CLEAR))
    return int(part[first]["seq"])
