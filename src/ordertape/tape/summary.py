"""What a tape holds, without replaying it: how many events, from when to when, its gaps."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ordertape._engine import EventBatch
from ordertape.events import EventKind
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import EVENTS, SegmentReader, segments

__all__ = ["TapeSummary", "segment_end", "summary_of"]


@dataclass(frozen=True, slots=True)
class TapeSummary:
    """``first_ts`` and ``last_ts``: ``ts_recv`` (ns) of the first and the last event there is."""

    events: int = 0
    last_seq: int = 0
    first_ts: int | None = None
    last_ts: int | None = None
    history: History = field(default_factory=History)


def segment_end(path: Path) -> tuple[int, int] | None:
    """(seq, era) behind the last whole frame of a journal's segment; None where it has none."""
    segment = next((found for found in segments(path.parent) if found.path == path), None)
    if segment is None:
        return None
    with closing(SegmentReader(segment)) as reader:
        first = reader.frame(0)
        if first is None or not isinstance(first[1], bytes):
            return None
        offset, seq = first[0].length, segment.first_seq - 1
        era = int(Mark.from_json(first[1]).fields["era"])
        while (frame := reader.frame(offset)) is not None:
            header, body = frame
            offset, seq = offset + header.length, max(seq, header.last_seq)
            if header.type == EVENTS and isinstance(body, EventBatch):
                era += body.counts()[EventKind.CLEAR]
    return seq, era


def summary_of(folder: MarketFolder) -> TapeSummary:
    """What is on the tape now.  Raises UnknownMarket, TapeCorrupt."""
    reader = TapeReader(folder.data, folder.exchange, folder.symbol)
    lookup = TapeLookup(folder)
    first, last = lookup.first_seq(), lookup.last_seq()
    begin = lookup.events(first, first)
    missing, history = 0, History()
    for mark in reader.marks():
        history.take(mark)
        if "missing_from" in mark.fields:
            # What is missing before the first event there is counts in no case.
            begun = max(mark.fields["missing_from"], first)
            missing += max(0, min(mark.fields["missing_to"], last) - begun + 1)
    return TapeSummary(
        events=max(0, last - first + 1 - missing),
        last_seq=last,
        first_ts=begin[0][0]["ts_recv"] if begin else None,
        last_ts=lookup.last_ts(),
        history=history,
    )
