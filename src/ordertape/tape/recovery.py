"""Opening a journal after whatever ended its last writer.

A torn tail (a bad frame that no frame called durable) is cut.  A bad frame before that is damage:
it stays where it is, readers step over it and tell a gap, and writing goes on in a new segment.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ordertape._engine import EventBatch, IdCodec
from ordertape.crash_points import crash_point
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder, sync_directory
from ordertape.tape.journal_reader import NO_EVENTS, JournalReader
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.segment import Position, Segment, SegmentReader, segments

__all__ = ["Recovered", "recover"]

_ROW_BYTES_MIN = 8
"""What an event takes in a frame at the least: half an id."""


@dataclass(slots=True)
class Recovered:
    """What a market's tape ends with."""

    last_seq: int = 0
    era: int = 0
    last_ts_recv: int = 0
    """ns; a gap since then is what nobody recorded."""
    price_scale: int | None = None
    size_scale: int | None = None
    codecs: MarketCodecs = field(default_factory=MarketCodecs)
    cut_bytes: int = 0
    """Of a torn tail: written, but never called durable."""
    damage: list[Mark] = field(default_factory=list)
    """Gap marks for damage found in what was durable."""
    state: Mark | None = None
    """The last ``state`` mark, where the journal still has one."""
    gap: Mark | None = None
    """The last ``gap`` mark, where the journal still has one."""
    simulated: bool = False
    segments_used: int = 0
    """Segment numbers up to this one were used before, whatever is left of them."""
    tail: Segment | None = None
    """Where writing goes on; None: in a new segment."""
    tail_offset: int = 0

    @property
    def codec(self) -> IdCodec:
        return self.codecs.order


def recover(folder: MarketFolder) -> Recovered:
    """Cuts a torn tail and reads what the tape ends with; only for who holds the writer's lock."""
    found = Recovered()
    archived = _read_archive(folder, found)
    _cut_unsynced_rolls(folder, found)
    for start in reversed(_left(folder, found)):
        if _read_tail(folder, found, start):
            break
    if archived > found.last_seq:
        found.last_seq, found.tail = archived, None
    return found


def _left(folder: MarketFolder, found: Recovered) -> list[Segment]:
    """The segments that the archive does not hold whole, oldest first.

    Older ones were let go; a power cut may have brought some of them back, and not others.
    """
    return [s for s in segments(folder.journal) if s.number >= found.segments_used]


def _read_archive(folder: MarketFolder, found: Recovered) -> int:
    if not folder.archive.exists():
        return 0
    # Not above: a fifth of a second to load, which a market without an archive starts sooner by.
    from ordertape.tape.archive_files import last_file, load_codecs

    newest = last_file(folder.archive)
    if newest is None:
        return 0
    info = newest.info
    found.codecs = load_codecs(folder)
    found.era, found.last_ts_recv = info.era, info.last_ts_recv
    found.price_scale, found.size_scale = info.price_scale, info.size_scale
    found.segments_used = info.journal[0] if info.journal else 0
    for archived in info.marks:
        _note_mark(found, archived.mark)
    return info.last_seq


def _note_mark(found: Recovered, mark: Mark) -> None:
    if mark.kind == "state":
        found.state = mark
    elif mark.kind == "gap":
        found.gap = mark
    elif mark.kind == "simulated":
        found.simulated = bool(mark.fields.get("simulated", True))


# Rolls that no sync reached -----------------------------------------------------------------------


def _walk(segment: SegmentReader) -> tuple[int, int]:
    """(offset behind the last whole frame before the first bad one, seq of the last of them)."""
    offset, seq = 0, segment.segment.first_seq - 1
    while (frame := segment.frame(offset)) is not None:
        offset += frame[0].length
        seq = max(seq, frame[0].last_seq)
    return offset, seq


def _cut_unsynced_rolls(folder: MarketFolder, found: Recovered) -> None:
    """Cuts where the power failed before the sync thread reached a segment that was rolled.

    Every segment is durable before a frame of the next one says that anything of it is, so only
    the segments before one that says nothing can be torn.
    """
    there = _left(folder, found)
    behind: list[Segment] = []
    while len(there) > 1:
        behind.insert(0, there.pop())
        with closing(SegmentReader(behind[0])) as segment:
            _walk(segment)
            if segment.synced > 0:
                return
        with closing(SegmentReader(there[-1])) as segment:
            end, seq = _walk(segment)
            whole = segment.is_blank(end) and seq + 1 == behind[0].first_seq
            if whole or end < segment.synced:
                continue
        for torn in behind:
            found.cut_bytes += _used_bytes(torn)
            torn.path.unlink()
        behind.clear()
        sync_directory(folder.journal)


def _used_bytes(segment: Segment) -> int:
    with closing(SegmentReader(segment)) as reader:
        return max((at + len(part.rstrip(b"\0")) for at, part in reader.data(0)), default=0)


# The tail -----------------------------------------------------------------------------------------


def _read_tail(folder: MarketFolder, found: Recovered, start: Segment) -> bool:
    """Reads from a segment to the end; False where its beginning, and so the era, is lost."""
    found.damage.clear()
    _read_terms(folder, found, start)
    with closing(
        JournalReader(folder, codecs=found.codecs, start=Position(start.number, 0))
    ) as reader:
        for frame in reader.read():
            if isinstance(frame.body, EventBatch):
                found.price_scale = frame.body.price_scale
                found.size_scale = frame.body.size_scale
            elif isinstance(frame.body, Mark):
                _note_mark(found, frame.body)
                if "damaged" in frame.body.fields:
                    found.damage.append(frame.body)
        found.codecs = reader.codecs
        found.last_seq = reader.seq or 0
        found.last_ts_recv = max(found.last_ts_recv, reader.ts_recv)
        if reader.segment is not None:
            _end_at(found, reader.segment, reader.position.offset)
        if reader.era is None:
            return False
        found.era = reader.era
    return True


def _end_at(found: Recovered, segment: SegmentReader, end: int) -> None:
    """Decides about what stands behind the last whole frame of the last segment."""
    if end < segment.synced:
        # Seqs that others may know must not be used again for other events.
        lost = (segment.synced - end) // _ROW_BYTES_MIN
        reason = f"the journal is damaged: {segment.synced - end} durable bytes can't be read"
        found.damage.append(
            gap_mark(found.last_seq, found.last_ts_recv, None, reason, era=found.era)
        )
        found.last_seq += lost
        return
    path = segment.segment.path
    if not segment.is_blank(end):
        found.cut_bytes += _used_bytes(segment.segment) - end
        os.truncate(path, end)
        crash_point("journal.tail_cut")
    if not found.damage:
        found.tail, found.tail_offset = segment.segment, end


def _read_terms(folder: MarketFolder, found: Recovered, start: Segment) -> None:
    """Dictionary terms of segments before this one that the archive does not hold yet."""
    with closing(SegmentReader(start)) as segment:
        first = segment.frame(0)
    if first is None or not isinstance(first[1], bytes):
        return
    fields = Mark.from_json(first[1]).fields
    _note_carried(found, fields)
    if sum(fields.get("terms", ())) <= found.codecs.order.terms + found.codecs.trade.terms:
        return
    first_left = Position(_left(folder, found)[0].number, 0)
    reader = JournalReader(folder, codecs=found.codecs, start=first_left, from_seq=NO_EVENTS)
    with closing(reader):
        for frame in reader.read():
            if frame.start.segment >= start.number:
                break
        found.codecs = reader.codecs


def _note_carried(found: Recovered, fields: dict[str, Any]) -> None:
    """What a segment's first mark says about the marks before it."""
    for carried in fields.get("carried", ()):
        _note_mark(found, Mark(**carried))
