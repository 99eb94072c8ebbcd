"""Writing an archive: events into files, whole books beside them, everything else in metadata.

Nothing that was appended is seen by anyone before ``commit``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import TapeError
from ordertape.events import EventKind, Flag
from ordertape.tape.archive_columns import (
    Columns,
    Layout,
    gather,
    layout_of,
)
from ordertape.tape.archive_files import (
    ArchivedMark,
    ArchiveFile,
    FileInfo,
    commit_files,
    finish_commit,
    last_file,
    load_codecs,
    make_durable,
)
from ordertape.tape.archive_reader import book_at_end
from ordertape.tape.bases import Base, write_base
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import Mark
from ordertape.tape.open_file import OpenFile
from ordertape.tape.seal import SEALED_VERSION, UNSEALED
from ordertape.tape.segment import Position
from ordertape.tape.snapshot import Snapshot
from ordertape.tape.waiting import WaitingMarks, WaitingRows
from ordertape.times import NS_PER_SECOND, day_end

__all__ = ["ArchiveWriter"]


class _Held(NamedTuple):
    """Rows of a message that is not complete yet, and where they stand in the journal."""

    rows: EventBatch
    place: Position | None


class ArchiveWriter:
    """Goes on where a market's archive ends; only for who holds its lock.

    ``append`` takes whole batches in order, ``mark`` what stands between them.  ``place`` is where
    in the journal they come from, so that the archive knows where the journal goes on.
    """

    def __init__(
        self,
        folder: MarketFolder,
        *,
        file_rows_max: int = limits.archive_file_rows_max,
        row_group_rows: int = limits.archive_row_group_rows,
        base_seconds_max: int = limits.base_seconds_max,
    ) -> None:
        self.folder = folder
        self._file_rows_max = file_rows_max
        self._row_group_rows = row_group_rows
        self._base_ns = base_seconds_max * NS_PER_SECOND
        folder.archive.mkdir(parents=True, exist_ok=True)
        finish_commit(folder.archive)
        make_durable(folder.archive)  # segments of the journal may go for what is found here
        newest = last_file(folder.archive)
        info = newest.info if newest is not None else None
        self.codecs = load_codecs(folder)
        self.last_seq = info.last_seq if info is not None else 0
        self.last_ts_recv = info.last_ts_recv if info is not None else 0
        self.era = info.era if info is not None else 0
        self.place = Position(*info.journal) if info is not None and info.journal else None
        """Where the journal goes on behind what the open file holds."""
        self.committed_seq = self.last_seq
        self.committed_place = self.place
        self._book: OrderBook | None = book_at_end(folder, self.codecs)
        self._based = (self.last_seq, self.last_ts_recv)
        self._fenced = False
        self._held: list[_Held] = []
        self._pending = WaitingRows(folder.archive)
        self._pending_place: Position | None = None
        self._rows = 0
        self._day_end = 0
        self._clear_rows: list[EventBatch] | None = None
        self._clears: list[int] = []
        self._marks = WaitingMarks(folder.archive)
        self._file: OpenFile | None = None
        self._moves: list[tuple[Path, Path]] = []

    # What comes in --------------------------------------------------------------------------------

    def append(
        self, batch: EventBatch, place: Position | None = None, end: Position | None = None
    ) -> None:
        """Takes events whose seqs go on where the archive ends.  Raises TapeError."""
        if not len(batch):
            return
        batch = self.codecs.adopt(batch)
        self._check(batch)
        for mark in self.codecs.unwritten(self.last_seq, self.last_ts_recv):
            self._marks.append(ArchivedMark(self.last_seq, None, mark))
        self.last_seq, self.last_ts_recv = batch.last_seq, batch.last_ts_recv
        complete = batch.last_complete()
        if complete == 0:
            self._held.append(_Held(batch, place))
            return
        held, self._held = self._held, []
        for rows, from_place in [*held, _Held(batch[:complete], place)]:
            self.place = from_place or self.place
            self._consume(rows)
        if complete < len(batch):
            self._held.append(_Held(batch[complete:], place))
        else:
            self.place = end or self.place

    def mark(self, mark: Mark, place: Position | None = None, end: Position | None = None) -> None:
        """Takes a mark behind what was appended so far."""
        self._marks.append(ArchivedMark(self.last_seq, place, mark))
        if not self._held:
            self.place = end or self.place

    def fence(self) -> None:
        """Events are missing from here on: no book is known until a CLEAR or a snapshot."""
        for rows, _ in self._held:
            self._consume(rows)
        self._held.clear()
        self.close_file()
        self._book, self._fenced = None, True

    def heal(self, snapshot: Snapshot) -> None:
        """A whole book from the journal: makes books known again behind a fence."""
        if self._book is None and not self._held and snapshot.seq >= self.last_seq:
            self.last_seq, self.era = snapshot.seq, snapshot.era
            self._book = snapshot.book(self.codecs)
            self._write_base(snapshot)

    def _check(self, batch: EventBatch) -> None:
        inside = bool(np.asarray(batch.column("flags"))[0] & Flag.SNAPSHOT)
        expected = self.last_seq if inside else self.last_seq + 1
        first, last, events = batch.first_seq, batch.last_seq, sum(batch.counts())
        begins = first == expected or (self._fenced and first > expected)
        if not begins or last != first + events - (0 if inside else 1):
            raise TapeError(
                f"{self.folder.market}: expected {events} events after {self.last_seq} in the "
                f"archive, found seq {first} to {last}"
            )
        times = np.asarray(batch.column("ts_recv"))
        if times[0] < self.last_ts_recv or (times[1:] < times[:-1]).any():
            raise TapeError(
                f"{self.folder.market}: expected ts_recv never to decrease after "
                f"{self.last_ts_recv}, found {times[0]} to {times[-1]}"
            )
        self._fenced = False

    # Rows -----------------------------------------------------------------------------------------

    def _consume(self, rows: EventBatch) -> None:
        """Takes rows in runs that end where a file, a row group, a day or a base does."""
        while len(rows):
            if self._rows and self._next_day(rows) == 0 and self._clear_rows is None:
                self.close_file()
            if not self._rows:
                self._day_end = day_end(int(np.asarray(rows.column("ts_recv"))[0]))
            taken = rows[: _cut(rows, self._room(rows))]
            self._take(taken)
            rows = rows[len(taken) :]
            if taken.last_complete() == len(taken) and self._clear_rows is None:
                self._settle()

    def _next_day(self, rows: EventBatch) -> int:
        """Index of the first row behind the day of the open file."""
        return rows.search_ts_recv(self._day_end - 1)

    def _room(self, rows: EventBatch) -> int:
        base_due = rows.search_ts_recv(self._based[1] + self._base_ns - 1)
        room = min(
            self._file_rows_max - self._rows,
            self._row_group_rows - len(self._pending),
            self._next_day(rows),
            base_due if base_due > 0 else len(rows),
        )
        return max(1, room)

    def _take(self, rows: EventBatch) -> None:
        """Splits rows into events and the books that follow a CLEAR."""
        kinds, flags = np.asarray(rows.column("kind")), np.asarray(rows.column("flags"))
        clears = kinds == EventKind.CLEAR
        snapshots = (flags & Flag.SNAPSHOT) != 0
        if not clears.any() and not snapshots.any():
            self._events(rows)
            return
        # A run ends behind a CLEAR and where rows of a snapshot begin or end.
        ends = np.flatnonzero(clears[:-1] | (snapshots[1:] != snapshots[:-1])) + 1
        first = 0
        for end in [*ends.tolist(), len(rows)]:
            run = rows[first:end]
            if snapshots[first]:
                self._snapshot_rows(run)
            else:
                self._events(run)
                if clears[end - 1]:
                    self._clear_rows = []
                    self._clears.append(run.last_seq)
            first = end

    def _events(self, rows: EventBatch) -> None:
        self._finish_clear()
        clears = rows.counts()[EventKind.CLEAR]
        if clears and self._book is None:
            self._book = OrderBook(codec=self.codecs.order)
            self._book.era = self.era
        self.era += clears
        if self._book is not None:
            self._book.apply(rows)
        scales = (rows.price_scale, rows.size_scale)
        if self._pending and scales != self._pending.scales:
            self._flush()
        if not self._pending:
            self._pending_place = self.place
        self._pending.append(rows)
        self._rows += len(rows)

    def _snapshot_rows(self, rows: EventBatch) -> None:
        if self._book is None:
            return  # their CLEAR is among what is missing
        if self._clear_rows is None:
            raise TapeError(
                f"{self.folder.market}: expected a CLEAR before the snapshot rows of event "
                f"{rows.first_seq}, found none"
            )
        self._book.apply(rows)
        self._clear_rows.append(rows)

    # Books ----------------------------------------------------------------------------------------

    def _finish_clear(self) -> None:
        """The rows that followed a CLEAR are all there: writes them as its base."""
        if self._clear_rows is None or self._book is None:
            return
        told, self._clear_rows = self._clear_rows, None
        self._write_base(self._snapshot(EventBatch.concat(told) if told else None, True))

    def _base_here(self) -> None:
        if self._book is not None and self._book.seq != self._based[0]:
            rows = self._book.snapshot()
            self._write_base(self._snapshot(rows if len(rows) else None, False))

    def _snapshot(self, rows: EventBatch | None, after_clear: bool) -> Snapshot:
        assert self._book is not None
        book = self._book
        return Snapshot(book.seq, book.ts_recv, self.era, book.digest(), rows, after_clear)

    def _write_base(self, snapshot: Snapshot) -> None:
        path = write_base(self.folder, snapshot, self.codecs)
        self._moves.append((path, path.with_name(Base.name(snapshot.seq))))
        self._based = (snapshot.seq, snapshot.ts_recv)

    # Files ----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Behind a complete message: what became due is written."""
        if self._pending and self._pending.last_ts_recv - self._based[1] >= self._base_ns:
            self._base_here()
        if len(self._pending) >= self._row_group_rows:
            self._flush()
        if self._rows >= self._file_rows_max:
            self.close_file()

    def _flush(self) -> None:
        """Writes the pending rows as one row group; into a new file where they don't fit."""
        if not self._pending:
            return
        columns, layout = self._columns(self._pending.take())
        if self._file is not None and not self._file.layout.holds(layout):
            self._end_file(self._pending_place)
        if self._file is None:
            first = int(columns["seq"][0]), int(columns["ts_recv"][0])
            self._file = OpenFile(self.folder.archive, layout, first)
            self._rows = len(columns["seq"])
        self._file.write(columns)

    def _columns(self, pending: list[EventBatch]) -> tuple[Columns, Layout]:
        """The pending rows at the open file's scales where they fit, else at their own."""
        own = pending[0].price_scale, pending[0].size_scale
        if self._file is not None:
            there = self._file.layout.price_scale, self._file.layout.size_scale
            if own[0] <= there[0] and own[1] <= there[1]:
                try:
                    columns = gather(pending, *there)
                except OverflowError:
                    pass  # a value that only its own scale holds: a generation of its own
                else:
                    return columns, layout_of(columns, *there, self.codecs)
        columns = gather(pending, *own)
        return columns, layout_of(columns, *own, self.codecs)

    def close_file(self) -> None:
        """Ends the open file behind what was appended, with a base."""
        self._finish_clear()
        self._flush()
        if self._file is not None:
            self._base_here()
            self._end_file(self.place)

    def _end_file(self, place: Position | None) -> None:
        """``place``: where the journal goes on behind this file."""
        file, self._file, self._rows = self._file, None, 0
        assert file is not None
        last = file.last[0]
        info = FileInfo(
            version=SEALED_VERSION,
            exchange=self.folder.exchange,
            symbol=self.folder.symbol,
            first_seq=file.first[0],
            last_seq=last,
            first_ts_recv=file.first[1],
            last_ts_recv=file.last[1],
            era=self.era - sum(seq > last for seq in self._clears),
            clears=[seq for seq in self._clears if seq <= last],
            price_scale=file.layout.price_scale,
            size_scale=file.layout.size_scale,
            codec=file.layout.codec,
            trade_codec=file.layout.trade_codec,
            terms=(self.codecs.written[0], self.codecs.written[1]),
            rows_digest=file.rows_digest,
            seal=UNSEALED,
            body=UNSEALED,
            journal=place,
            told=msgspec.Raw(msgspec.json.encode(self._marks.take(last))),
        )
        file.close(info)
        self._clears = [seq for seq in self._clears if seq > last]
        name = ArchiveFile.name(info.first_seq, last)
        self._moves.append((file.path, self.folder.archive / name))

    @property
    def closed_files(self) -> int:
        """Files that wait for ``commit``."""
        return sum(target.name.startswith("events-") for _, target in self._moves)

    @property
    def is_current(self) -> bool:
        """Whether the archive still ends where this writer's last commit left it."""
        newest = last_file(self.folder.archive)
        sources = [source for source, _ in self._moves]
        if self._file is not None:
            sources.append(self._file.path)
        return (newest.last_seq if newest is not None else 0) == self.committed_seq and all(
            source.exists() for source in sources
        )

    def commit(self) -> None:
        """Closed files become part of the archive, all of them or none."""
        moves, self._moves = self._moves, []
        commit_files(self.folder.archive, moves)
        newest = last_file(self.folder.archive)
        if newest is not None:
            self.committed_seq = newest.last_seq
            journal = newest.info.journal
            self.committed_place = Position(*journal) if journal else None

    def abort(self) -> None:
        """Removes what was not committed; the writer is of no use afterwards."""
        self._pending.forget()
        self._marks.forget()
        if self._file is not None:
            self._file.abandon()
            self._file = None
        for source, _ in self._moves:
            source.unlink(missing_ok=True)
        self._moves.clear()


def _cut(rows: EventBatch, limit: int) -> int:
    """How many rows to take: the complete messages within a limit, else the first one."""
    if limit >= len(rows):
        return len(rows)
    flags = np.asarray(rows.column("flags"))
    taken = rows[:limit].last_complete()
    if not taken:
        ends = np.flatnonzero(flags[limit:] & Flag.LAST)
        taken = limit + int(ends[0]) + 1 if len(ends) else len(rows)
    # What stands after a CLEAR is one book even where each of its rows is a message.
    follow = np.flatnonzero((flags[taken:] & Flag.SNAPSHOT) == 0)
    return taken + int(follow[0]) if len(follow) else len(rows)
