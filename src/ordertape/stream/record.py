"""What a stream leaves on the tape beside its events: states, eras, gaps, digests, whole books."""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from ordertape._engine import EventBatch, IdCodec, OrderBook
from ordertape.stream.gap_kinds import GapKind
from ordertape.stream.integrity import Integrity
from ordertape.stream.state import StreamState
from ordertape.tape.marks import Mark, digest_mark, gap_mark
from ordertape.venues.session import VenueSession

__all__ = ["Record", "Recovered", "Sink"]


class Sink(Protocol):
    """Where a stream's events and marks go, in order; a ``JournalWriter`` is one."""

    def append(self, batch: EventBatch, /) -> Any: ...
    def snapshot(self, book: OrderBook, /) -> Any:
        """The whole book and its digest, as it stands after what was appended."""
        ...

    def mark(self, mark: Mark, /) -> Any: ...


class Recovered(Protocol):
    """How far the market's tape had come; ``JournalWriter.recovered`` is one."""

    @property
    def last_seq(self) -> int: ...
    @property
    def last_ts_recv(self) -> int: ...
    @property
    def era(self) -> int: ...
    @property
    def codec(self) -> IdCodec | None: ...
    @property
    def price_scale(self) -> int | None: ...
    @property
    def size_scale(self) -> int | None: ...
    @property
    def gap(self) -> Mark | None:
        """The last ``gap`` mark; one that is still open goes on."""
        ...


class Record:
    """Writes to a sink, in the order in which things happened; without one it only counts.

    A gap is written twice: as it begins, with ``to_ns`` None, and as a snapshot heals it.
    """

    def __init__(self, sink: Sink | None, session: VenueSession, interval_ns: int) -> None:
        self._sink, self._session, self._book = sink, session, session.book
        self._interval_ns = interval_ns
        self._marked_seq = 0
        self._gap_from: int | None = None
        self._gap_reason = ""
        self.next_marks = 0
        """When the next whole book is due (ns)."""
        self.gaps_by_kind: Counter[GapKind] = Counter()
        """Gaps that began since the start."""
        self.snapshots_taken = 0

    def append(self, batch: EventBatch) -> None:
        if self._sink is not None:
            self._sink.append(batch)

    def mark(self, kind: str, now: int, fields: dict[str, Any]) -> None:
        self._put(Mark(kind, self._session.next_seq - 1, now, fields))

    def state(self, before: StreamState, after: StreamState, reason: str, now: int) -> None:
        """A transition of the stream."""
        self.mark("state", now, {"from": before.value, "to": after.value, "reason": reason})

    def lose(self, kind: GapKind, reason: str, from_ns: int, now: int) -> None:
        """A gap begins, unless one lasts or no book was ever known."""
        if self._gap_from is not None or self._book.era == 0:
            return
        self._gap_from, self._gap_reason = min(from_ns, now), reason
        self.gaps_by_kind[kind] += 1
        seq = self._session.next_seq - 1
        self._put(gap_mark(seq, self._gap_from, None, reason, era=self._book.era))

    @property
    def gaps(self) -> int:
        """How many began since the start."""
        return self.gaps_by_kind.total()

    def go_on(self, gap: Mark | None) -> None:
        """A gap that was open when the tape's last writer ended is the one to heal."""
        if gap is not None and gap.fields.get("to_ns") is None:
            self._gap_from, self._gap_reason = gap.fields["from_ns"], gap.fields["reason"]

    def new_era(self, batch: EventBatch, now: int) -> None:
        """The batch began with a CLEAR: it heals the gap and is the first book to be proved."""
        era, clear_seq = self._book.era, batch.first_seq
        if self._gap_from is not None:
            healed = gap_mark(
                batch.last_seq,
                self._gap_from,
                max(self._gap_from, batch.last_ts_recv),
                self._gap_reason,
                era=era,
                healed_by=clear_seq,
            )
            self._put(healed)
            self._gap_from = None
        self._put(Mark("era", clear_seq, now, {"era": era}))
        self._put(digest_mark(self._book, now))
        self._marked_seq = batch.last_seq
        self.next_marks = now + self._interval_ns

    def marks(self, integrity: Integrity, now: int) -> None:
        """The whole book and its digest, where something happened since the last."""
        self.next_marks = now + self._interval_ns
        seq = self._session.next_seq - 1
        if seq == self._marked_seq:
            return
        self._marked_seq = seq
        if self._sink is not None:
            self._sink.snapshot(self._book)
        self.mark("integrity", now, integrity.as_dict())
        self.snapshots_taken += 1

    def _put(self, mark: Mark) -> None:
        if self._sink is not None:
            self._sink.mark(mark)
