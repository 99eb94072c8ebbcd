"""What a stream writes, measured on its way into the journal.

Once a batch, of its last event: a batch spans ``limits.gather_ms_max`` at most, so that no event
waited longer than that beyond what is counted.  Books of a snapshot say nothing of a delay.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind
from ordertape.measures import Delays, Nearest, StreamMeasures
from ordertape.stream.gap_kinds import GapKind
from ordertape.stream.market import MarketStream
from ordertape.tape.marks import Mark

if TYPE_CHECKING:
    from ordertape.tape.journal import JournalWriter

__all__ = ["MeasuredJournal"]

_NO_TIME = -(2**63)
"""A null of a column of times."""


class MeasuredJournal:
    """A stream's sink: hands everything on to ``journal``, which calls ``synced`` in its turn."""

    journal: JournalWriter

    def __init__(self) -> None:
        self.venue, self.durable = Delays(), Delays()
        self._offset = Nearest()
        self._unsynced: deque[tuple[int, int]] = deque(maxlen=limits.unsynced_batches_max)
        """(last seq, ns of its receipt) of batches that are not durable yet."""

    def append(self, batch: EventBatch) -> None:
        counts = batch.counts()
        if not counts[EventKind.CLEAR] and any(counts):
            self._measure(batch)
        self.journal.append(batch)

    def _measure(self, batch: EventBatch) -> None:
        received = batch.last_ts_recv
        # Before it is written: it may be durable before this thread goes on.
        self._unsynced.append((batch.last_seq, received))
        times = batch.column("ts_event")
        told = _NO_TIME if times is None else int(np.asarray(times)[-1])
        if told != _NO_TIME:
            self.venue.note(received - told)
            self._offset.note(received - told, received)

    def snapshot(self, book: OrderBook) -> None:
        self.journal.snapshot(book)

    def mark(self, mark: Mark) -> Any:
        self.journal.mark(mark)

    def synced(self, seq: int) -> None:
        """In the thread that syncs: everything up to an event is durable now."""
        now, unsynced = time.time_ns(), self._unsynced
        while unsynced and unsynced[0][0] <= seq:
            self.durable.note(now - unsynced.popleft()[1])

    def measures(self, stream: MarketStream, now: int) -> StreamMeasures:
        """Of a stream that writes here, as of ``now``."""
        integrity, counters = stream.integrity, stream.counters
        bids, asks = stream.book.totals()[:2]
        gaps = {kind.value: stream.record.gaps_by_kind[kind] for kind in GapKind}
        gaps[GapKind.DAMAGE] += len(self.journal.recovered.damage)
        return StreamMeasures(
            orders=len(stream.book),
            bid_orders=bids,
            ask_orders=asks,
            frames=stream.frames,
            frame_bytes=stream.frame_bytes,
            connects=stream.connects,
            resyncs=stream.resyncs,
            gaps=gaps,
            unreadable=counters["unreadable_frames"],
            snapshots=counters["snapshots_taken"],
            checksums=integrity.compared,
            checksums_equal=integrity.equal,
            audits=integrity.audits,
            audits_equal=integrity.audits_equal,
            audits_failed=integrity.audits_failed,
            venue=self.venue.told(),
            durable=self.durable.told(),
            venue_offset_ns=self._offset.least(now),
        )
