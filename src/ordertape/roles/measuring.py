"""What a stream writes, measured, and told in the log, on its way into the journal.

Once a batch, of its last event: a batch spans ``limits.gather_ms_max`` at most, so that no event
waited longer than that beyond what is counted.  Books of a snapshot say nothing of a delay.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from structlog.stdlib import BoundLogger

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind
from ordertape.measures import Delays, Nearest, StreamMeasures
from ordertape.roles.logs import market_logger
from ordertape.roles.status import read_report
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
    _log: BoundLogger

    def __init__(self) -> None:
        self.venue, self.durable = Delays(), Delays()
        self._gaps_before: dict[str, int] = {}
        self._era = 0
        self._offset = Nearest()
        self._unsynced: deque[tuple[int, int]] = deque(maxlen=limits.unsynced_batches_max)
        """(last seq, ns of its receipt) of batches that are not durable yet."""

    def follow(self, journal: JournalWriter) -> None:
        """Where everything goes; before anything else.

        Gaps are counted on from what the market's last collector reported: a count that began anew
        would tell the gap of every restart as the first one, and no alarm could see it grow.
        """
        self.journal, self._era = journal, journal.recovered.era
        self._log = market_logger("stream", journal.folder.market, lambda: self._era)
        try:
            before = read_report(journal.folder.root)
        except OSError as error:
            self._log.warning("L3_report_failed", reason=str(error))
            before = None
        self._gaps_before = before.measures.gaps if before is not None else {}

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
        told = _NO_TIME if times is None else memoryview(times)[-1]
        if told != _NO_TIME:
            self.venue.note(received - told)
            self._offset.note(received - told, received)

    def snapshot(self, book: OrderBook) -> None:
        self.journal.snapshot(book)

    def mark(self, mark: Mark) -> None:
        self.journal.mark(mark)
        fields = mark.fields
        if mark.kind == "era":
            self._era = int(fields["era"])
        elif mark.kind == "state":
            self._log.info(
                "L3_state", was=fields["from"], now=fields["to"], reason=fields["reason"]
            )
        elif mark.kind == "gap" and fields.get("to_ns") is None:
            self._log.info("L3_gap", after=mark.seq, reason=fields["reason"])
        elif mark.kind == "gap":
            self._log.info("L3_gap_healed", healed_by=fields["healed_by"], reason=fields["reason"])

    def synced(self, seq: int) -> None:
        """In the thread that syncs: everything up to an event is durable now."""
        now, unsynced = time.time_ns(), self._unsynced
        while unsynced and unsynced[0][0] <= seq:
            self.durable.note(now - unsynced.popleft()[1])

    def measures(self, stream: MarketStream, now: int) -> StreamMeasures:
        """Of a stream that writes here, as of ``now``."""
        integrity, counters = stream.integrity, stream.counters
        bids, asks = stream.book.totals()[:2]
        begun, before = stream.record.gaps_by_kind, self._gaps_before
        gaps = {kind.value: before.get(kind.value, 0) + begun[kind] for kind in GapKind}
        # Found anew by each collector as long as the journal holds it.
        gaps[GapKind.DAMAGE] = begun[GapKind.DAMAGE] + len(self.journal.recovered.damage)
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
