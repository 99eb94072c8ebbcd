"""Any stretch of a market's events by seq or time, without reading what lies before it.

The archive's row groups say which seqs and times they hold; of the journal a sparse index is kept
that grows with it.  Events alone: the rows that followed a CLEAR are state and not given.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.errors import IdRefused, TapeCorrupt
from ordertape.events import Flag
from ordertape.tape.archive_files import ArchiveFile, list_files, load_codecs
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.file_groups import Group, group_spans, read_group
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal_reader import JournalReader
from ordertape.tape.marks import Mark
from ordertape.tape.segment import EVENTS, MARK, Position, Segment, SegmentReader, segments

__all__ = ["TapeLookup"]

_TERMS = b'"kind":"terms"'


class _Group(NamedTuple):
    """A row group of a file and what it holds."""

    file: ArchiveFile
    nth: int
    first_seq: int
    last_seq: int
    last_ts: int


class _Point(NamedTuple):
    """A place in the journal, and the last seq and time (ns) of the events before it."""

    place: Position
    seq: int
    ts_recv: int


class TapeLookup:
    """One market's tape; to be kept, as what it learnt makes the next answer quicker.

    May be used by several threads, one at a time.
    """

    def __init__(self, folder: MarketFolder) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._decoded: OrderedDict[tuple[Path, int], Group] = OrderedDict()
        self._codecs = MarketCodecs()
        self._codecs_of: str | None = None
        self._index: dict[int, _SegmentIndex] = {}
        self._written: MarketCodecs | None = None

    def last_seq(self) -> int:
        """Of the last event on the tape, 0 where there is none."""
        with self._lock:
            files = list_files(self.folder.archive)
            archived = files[-1].last_seq if files else 0
            return max(archived, *(index.last.seq for index in self._indexed()), 0)

    def last_ts(self) -> int | None:
        """``ts_recv`` of the last event (ns), None where there is none."""
        last = self.last_seq()
        found = self.events(last, last)
        return found[-1].last_ts_recv if found else None

    def first_seq(self) -> int:
        """Of the first event that is still on the tape."""
        files = list_files(self.folder.archive)
        if files:
            return files[0].first_seq
        there = segments(self.folder.journal)
        return there[0].first_seq if there else 1

    def seq_from(self, ts: int) -> int:
        """The first event with ``ts_recv`` >= ``ts`` (ns); behind the last where there is none."""
        with self._lock:
            last = 0
            for file in list_files(self.folder.archive):
                last = file.last_seq
                if file.info.last_ts_recv < ts:
                    continue
                for group in _groups(file):
                    if group.last_ts >= ts:
                        return _first_at(self._rows(group, 0, group.last_seq), ts)
            for index in self._indexed():
                if index.last.ts_recv < ts or index.last.seq <= last:
                    last = max(last, index.last.seq)
                    continue
                for batch in self._journal(index.before_time(ts), last + 1):
                    if batch.last_ts_recv >= ts:
                        return _first_at(batch, ts)
                    last = max(last, batch.last_seq)
            return last + 1

    def events(self, first: int, last: int) -> list[EventBatch]:
        """The events from seq ``first`` to ``last``, both with it, in order."""
        with self._lock:
            found: list[EventBatch] = []
            archived = 0
            for file in list_files(self.folder.archive):
                archived = file.last_seq
                if file.last_seq < first or file.first_seq > last:
                    continue
                found += [
                    self._rows(group, first, last)
                    for group in _groups(file)
                    if group.last_seq >= first and group.first_seq <= last
                ]
            if archived < last:
                found += self._from_journal(max(first, archived + 1), last)
        cut = (b[b.search_seq(first) : b.search_seq(last + 1)] for b in found)
        return [batch for batch in cut if len(batch)]

    # The archive ----------------------------------------------------------------------------------

    def _rows(self, group: _Group, first: int, last: int) -> EventBatch:
        """The events of a group from ``first`` to ``last``, both with it."""
        first, last = max(first, group.first_seq), min(last, group.last_seq)
        key, info = (group.file.path, group.nth), group.file.info
        scales, codecs = (info.price_scale, info.size_scale), self._known_codecs()
        decoded = self._decoded.get(key)
        if decoded is None:
            decoded = read_group(group.file.path, group.nth, group.first_seq, scales, codecs)
            self._decoded[key] = decoded
            while len(self._decoded) > limits.lookup_groups_kept:
                self._decoded.popitem(last=False)
        self._decoded.move_to_end(key)
        return decoded.batch(
            first - group.first_seq,
            last - group.first_seq + 1,
            np.arange(first, last + 1),
            scales,
            codecs,
        )

    def _known_codecs(self) -> MarketCodecs:
        """With every dictionary term of the archive, loaded anew when it has grown."""
        files = list_files(self.folder.archive)
        newest = files[-1].path.name if files else ""
        if newest != self._codecs_of:
            self._codecs, self._codecs_of = load_codecs(self.folder), newest
            self._decoded.clear()  # some of it holds the codecs that it was decoded with
        return self._codecs

    # The journal ----------------------------------------------------------------------------------

    def _from_journal(self, first: int, last: int) -> list[EventBatch]:
        for index in self._indexed():
            if index.last.seq >= first:
                break
        else:
            return []
        found = []
        for batch in self._journal(index.before(first), first):
            if batch.first_seq > last:
                break
            found.append(batch)
            if batch.last_seq >= last:
                break
        return found

    def _journal(self, point: _Point, from_seq: int) -> Iterator[EventBatch]:
        """Batches of events from a point on, without the rows that followed a CLEAR."""
        # The index took in the dictionary's terms, which may stand anywhere before.
        reader = JournalReader(
            self.folder,
            codecs=self._written,
            start=point.place,
            seq=point.seq,
            from_seq=from_seq,
        )
        try:
            for frame in reader.read(final=False):
                if isinstance(frame.body, EventBatch):
                    yield from _without_state(frame.body)
        finally:
            self._written = reader.codecs  # which learnt the form of the ids
            reader.close()

    def _indexed(self) -> list[_SegmentIndex]:
        """The index of every segment, as far as it is written now."""
        try:
            return self._grown()
        except (IdRefused, TapeCorrupt):
            # A crash cut off what was not durable, and other ids took its place; or the archive
            # took a segment, with its part of the dictionary, before it was read here.
            self._index.clear()
            self._written = None
            return self._grown()

    def _grown(self) -> list[_SegmentIndex]:
        if self._written is None:
            self._written = load_codecs(self.folder)
        there = segments(self.folder.journal)
        numbers = {segment.number for segment in there}
        for gone in self._index.keys() - numbers:
            del self._index[gone]
        for nth, segment in enumerate(there):
            index = self._index.get(segment.number)
            if index is None:
                index = self._index[segment.number] = _SegmentIndex(segment)
            if not index.complete:
                newest = nth == len(there) - 1
                index.grow(newest, self._written)
                index.complete = not newest
        return [self._index[segment.number] for segment in there]


class _SegmentIndex:
    """Sparse points of one segment."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.complete = False
        start = Position(segment.number, 0)
        self.last = _Point(start, segment.first_seq - 1, 0)
        self.points = [self.last]

    def grow(self, newest: bool, codecs: MarketCodecs) -> None:
        """Takes in what was written since, ids of the dictionary into ``codecs``.

        ``newest``: a place without a frame is its end.
        """
        try:
            reader = SegmentReader(self.segment)
        except FileNotFoundError:
            return  # archived meanwhile
        with closing(reader):
            offset, seq, ts = self.last.place.offset, self.last.seq, self.last.ts_recv
            indexed = self.points[-1].place.offset
            while True:
                header = reader.header(offset)
                if header is None:
                    # Damage, where another frame stands behind it.
                    place = None if newest else reader.find(offset + 8)
                    if place is None:
                        break
                    offset = place
                    continue
                if offset - indexed >= limits.lookup_index_bytes:
                    self.points.append(_Point(Position(self.segment.number, offset), seq, ts))
                    indexed = offset
                if header.type == EVENTS:
                    seq, ts = max(seq, header.last_seq), max(ts, header.ts_recv)
                elif header.type == MARK:
                    _load_terms(reader, offset, codecs)
                offset += header.length
            self.last = _Point(Position(self.segment.number, offset), seq, ts)

    def before(self, seq: int) -> _Point:
        """The last point that has nothing but earlier events before it."""
        place = bisect_right(self.points, seq - 1, key=lambda point: point.seq)
        return self.points[max(0, place - 1)]

    def before_time(self, ts: int) -> _Point:
        """The same by time (ns)."""
        place = bisect_right(self.points, ts - 1, key=lambda point: point.ts_recv)
        return self.points[max(0, place - 1)]


def _load_terms(reader: SegmentReader, offset: int, codecs: MarketCodecs) -> None:
    found = reader.frame(offset)
    if found is not None and isinstance(found[1], bytes) and _TERMS in found[1]:
        codecs.load(Mark.from_json(found[1]))


@lru_cache(limits.archive_files_known)
def _groups(file: ArchiveFile) -> list[_Group]:
    """The row groups of a file, which never changes."""
    groups, seq = [], file.first_seq
    for nth, span in enumerate(group_spans(file.path)):
        groups.append(_Group(file, nth, seq, seq + span.rows - 1, span.last_ts))
        seq += span.rows
    return groups


def _first_at(batch: EventBatch, ts: int) -> int:
    """The first seq at or behind a time that the batch reaches."""
    return batch[batch.search_ts_recv(ts - 1) :].first_seq


def _without_state(batch: EventBatch) -> Iterator[EventBatch]:
    """The runs of rows that are events."""
    flags = batch.column("flags")
    state = (np.asarray(flags) & Flag.SNAPSHOT) != 0 if flags is not None else None
    if state is None or not state.any():
        yield batch
        return
    first = 0
    for end in [*(np.flatnonzero(state[1:] != state[:-1]) + 1).tolist(), len(batch)]:
        if not state[first]:
            yield batch[first:end]
        first = end
