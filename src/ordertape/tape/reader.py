"""A market's tape as one: archive, then journal, without a seam, beside a running writer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple, TypeAlias

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.tape.archive_files import load_codecs
from ordertape.tape.archive_reader import ArchiveReader, Window
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal_reader import JournalReader
from ordertape.tape.marks import Mark
from ordertape.tape.segment import Position, SegmentReader, segments
from ordertape.tape.snapshot import Snapshot
from ordertape.times import Time, parse_time

__all__ = ["Near", "Tail", "TapeReader", "read_tape"]

Item: TypeAlias = EventBatch | Mark | Snapshot
Stop: TypeAlias = threading.Event | Callable[[], bool]


class Near(NamedTuple):
    """A place in the journal, the event before it, and the dictionaries up to there or further."""

    place: Position
    seq: int
    codecs: MarketCodecs


class TapeReader:
    """What a tape holds from an event on.  Raises UnknownMarket where there is none.

    Every method begins at ``from_seq`` anew.  Whole frames only; the rows behind a CLEAR are
    with it; marks that stand behind event ``from_seq - 1`` or later belong to it.
    """

    def __init__(
        self, data: str | os.PathLike[str], exchange: str, symbol: str, from_seq: int = 1
    ) -> None:
        self.folder = MarketFolder(data, exchange, symbol)
        self.folder.require()
        self.from_seq = from_seq

    def since(self, from_seq: int) -> TapeReader:
        """The same market from another event on."""
        return TapeReader(self.folder.data, self.folder.exchange, self.folder.symbol, from_seq)

    def batches(
        self, *, place: Position | None = None, codecs: MarketCodecs | None = None
    ) -> Iterator[EventBatch]:
        """The events there are now.

        ``place`` and ``codecs``: where in the journal event ``from_seq`` is known to come next, and
        the dictionaries up to there, so that nothing before is read.
        """
        reading = _Reading(self.folder, Window(self.from_seq))
        if place is not None and codecs is not None:
            reading.begin_at(Near(place, self.from_seq - 1, codecs))
        for item in reading.items():
            if isinstance(item, EventBatch):
                yield item

    def marks(self) -> Iterator[Mark]:
        """The marks there are now; events are not decoded for them where that can be avoided."""
        yield from _Reading(self.folder, Window(self.from_seq), marks=True).marks()

    def items(self, *, snapshots: bool = False) -> Iterator[Item]:
        """Events and marks there are now, in order; whole books too where wanted."""
        window = Window(self.from_seq)
        yield from _Reading(self.folder, window, marks=True, snapshots=snapshots).items()

    def tail(self, *, snapshots: bool = False, near: Near | None = None) -> Tail:
        """For followers that keep their own time; to be closed.

        ``near``: before event ``from_seq``; what lies before it is not read.
        """
        reading = _Reading(self.folder, Window(self.from_seq), marks=True, snapshots=snapshots)
        if near is not None:
            reading.begin_at(near)
        return Tail(reading)

    def follow(
        self, stop: Stop, poll_ms_max: float = limits.follow_poll_ms_max
    ) -> Iterator[EventBatch | Mark]:
        """Events and marks, those to come too, until ``stop`` is set or returns true."""
        reading = _Reading(self.folder, Window(self.from_seq), marks=True)
        wait_ms = limits.follow_poll_ms_min
        try:
            while not _is_set(stop):
                found = False
                for item in reading.items(final=False):
                    found = True
                    assert not isinstance(item, Snapshot)
                    yield item
                    if _is_set(stop):
                        return
                wait_ms = limits.follow_poll_ms_min if found else min(wait_ms * 2, poll_ms_max)
                _wait(stop, wait_ms / 1000)
        finally:
            reading.close()


class Tail:
    """A tape being followed: what came since the last look, and a way to make it durable."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading

    def items(self) -> Iterator[Item]:
        """What is there and was not given yet, in order."""
        return self._reading.items(final=False)

    def make_durable(self) -> None:
        """Everything given so far outlives a power cut afterwards, whoever wrote it."""
        self._reading.make_durable()

    def close(self) -> None:
        self._reading.close()


def read_tape(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
) -> Iterator[EventBatch]:
    """The events of a market from ``start`` to before ``end``, by our clock (ts_recv).

    Without ``start`` from the first event there is; orders that stood behind a CLEAR come with it.
    Raises UnknownMarket, SettingRefused.
    """
    folder = MarketFolder(data, exchange, symbol)
    folder.require()
    window = Window(
        1,
        None if start is None else parse_time(start),
        None if end is None else parse_time(end),
    )
    return (batch for batch in _Reading(folder, window).items() if isinstance(batch, EventBatch))


def _is_set(stop: Stop) -> bool:
    return stop.is_set() if isinstance(stop, threading.Event) else stop()


def _wait(stop: Stop, seconds: float) -> None:
    if isinstance(stop, threading.Event):
        stop.wait(seconds)
    else:
        time.sleep(seconds)


class _Reading:
    """One pass over a tape: from the archive into the journal, and back where that moved on."""

    def __init__(
        self, folder: MarketFolder, window: Window, *, marks: bool = False, snapshots: bool = False
    ) -> None:
        self._folder = folder
        self._window = window
        self._marks = marks
        self._snapshots = snapshots
        self._next_seq = window.from_seq
        self._journal: JournalReader | None = None
        self._durable_segment = 0
        """Segments before this one are durable."""

    def make_durable(self) -> None:
        """Syncs the segments read since the last call; the archive's files are durable."""
        if self._journal is None:
            return
        current = self._journal.position.segment
        for segment in segments(self._folder.journal):
            if self._durable_segment <= segment.number <= current:
                try:
                    written = SegmentReader(segment)
                except FileNotFoundError:
                    continue  # archived meanwhile, and so durable
                with closing(written):
                    written.make_durable()
        self._durable_segment = current

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def begin_at(self, near: Near) -> None:
        """Begins in the journal, where the next event wanted comes behind a place."""
        self._journal = JournalReader(
            self._folder,
            codecs=near.codecs,
            start=near.place,
            seq=near.seq,
            from_seq=self._next_seq,
            snapshots=self._snapshots,
        )

    def items(self, *, final: bool = True) -> Iterator[Item]:
        """What is there and was not given yet; ``final``: it is not asked again."""
        try:
            if self._journal is None:
                yield from self._from_archive()
            while True:
                assert self._journal is not None
                yield from self._from_journal(self._journal, final)
                if not self._journal.lost:
                    return
                # The archive has let go the segment that would have come next.
                yield from self._from_archive(self._journal.position)
        finally:
            if final:
                self.close()

    def marks(self) -> Iterator[Mark]:
        """The marks alone."""
        archive = self._archive(None)
        yield from archive.read_marks()
        self._enter_journal(archive, None)
        for item in self.items():
            if isinstance(item, Mark):
                yield item

    def _from_archive(self, after: Position | None = None) -> Iterator[Item]:
        """``after``: where the journal was lost, so that its marks before are not told again."""
        archive = self._archive(after)
        yield from archive.read()
        self._enter_journal(archive, after)

    def _archive(self, after: Position | None) -> ArchiveReader:
        return ArchiveReader(
            self._folder,
            load_codecs(self._folder),
            self._window._replace(from_seq=self._next_seq),
            marks=self._marks,
            snapshots=self._snapshots,
            after=after,
        )

    def _enter_journal(self, archive: ArchiveReader, after: Position | None) -> None:
        self._next_seq = max(self._next_seq, archive.next_seq)
        start, last_seq = archive.place, archive.last_seq
        if after is not None and (start is None or start <= after):
            # What we were to read next is gone, but not into the archive: on with what is left.
            left = [s.number for s in segments(self._folder.journal) if s.number > after.segment]
            start = Position(left[0], 0) if left else after
            last_seq = self._next_seq - 1
        self.close()
        self._journal = JournalReader(
            self._folder,
            codecs=archive.codecs,
            start=start,
            seq=last_seq,
            from_seq=self._next_seq,
            snapshots=self._snapshots,
        )

    def _from_journal(self, journal: JournalReader, final: bool) -> Iterator[Item]:
        for frame in journal.read(final=final):
            body = frame.body
            if isinstance(body, EventBatch):
                self._next_seq = body.last_seq + 1
                rows = self._window.cut(body)
                if len(rows):
                    yield rows
                elif self._window.is_over(body.last_ts_recv):
                    return
            elif isinstance(body, Snapshot) or (
                self._marks and frame.after >= self._window.from_seq - 1
            ):
                yield body
