"""The frames of a journal in order, while it is being written, damaged or taken away.

Whole frames only: a frame that is half written, or not there yet, is the journal's end for now.
A place without a whole frame is damage where later frames prove that it was durable once; it is
stepped over and told as one ``gap`` mark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.errors import TapeCorrupt
from ordertape.events import EventKind, Flag
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.segment import (
    EVENTS,
    MARK,
    SNAPSHOT,
    Header,
    Position,
    Segment,
    SegmentReader,
    segments,
)
from ordertape.tape.snapshot import Snapshot

__all__ = ["NO_EVENTS", "JournalFrame", "JournalReader"]

NO_EVENTS = 2**63 - 1
"""As ``from_seq``: marks only."""
_OLDEST = Position(0, 0)
"""Before any segment: their numbers begin at 1."""


class JournalFrame(NamedTuple):
    """What stands between two positions, behind event ``after``.

    Frames of events that go on with one another come as one; a gap mark may stand where nothing
    could be read.
    """

    start: Position
    end: Position
    after: int
    body: EventBatch | Mark | Snapshot


class JournalReader:
    """Reads on from a position; ``read`` may be called again once more was written.

    ``from_seq``: events before it are passed over.  ``snapshots``: SNAPSHOT frames are read too.
    ``seq``: the last event that the caller knows, so that a jump is noticed; the frames at
    ``start`` may begin before it.
    """

    def __init__(
        self,
        folder: MarketFolder,
        *,
        codecs: MarketCodecs | None = None,
        start: Position | None = None,
        seq: int | None = None,
        from_seq: int = 1,
        snapshots: bool = False,
    ) -> None:
        self.folder = folder
        self.codecs = codecs if codecs is not None else MarketCodecs()
        self.position = start if start is not None else _OLDEST
        self.seq = seq
        self.ts_recv = 0
        self._read_to = 0
        self.era: int | None = None
        self.from_seq = from_seq
        self.segment: SegmentReader | None = None
        self.lost = False
        """The archive has let go what would come next: read it there."""
        self._snapshots = snapshots
        self._pieces: list[EventBatch] = []
        self._forms = b""
        self._damage: tuple[Position, Position] | None = None
        self._stuck: tuple[Position, float] | None = None

    def close(self) -> None:
        if self.segment is not None:
            self.segment.close()
            self.segment = None

    def read(self, *, final: bool = True) -> Iterator[JournalFrame]:
        """Every whole frame from the position on, in order, plumbing left out; events in runs.

        ``final``: looks behind a place without a frame at once, not only when stuck there.
        """
        while (segment := self._current()) is not None:
            offset = self.position.offset
            found = segment.run(offset, self.codecs.order, self.codecs.trade)
            if found is None:
                if not self._step_over(segment, offset, final):
                    return
                continue
            first, header, content = found
            if header.forms != self._forms and header.type != MARK:
                self._learn_forms(segment, offset, header)
                continue
            self._check_order(first, content)
            yield from self._take(header, content)

    # Where to read --------------------------------------------------------------------------------

    def _current(self) -> SegmentReader | None:
        if self.segment is not None:
            if self.segment.segment.number == self.position.segment:
                return self.segment
            self.close()
        there = segments(self.folder.journal)
        if not there:
            return None
        if self.position == _OLDEST:
            self.position = Position(there[0].number, 0)
        for segment in there:
            if segment.number == self.position.segment:
                return self._opened(segment)
        self.lost = there[-1].number > self.position.segment
        return None

    def _opened(self, segment: Segment) -> SegmentReader | None:
        try:
            self.segment = SegmentReader(segment)
        except FileNotFoundError:
            self.lost = True
            return None
        if self.position.offset > 0:
            # Behind its beginning nothing in a segment says whose it is.
            first = self.segment.frame(0)
            if first is not None and isinstance(first[1], bytes):
                self._check_market(Mark.from_json(first[1]).fields)
        if self.seq is None:
            self.seq = segment.first_seq - 1
        return self.segment

    def _advance(self, header: Header) -> None:
        """Moves behind a frame."""
        self.position = Position(self.position.segment, self.position.offset + header.length)
        self.seq = max(self.seq or 0, header.last_seq)
        self._read_to = max(self._read_to, header.last_seq)
        self.ts_recv = max(self.ts_recv, header.ts_recv)

    def _learn_forms(self, segment: SegmentReader, offset: int, header: Header) -> None:
        """Takes over the id forms of a frame: a market's first ids decide an "auto" codec."""
        decoded = segment.frame(offset)
        if decoded is not None and isinstance(decoded[1], EventBatch):
            specs = (decoded[1].codec.spec, decoded[1].trade_codec.spec)
            ours = self.codecs.specs
            if any(spec not in {our, "auto"} for spec, our in zip(specs, ours, strict=True)):
                known = [s if s != "auto" else o for s, o in zip(specs, ours, strict=True)]
                self.codecs = self.codecs.with_specs(*known)
        self._forms = header.forms

    # Where no whole frame is ----------------------------------------------------------------------

    def _step_over(self, segment: SegmentReader, offset: int, final: bool) -> bool:
        """Moves to where reading can go on; False where this is the journal's end for now."""
        following = [s for s in segments(self.folder.journal) if s.number > self.position.segment]
        if not following:
            return (final or self._is_stuck()) and self._step_over_durable(segment, offset)
        if segment.frame(offset) is not None:
            return True  # written before the roll, after we looked
        if following[0].number != self.position.segment + 1:
            self.lost = True
            return False
        place = segment.find(offset + 8)
        if place is not None:
            self._damaged(Position(self.position.segment, place))
        else:
            next_start = Position(following[0].number, 0)
            if not segment.is_blank(offset):
                self._damaged(next_start)
            self.position = next_start
        return True

    def _step_over_durable(self, segment: SegmentReader, offset: int) -> bool:
        """At the tail a bad frame is damage only where a later one knows it was durable."""
        place = segment.find(offset + 8)
        while place is not None:
            header = segment.header(place)
            if header is None:
                return False
            if header.synced > offset:
                if segment.frame(offset) is not None:
                    return True  # written, and all that followed it, after we looked
                first = segment.find(offset + 8)
                assert first is not None
                self._damaged(Position(self.position.segment, first))
                return True
            place = segment.find(place + header.length)
        return False

    def _damaged(self, until: Position) -> None:
        start = self._damage[0] if self._damage is not None else self.position
        self._damage = (start, until)
        self.position = until

    def _is_stuck(self) -> bool:
        """Whether we have stood here for long; true once a place."""
        now = time.monotonic()
        if self._stuck is None or self._stuck[0] != self.position:
            self._stuck = (self.position, now + limits.follow_scan_ms / 1000)
            return False
        if now < self._stuck[1]:
            return False
        self._stuck = (self.position, float("inf"))
        return True

    # What frames say ------------------------------------------------------------------------------

    def _take(self, header: Header, content: EventBatch | bytes) -> Iterator[JournalFrame]:
        before = header.first_seq - 1 if header.type == EVENTS else header.first_seq
        if self._damage is not None or before > (self.seq or 0):
            yield self._gap(header, content, before)
        start, after = self.position, self.seq or 0
        self._advance(header)
        bodies: Iterator[EventBatch | Mark | Snapshot]
        if isinstance(content, bytes):
            bodies = self._mark(Mark.from_json(content))
        elif header.type == SNAPSHOT:
            self._pieces.append(content)
            return
        else:
            bodies = self._events(header, content)
        for body in bodies:
            yield JournalFrame(start, self.position, after, body)

    def _check_order(self, first: Header, content: EventBatch | bytes) -> None:
        """Of the frame that stands here; those behind it in a run go on with it."""
        if first.type != EVENTS or not isinstance(content, EventBatch):
            return
        # Not ``seq``: a run that was archived in part may be a shorter one now.
        again = first.first_seq <= self._read_to and not _is_of_a_book(content)
        if again or first.ts_recv < self.ts_recv:
            raise TapeCorrupt(
                f"{self.folder.market}: expected what follows (seq, ts_recv) "
                f"{(self._read_to, self.ts_recv)} at {self.position}, "
                f"found {(first.first_seq, first.ts_recv)}"
            )

    def _events(self, header: Header, batch: EventBatch) -> Iterator[EventBatch]:
        self._pieces.clear()
        if self.era is not None:
            self.era += batch.counts()[EventKind.CLEAR]
        if header.first_seq < self.from_seq:
            batch = batch[batch.search_seq(self.from_seq) :]
        if len(batch):
            yield batch

    def _mark(self, mark: Mark) -> Iterator[Mark | Snapshot]:
        if mark.kind == "terms":
            self.codecs.load(mark)
            return
        if (era := mark.fields.get("era")) is not None and mark.kind in {"segment", "digest"}:
            self.era = era
        if mark.kind == "segment":
            self._check_market(mark.fields)
            return
        if mark.kind == "digest" and self._pieces:
            if self._snapshots and self._pieces[0].last_seq == mark.seq:
                yield self._snapshot(mark)
            self._pieces.clear()
        yield mark

    def _snapshot(self, mark: Mark) -> Snapshot:
        pieces = self._pieces
        rows = pieces[0] if len(pieces) == 1 else EventBatch.concat(pieces)
        orders, trades = mark.fields.get("terms", (0, 0))
        return Snapshot(
            seq=mark.seq,
            ts_recv=rows.last_ts_recv,
            era=mark.fields["era"],
            digest=mark.fields["digest"],
            rows=rows,
            terms=(orders, trades),
        )

    def _check_market(self, fields: dict[str, Any]) -> None:
        found = (fields.get("exchange"), fields.get("symbol"))
        if found != (self.folder.exchange, self.folder.symbol):
            raise TapeCorrupt(f"expected the journal of {self.folder.market}, found {found}")

    def _gap(self, header: Header, content: EventBatch | bytes, before: int) -> JournalFrame:
        """The mark of what is missing before a frame; ``before``: the event that precedes it."""
        seq = self.seq or 0
        to_ns = header.ts_recv
        if header.type == EVENTS and isinstance(content, EventBatch):
            to_ns = content[0]["ts_recv"]
        known: dict[str, Any] = {}
        if before > seq:
            known |= {"missing_from": seq + 1, "missing_to": before}
        start, reason = self.position, "events are missing"
        if self._damage is not None:
            start, reason = self._damage[0], "the journal is damaged"
            known["damaged"] = [list(place) for place in self._damage]
        self._damage = None
        self._pieces.clear()
        self.seq = max(seq, before)
        mark = gap_mark(seq, self.ts_recv or to_ns, to_ns, reason, era=self.era or 0, **known)
        return JournalFrame(start, self.position, seq, mark)


def _is_of_a_book(batch: EventBatch) -> bool:
    """Whether it goes on with the rows behind a CLEAR, which have its seq."""
    return len(batch) > 0 and bool(batch[0]["flags"] & Flag.SNAPSHOT)
