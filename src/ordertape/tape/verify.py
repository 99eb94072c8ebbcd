"""Replaying a tape and comparing the book with every digest and whole book on it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import BookCorrupt, TapeCorrupt
from ordertape.events import EventKind
from ordertape.numbers import counted
from ordertape.tape.archive_files import ArchiveFile, list_files, load_codecs
from ordertape.tape.archive_reader import rows_digest
from ordertape.tape.bases import list_bases, read_base
from ordertape.tape.file_groups import require_whole
from ordertape.tape.history import History
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import Replay
from ordertape.tape.seal import require_body
from ordertape.tape.snapshot import Snapshot

__all__ = ["Difference", "VerifyReport", "verify"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay first disagrees with the tape."""

    seq: int
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} after event {self.seq}: expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class VerifyReport:
    """What a tape holds and what of it was proven.

    ``marks`` are the digests and whole books that could be compared, ``marks_equal`` those that
    agreed; ``unproven`` ones stand where events are missing and no book is known, or have none.
    """

    exchange: str
    symbol: str
    eras: int = 0
    events: int = 0
    gaps: int = 0
    gap_list: list[dict[str, Any]] = field(default_factory=list)
    """``from``, ``to``, ``reason``, ``healed_by`` of each, oldest first."""
    missing_events: int = 0
    marks: int = 0
    marks_equal: int = 0
    unproven: int = 0
    faults: int = 0
    """Events that did not fit the book they met (unknown ids, overfills, crossings, …)."""
    last_seq: int = 0
    difference: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.difference is None

    def as_dict(self) -> dict[str, Any]:
        first = self.difference
        return {
            "exchange": self.exchange,
            "symbol": self.symbol,
            "eras": self.eras,
            "events": self.events,
            "gaps": self.gaps,
            "gap_list": self.gap_list,
            "missing_events": self.missing_events,
            "marks": self.marks,
            "marks_equal": self.marks_equal,
            "unproven": self.unproven,
            "faults": self.faults,
            "last_seq": self.last_seq,
            "equal": self.equal,
            "first_difference": None if first is None else str(first),
        }

    def __str__(self) -> str:
        text = (
            f"{counted(self.events, 'event')} in {counted(self.eras, 'era')}, "
            f"{counted(self.gaps, 'gap')}, {counted(self.marks, 'mark')} compared, "
            f"{self.marks_equal:,} equal"
        )
        if self.unproven:
            text += f", {self.unproven:,} behind missing events not comparable"
        if not self.marks and self.difference is None:
            lacks = "nothing to compare it with" if self.events else "no event"
            text += f"; this proves nothing, the tape has {lacks}"
        return text if self.difference is None else f"{text}; first difference: {self.difference}"


def verify(data: str | os.PathLike[str], exchange: str, symbol: str) -> VerifyReport:
    """Replays a whole tape and looks at every value in its files.  Raises UnknownMarket."""
    reader = TapeReader(data, exchange, symbol)
    run = _Run(VerifyReport(exchange, symbol))
    try:
        for file in list_files(reader.folder.archive):
            require_whole(file.path)
            run.compare_rows(file)
        for base in list_bases(reader.folder.archive):
            # Readers pass over one that is damaged, and no replay may come to it: told here.
            require_body(base.path)
            if not base.info.body:  # of version 1
                read_base(base, load_codecs(reader.folder))
        for item in reader.items(snapshots=True):
            run.take(item)
    except (TapeCorrupt, BookCorrupt) as error:
        run.differs("the tape", "a tape that can be read", str(error))
    report = run.report
    report.faults = run.replay.faults
    report.last_seq = run.replay.seq
    report.gap_list = run.history.gaps()
    report.gaps = len(report.gap_list)
    return report


class _Run:
    def __init__(self, report: VerifyReport) -> None:
        self.report = report
        self.replay = Replay(OrderBook())
        self.history = History()

    def take(self, item: EventBatch | Mark | Snapshot) -> None:
        if isinstance(item, EventBatch):
            counts = item.counts()
            self.report.events += sum(counts)
            self.report.eras += counts[EventKind.CLEAR]
            self.replay.take(item)
        elif isinstance(item, Snapshot):
            self._snapshot(item)
        elif item.kind == "gap":
            self.history.take(item)
            if "missing_from" in item.fields:
                missing = item.fields["missing_to"] - item.fields["missing_from"] + 1
                self.report.missing_events += missing
        elif item.kind == "digest":
            self._compare(item.seq, "the digest of a mark", item.fields["digest"])

    def compare_rows(self, file: ArchiveFile) -> None:
        """A mark sees what is left in the book; this sees every value there was."""
        expected = file.info.rows_digest
        if not expected:
            self.report.unproven += 1
            return
        self.report.marks += 1
        found = rows_digest(file)
        if found == expected:
            self.report.marks_equal += 1
        else:
            self.differs(f"the digest of the rows of {file.path.name}", expected, found, 0)

    def _snapshot(self, snapshot: Snapshot) -> None:
        """A whole book must be what its digest says, and what the replay came to."""
        alone = OrderBook()
        snapshot.restore(alone)
        if alone.digest() != snapshot.digest:
            self.report.marks += 1
            self.differs("a whole book", snapshot.digest, alone.digest(), snapshot.seq)
            return
        if self.replay.trusted or snapshot.seq == 0:
            self._compare(snapshot.seq, "a whole book", snapshot.digest)
        else:
            self.replay.restore(snapshot)

    def _compare(self, seq: int, what: str, expected: str) -> None:
        inside_message = self.replay.book.seq < seq <= self.replay.seq
        if not self.replay.trusted or seq > self.replay.seq or inside_message:
            self.report.unproven += 1
            return
        self.report.marks += 1
        found = self.replay.book.digest() if seq == self.replay.book.seq else "another place"
        if found == expected:
            self.report.marks_equal += 1
        else:
            self.differs(what, expected, found, seq)

    def differs(self, what: str, expected: str, found: str, seq: int | None = None) -> None:
        if self.report.difference is None:
            seq = self.replay.seq if seq is None else seq
            self.report.difference = Difference(seq, what, expected, found)
