"""One import under way: what it appends to the archive, and what it has to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np

from ordertape import limits
from ordertape._engine import Counters, EventBatch, OrderBook
from ordertape.arrow import ID_COLUMNS, to_numpy
from ordertape.errors import ImportRefused
from ordertape.events import EventKind, Flag
from ordertape.tape.archive import ArchiveWriter
from ordertape.tape.foreign import BatchReader
from ordertape.tape.marks import PLUMBING, Mark, digest_mark, gap_mark
from ordertape.times import iso_from_ns

__all__ = ["ImportRun", "ImportSummary", "Progress"]

Progress = Callable[[int, int], None]
"""Called with (done, total): bytes of the source where they are known, else (events, 0)."""


@dataclass
class ImportSummary:
    """What an import did.  ``repeated``: the source was there already and nothing was added."""

    exchange: str
    symbol: str
    sources: list[str]
    digest: str
    repeated: bool = False
    events: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    start: str | None = None
    end: str | None = None
    eras: int = 0
    orders: int = 0
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    book_digest: str | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    """What the book met that it could not do, by name."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """What of the source is no event, by name."""
    files: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class ImportRun:
    """Appends a source's batches and marks behind the archive's end, as new eras."""

    def __init__(
        self, writer: ArchiveWriter, summary: ImportSummary, progress: Progress | None
    ) -> None:
        self._writer, self._summary, self._progress = writer, summary, progress
        self._book = OrderBook()
        self._book.era = self._era = writer.era
        self._seq = writer.last_seq
        """The tape's end; the source's seqs count on from it."""
        self._counters: Counters | None = None
        self._kinds = [0] * (max(EventKind) + 1)
        self._ts_recv = writer.last_ts_recv
        self._digest_seq = 0

    def run(
        self,
        first: list[EventBatch | Mark],
        others: Iterator[EventBatch | Mark],
        source: object,
    ) -> None:
        for item in chain(first, others):
            if isinstance(item, Mark):
                self._mark(item)
            elif len(item):
                if not sum(self._kinds):
                    self._begin(item)
                self._append(self._continued(item))
                self._report(source)
        self._finish()

    def _begin(self, first: EventBatch) -> None:
        start, end = int(to_numpy(first)["ts_recv"][0]), self._ts_recv
        if start < end:
            raise ImportRefused(
                f"{self._writer.folder.market}: expected a source that begins after the tape's "
                f"end {iso_from_ns(end)}, found one that begins at {iso_from_ns(start)}"
            )
        if self._seq:
            gap = gap_mark(
                self._seq, end, start, "not recorded", era=self._era, healed_by=self._seq + 1
            )
            self._writer.mark(gap)
        self._summary.first_seq, self._summary.start = self._seq + 1, iso_from_ns(start)

    def _continued(self, batch: EventBatch) -> EventBatch:
        """The batch with the tape's seqs, and times that never decrease."""
        columns: dict[str, Any] = dict(to_numpy(batch))
        times = np.maximum(np.maximum.accumulate(columns["ts_recv"]), self._ts_recv)
        self._ts_recv = int(times[-1])
        if not self._seq and (times == columns["ts_recv"]).all():
            return batch
        for name in ID_COLUMNS:
            if name in columns:
                columns[name] = columns[name].view(np.uint8)
        columns["seq"], columns["ts_recv"] = columns["seq"] + self._seq, times
        return EventBatch.from_arrays(
            price_scale=batch.price_scale,
            size_scale=batch.size_scale,
            codec=batch.codec,
            trade_codec=batch.trade_codec,
            **columns,
        )

    def _append(self, batch: EventBatch) -> None:
        for part in _cut_behind_clears(batch):
            era = self._book.era
            found = self._book.apply(part)
            self._counters = found if self._counters is None else self._counters + found
            self._kinds = [a + b for a, b in zip(self._kinds, part.counts(), strict=True)]
            self._writer.append(part)
            if self._book.era > era:
                fields = {"era": self._book.era}
                self._writer.mark(Mark("era", part.last_seq, part.last_ts_recv, fields))
        due = self._book.seq - self._digest_seq >= limits.import_digest_events
        if due and batch.last_complete() == len(batch):
            self._mark_digest()

    def _mark(self, mark: Mark) -> None:
        """A mark of the source, with the tape's seq and era.  Its era marks are made here."""
        if mark.kind in PLUMBING or mark.kind == "era":
            return
        fields = dict(mark.fields)
        for name, by in (("era", self._era), ("healed_by", self._seq)):
            if isinstance(fields.get(name), int):
                fields[name] += by
        self._writer.mark(Mark(mark.kind, mark.seq + self._seq, mark.ts, fields))

    def _mark_digest(self) -> None:
        self._writer.mark(digest_mark(self._book, self._ts_recv))
        self._digest_seq = self._book.seq

    def _report(self, source: object) -> None:
        if self._progress is None:
            return
        if isinstance(source, BatchReader):
            self._progress(source.bytes_read, source.bytes_total)
        else:
            self._progress(sum(self._kinds), 0)

    def _finish(self) -> None:
        self._mark_digest()
        summary, book = self._summary, self._book
        summary.events = sum(self._kinds)
        summary.last_seq, summary.end = book.seq, iso_from_ns(self._ts_recv)
        summary.eras = book.era - self._era
        summary.kinds = {kind.name.lower(): self._kinds[kind] for kind in EventKind}
        counted = self._counters.as_dict() if self._counters is not None else {}
        summary.faults = {
            name: count for name, count in counted.items() if count and name != "events"
        }
        summary.orders, summary.book_digest = len(book), book.digest()
        summary.best_bid, summary.best_ask = book.best()
        name = ", ".join(summary.sources)
        fields = {"digest": summary.digest, "name": name, "rows": summary.events}
        self._writer.mark(Mark("source", book.seq, self._ts_recv, fields))


def _cut_behind_clears(batch: EventBatch) -> Iterator[EventBatch]:
    """Parts that end with the message of a CLEAR, where its era's mark has its place."""
    columns, first = to_numpy(batch), 0
    ends = np.flatnonzero(columns["flags"] & np.uint16(Flag.LAST)) + 1
    for clear in np.flatnonzero(columns["kind"] == EventKind.CLEAR):
        at = int(np.searchsorted(ends, clear, side="right"))
        end = int(ends[at]) if at < len(ends) else len(batch)
        if end > first:
            yield batch[first:end]
            first = end
    if first < len(batch):
        yield batch[first:]
