"""The journal: frames appended to segments that are allocated ahead and synced by a thread.

One writer a market, held by a lock.  ``append`` returns once the frame is written (readers see it
at once); it is durable when ``synced_seq`` reaches it, at most ``journal_sync_ms_max`` and the
disk's own time later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook, encode_mark
from ordertape.crash_points import crash_point
from ordertape.errors import NoRoom, SyncFailed, TapeError
from ordertape.events import EventKind, Flag
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark, digest_mark
from ordertape.tape.recovery import Recovered, recover
from ordertape.tape.segment import EVENTS, SNAPSHOT, Segment, SegmentReader, segments
from ordertape.tape.syncer import OpenSegment, Syncer

__all__ = ["JournalWriter"]

_ROW_BYTES_MAX = 128
"""An event with every column raw takes 118 bytes in a frame."""
_TIMES_LISTED = 4_096
"""Times of one batch up to which a list is as good as an array: a venue's batches have fewer."""
_CARRIED = ("simulated", "state", "gap")
"""Marks whose last one every segment repeats, so that its reader needs none before it."""


class JournalWriter:
    """Appends to a market's journal.  Raises MarketBusy where another process does.

    ``recovered`` is what the tape ended with.  A ``book`` that is kept in step with what is
    appended is written as a snapshot at the beginning of each segment.
    """

    def __init__(
        self,
        folder: MarketFolder,
        *,
        book: OrderBook | None = None,
        segment_bytes: int = limits.journal_segment_bytes,
        sync_ms_max: float = limits.journal_sync_ms_max,
        on_failure: Callable[[SyncFailed], None] | None = None,
        on_synced: Callable[[int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.book = book
        self._segment_bytes = segment_bytes
        self._reserve = min(limits.journal_reserve_bytes, segment_bytes // 8)
        frame_rows = segment_bytes // 4 // _ROW_BYTES_MAX
        self._frame_rows = max(1, min(limits.journal_frame_rows_max, frame_rows))
        self._snapshot_due = False
        self._open: OpenSegment | None = None
        with ExitStack() as locks:
            locks.enter_context(folder.writing())
            folder.journal.mkdir(parents=True, exist_ok=True)
            self.recovered: Recovered = recover(folder)
            self._codecs = self.recovered.codecs
            self._era = self.recovered.era
            self._ts_recv = self.recovered.last_ts_recv
            self._scales = (self.recovered.price_scale, self.recovered.size_scale)
            carried = (self.recovered.state, self.recovered.gap)
            self._carried = {mark.kind: mark for mark in carried if mark is not None}
            if self.recovered.simulated:
                self._carried["simulated"] = Mark("simulated", 0, 0, {"simulated": True})
            self.written_seq = self.recovered.last_seq
            begin = max(0, sync_ms_max - 2 * limits.journal_write_ms_max)
            self._syncer = Syncer(begin, on_failure, on_synced)
            locks.callback(self._syncer.stop)
            self._begin()
            self._locks = locks.pop_all()

    # Writing --------------------------------------------------------------------------------------

    def append(self, batch: EventBatch) -> None:
        """Writes events; their seqs go on where the tape ends.  Raises TapeError, SyncFailed."""
        if not len(batch):
            return
        batch = self._codecs.adopt(batch)
        self._check(batch)
        for mark in self._codecs.unwritten(self.written_seq, self._ts_recv):
            self._put_mark(mark)
        self._scales = (batch.price_scale, batch.size_scale)
        for first in range(0, len(batch), self._frame_rows):
            rows = batch[first : first + self._frame_rows]
            self._put(rows, EVENTS)
            self._era += rows.counts()[EventKind.CLEAR]
            self._ts_recv = rows.last_ts_recv
            self._wrote(rows.last_seq)
        if self._snapshot_due and batch.last_complete() == len(batch):
            self._snapshot_if_in_step()

    def snapshot(self, book: OrderBook) -> None:
        """Writes the whole book and its digest; the book stands after the last event written."""
        if book.seq != self.written_seq:
            raise TapeError(
                f"{self.folder.market}: expected the book after event {self.written_seq}, "
                f"found it after {book.seq}"
            )
        self._snapshot_due = False
        crash_point("journal.snapshot_begun")
        rows = book.snapshot()
        for first in range(0, len(rows), self._frame_rows):
            self._put(rows[first : first + self._frame_rows], SNAPSHOT)
        self._snapshot_due = False  # a roll on the way would ask for another
        crash_point("journal.snapshot_written")
        self._put_mark(digest_mark(book, time.time_ns(), terms=self._codecs.written))
        self._wrote(self.written_seq)

    def mark(self, mark: Mark) -> None:
        """Writes a mark behind what was appended so far."""
        if mark.kind in _CARRIED:
            self._carried[mark.kind] = mark
        self._put_mark(mark)
        self._wrote(self.written_seq)

    @property
    def synced_seq(self) -> int:
        """The last event that is durable."""
        return self._syncer.synced_seq

    def sync(self) -> None:
        """Returns once everything written is durable.  Raises SyncFailed."""
        self._syncer.wait()

    def close(self) -> None:
        """Makes everything durable, cuts the segment to its frames and lets the lock go."""
        self._open = None
        self._locks.close()
        if self._syncer.failure is not None:
            raise self._syncer.failure

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Checks ---------------------------------------------------------------------------------------

    def _check(self, batch: EventBatch) -> None:
        """The pair of what a reader checks: seqs without a hole, times that never decrease."""
        first, last, events = batch.first_seq, batch.last_seq, sum(batch.counts())
        begins = self.written_seq if _begins_inside(batch) else self.written_seq + 1
        if first != begins or last != self.written_seq + events:
            raise TapeError(
                f"{self.folder.market}: expected {events} events after {self.written_seq}, "
                f"found seq {first} to {last}"
            )
        times = memoryview(batch.column("ts_recv") or b"")
        if times[0] < self._ts_recv or _decrease(times):
            raise TapeError(
                f"{self.folder.market}: expected ts_recv never to decrease after {self._ts_recv}, "
                f"found {times[0]} to {times[-1]}"
            )

    def _wrote(self, seq: int) -> None:
        self.written_seq = seq
        self._segment.written_seq = seq
        self._syncer.wrote()

    # Frames ---------------------------------------------------------------------------------------

    @property
    def _segment(self) -> OpenSegment:
        if self._open is None:
            raise TapeError(f"{self.folder.market}: the journal is closed")
        if self._syncer.failure is not None:
            raise self._syncer.failure
        return self._open

    def _put(self, rows: EventBatch, frame_type: int) -> None:
        frame = rows.encode_frame(frame_type, self._segment.synced)
        if not self._fits(len(frame) + self._reserve):
            self._roll(len(frame))
            # A frame says how much of its own segment is durable.
            frame = rows.encode_frame(frame_type, self._segment.synced)
        self._write(frame)

    def _put_mark(self, mark: Mark) -> None:
        payload = mark.to_json()
        frame = encode_mark(payload, self.written_seq, self._ts_recv, self._segment.synced)
        if not self._fits(len(frame)):
            self._roll(len(frame))
            frame = encode_mark(payload, self.written_seq, self._ts_recv, self._segment.synced)
        self._write(frame)

    def _fits(self, length: int) -> bool:
        return self._segment.written + length <= self._segment.capacity

    def _write(self, frame: bytes) -> None:
        segment = self._segment
        crash_point("journal.frame_due")
        try:
            written = os.pwrite(segment.fd, frame, segment.written)
        except OSError as error:
            raise TapeError(
                f"{self.folder.market}: can't write {segment.segment.path}: {error}"
            ) from None
        if written != len(frame):
            raise TapeError(
                f"{self.folder.market}: expected to write {len(frame)} bytes to "
                f"{segment.segment.path}, wrote {written}"
            )
        segment.written += written
        crash_point("journal.frame_written")

    # Segments -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Goes on in the last segment where that is whole, else in a new one."""
        for last in segments(self.folder.journal)[-1:]:
            # What recovery read is durable from here on, whatever the last writer managed to sync.
            with closing(SegmentReader(last)) as reader:
                reader.make_durable()
        self._syncer.synced_seq = self.written_seq
        tail, end = self.recovered.tail, self.recovered.tail_offset
        if (
            tail is None
            or end >= self._segment_bytes - self._reserve
            or (end == 0 and tail.first_seq != self.written_seq + 1)
        ):
            self._roll(0)
            return
        fd = os.open(tail.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._allocate(fd, self._segment_bytes)
        except TapeError:
            os.close(fd)
            raise
        self._open = OpenSegment(
            tail, fd, self._segment_bytes, end, self.written_seq, end, named=True
        )
        if end == 0:
            # The last writer was killed between the making of the segment and its first mark.
            self._write(self._first_mark(tail.number))
        self._syncer.follow(self._open)
        if end == 0:
            self._syncer.wrote()
        self._snapshot_due = self.book is not None

    def _roll(self, frame_bytes: int) -> None:
        """Begins the next segment, large enough for a frame of that many bytes."""
        used = [segment.number for segment in segments(self.folder.journal)]
        number = max([self.recovered.segments_used, *used]) + 1
        segment = Segment.named(self.folder.journal, number, self.written_seq + 1)
        first = self._first_mark(number)
        capacity = max(self._segment_bytes, len(first) + frame_bytes + self._reserve)
        fd = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        crash_point("journal.segment_created")
        try:
            self._allocate(fd, capacity)
        except TapeError:
            os.close(fd)
            segment.path.unlink()
            raise
        crash_point("journal.segment_allocated")
        self._open = OpenSegment(segment, fd, capacity)
        self._write(first)
        crash_point("journal.segment_begun")
        self._open.written_seq = self.written_seq
        self._syncer.follow(self._open)
        self._syncer.wrote()
        self._snapshot_due = self.book is not None

    def _allocate(self, fd: int, size: int) -> None:
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            raise NoRoom(
                f"{self.folder.market}: no room for a journal segment of {size:,} bytes in "
                f"{self.folder.journal} ({error.strerror}); what is written stays, nothing more "
                "can be recorded until there is room"
            ) from None

    def _first_mark(self, number: int) -> bytes:
        order, trade = self._codecs.specs
        fields = {
            "version": 1,
            "exchange": self.folder.exchange,
            "symbol": self.folder.symbol,
            "number": number,
            "era": self._era,
            "codec": order,
            "trade_codec": trade,
            "terms": self._codecs.written,
            "price_scale": self._scales[0],
            "size_scale": self._scales[1],
            "carried": list(self._carried.values()),
        }
        mark = Mark("segment", self.written_seq, time.time_ns(), fields)
        return encode_mark(mark.to_json(), self.written_seq, self._ts_recv, 0)

    def _snapshot_if_in_step(self) -> None:
        book = self.book
        if book is not None and book.seq == self.written_seq:
            self.snapshot(book)


def _begins_inside(batch: EventBatch) -> bool:
    """Whether a batch begins with rows of a snapshot whose CLEAR came in the one before."""
    return bool(memoryview(batch.column("flags") or b"")[0] & Flag.SNAPSHOT)


def _decrease(times: memoryview) -> bool:
    """Whether a time is before the one in front of it."""
    if len(times) <= _TIMES_LISTED:
        listed = times.tolist()
        return bool(listed != sorted(listed))
    import numpy as np  # an eighth of a second to load: what a collector's start can do without

    array = np.asarray(times)
    return bool((array[1:] < array[:-1]).any())
