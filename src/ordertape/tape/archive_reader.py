"""Reading an archive: a thread decodes the next row group while the caller works on this one."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec, OrderBook
from ordertape.errors import TapeCorrupt
from ordertape.tape.archive_columns import hash_columns
from ordertape.tape.archive_files import ArchiveFile, last_file, list_files
from ordertape.tape.bases import Base, list_bases, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.file_groups import Group, group_spans, read_group
from ordertape.tape.folder import MarketFolder
from ordertape.tape.marks import PLUMBING, Mark, gap_mark
from ordertape.tape.row_group import damage_told, keep_freed_memory
from ordertape.tape.segment import Position
from ordertape.tape.snapshot import Snapshot
from ordertape.tape.whole_books import base_if_readable, newest_whole, tell_damage

__all__ = ["ArchiveReader", "Window", "book_at_end", "rows_digest"]

Item: TypeAlias = EventBatch | Mark | Snapshot


class Window(NamedTuple):
    """Seqs from ``from_seq`` on; times (ts_recv, ns) from ``start`` to before ``end``."""

    from_seq: int = 1
    start: int | None = None
    end: int | None = None

    def cut(self, batch: EventBatch) -> EventBatch:
        """The rows of a batch inside."""
        first = batch.search_seq(self.from_seq)
        if self.start is not None:
            first = max(first, batch.search_ts_recv(self.start - 1))
        last = len(batch) if self.end is None else batch.search_ts_recv(self.end - 1)
        return batch if last - first == len(batch) else batch[first : max(first, last)]

    def overlaps(self, first_ts: int, last_ts: int) -> bool:
        return not self.is_over(first_ts) and (self.start is None or last_ts >= self.start)

    def is_over(self, ts_recv: int) -> bool:
        return self.end is not None and ts_recv >= self.end


class _Group(NamedTuple):
    """A row group of a file, the seqs in it, and the mark of what is missing before it."""

    file: ArchiveFile
    nth: int
    first_seq: int
    last_seq: int
    missing: Mark | None


class ArchiveReader:
    """Events of an archive by seq, the rows behind each CLEAR put back in, marks between them.

    ``marks`` and ``snapshots`` (every base that can be read): whether they are wanted.  ``after``:
    marks that stood in the journal before this place are not.  ``place`` tells where the journal
    goes on behind event ``last_seq``, the archive's last; ``next_seq`` is the next that is wanted
    of it.
    """

    def __init__(
        self,
        folder: MarketFolder,
        codecs: MarketCodecs,
        window: Window,
        *,
        marks: bool = False,
        snapshots: bool = False,
        after: Position | None = None,
    ) -> None:
        self.folder = folder
        self.codecs = codecs
        self.window = window
        self._marks_wanted = marks
        self._snapshots_wanted = snapshots
        self._after = after
        self._files = list_files(folder.archive)
        self._bases = {base.seq: base for base in list_bases(folder.archive)}
        self.next_seq = window.from_seq
        self.last_seq: int | None = None
        self.place: Position | None = None
        if self._files:
            newest = self._files[-1]
            self.last_seq = newest.last_seq
            self.next_seq = max(self.next_seq, newest.last_seq + 1)
            journal = newest.info.journal
            self.place = Position(*journal) if journal else None

    def read(self) -> Iterator[Item]:
        """Batches, in order, and what else is wanted between them."""
        keep_freed_memory()
        with ThreadPoolExecutor(1, thread_name_prefix="tape decoder") as decoder:
            groups = self._groups()
            ahead: deque[tuple[_Group, Future[Group]]] = deque()
            damage: TapeCorrupt | None = None
            try:
                while True:
                    try:
                        while len(ahead) < 2 and (group := next(groups, None)) is not None:
                            ahead.append((group, decoder.submit(_decode, group, self.codecs)))
                    except TapeCorrupt as error:
                        damage = error  # after what stands before it
                    if not ahead:
                        if damage is not None:
                            raise damage
                        return
                    group, decoded = ahead.popleft()
                    yield from self._items(group, decoded.result())
            finally:
                for _, waiting in ahead:
                    waiting.cancel()

    def read_marks(self) -> Iterator[Mark]:
        """The marks alone, from what the files say about themselves."""
        before: ArchiveFile | None = None
        for file in self._files:
            if (missing := self._missing(before, file)) is not None:
                yield missing
            before = file
            if file.last_seq >= self.window.from_seq - 1:
                whole = _Group(file, 0, file.first_seq, file.last_seq, None)
                for _, mark in self._marks_of(whole):
                    yield mark

    # Row groups -----------------------------------------------------------------------------------

    def _groups(self) -> Iterator[_Group]:
        before: ArchiveFile | None = None
        for file in self._files:
            missing = self._missing(before, file)
            before = file
            # The marks behind its last event belong to the next one.
            if file.last_seq < self.window.from_seq - self._marks_wanted:
                continue
            info = file.info
            if self.window.is_over(info.first_ts_recv):
                return
            if self.window.overlaps(info.first_ts_recv, info.last_ts_recv):
                for group in self._groups_of(file):
                    yield group._replace(missing=missing)
                    missing = None

    def _groups_of(self, file: ArchiveFile) -> Iterator[_Group]:
        seq = file.first_seq
        for nth, span in enumerate(group_spans(file.path)):
            group = _Group(file, nth, seq, seq + span.rows - 1, None)
            seq += span.rows
            if self.window.overlaps(span.first_ts, span.last_ts) and (
                group.last_seq >= self.window.from_seq or self._marks_of(group)
            ):
                yield group

    def _missing(self, before: ArchiveFile | None, file: ArchiveFile) -> Mark | None:
        """The mark of events before a file that nobody told to be missing."""
        if before is None:
            return self._missing_at_start(file)
        if file.first_seq <= max(before.last_seq + 1, self.window.from_seq):
            return None
        info = file.info
        told = (archived.mark.fields for archived in info.marks if archived.after < file.first_seq)
        if any("missing_from" in fields for fields in told):
            return None
        return gap_mark(
            before.last_seq,
            before.info.last_ts_recv,
            info.first_ts_recv,
            "events are missing",
            era=before.info.era,
            missing_from=before.last_seq + 1,
            missing_to=file.first_seq - 1,
        )

    def _missing_at_start(self, oldest: ArchiveFile) -> Mark | None:
        """The mark of events before the oldest file.  A tape that was cut on purpose begins with
        the book as it stood there; one whose books are older than its events has lost files."""
        first = oldest.first_seq
        if first <= max(1, self.window.from_seq):
            return None
        older = [base for seq, base in self._bases.items() if seq < first - 1]
        if not older and first - 1 in self._bases:
            return None
        since = min(older).info if older else None
        missing_from = since.seq + (not since.after_clear) if since else 1
        return gap_mark(
            missing_from - 1,
            since.ts_recv if since else oldest.info.first_ts_recv,
            oldest.info.first_ts_recv,
            "events are missing",
            era=since.era if since else oldest.info.era,
            missing_from=missing_from,
            missing_to=first - 1,
        )

    # What stands where ----------------------------------------------------------------------------

    def _items(self, group: _Group, rows: Group) -> Iterator[Item]:
        if group.missing is not None and self._marks_wanted:
            yield group.missing
        things = deque(self._between(group))
        for batch in self._batches(group, rows):
            yield from self._merged(batch, things)

    def _batches(self, group: _Group, rows: Group) -> Iterator[EventBatch]:
        info = group.file.info
        scales = (info.price_scale, info.size_scale)
        for first in range(0, rows.rows, limits.archive_batch_rows):
            last = min(first + limits.archive_batch_rows, rows.rows)
            seq = np.arange(group.first_seq + first, group.first_seq + last)
            with damage_told(group.file.path):
                batch = rows.batch(first, last, seq, scales, self.codecs)
            yield batch

    def _merged(
        self, batch: EventBatch, things: deque[tuple[int, Base | Mark | Snapshot]]
    ) -> Iterator[Item]:
        """A batch, and what stands between and behind its rows."""
        done = 0
        while things and things[0][0] <= batch.last_seq:
            seq, thing = things.popleft()
            is_clear = isinstance(thing, Base)
            upto = batch.search_seq(seq if is_clear else seq + 1)
            if upto > done:
                yield from self._wanted(batch[done:upto])
                done = upto
            if isinstance(thing, Base):
                yield from self._wanted(self._book_after(batch[upto : upto + 1], thing))
                done = upto + 1
            else:
                yield thing
        yield from self._wanted(batch[done:])

    def _wanted(self, batch: EventBatch) -> Iterator[EventBatch]:
        if len(rows := self.window.cut(batch)):
            yield rows

    def _between(self, group: _Group) -> list[tuple[int, Base | Mark | Snapshot]]:
        """(seq, thing) in order: the base of a CLEAR with that seq, or what stands behind it."""
        first = max(group.first_seq, self.window.from_seq)
        found: list[tuple[int, int, Base | Mark | Snapshot]] = [
            (seq, 0, self._base(seq))
            for seq in group.file.info.clears
            if first <= seq <= group.last_seq
        ]
        if self._snapshots_wanted:
            found += [
                (seq, 1, told)
                for seq, base in self._bases.items()
                if first <= seq <= group.last_seq
                and (told := base_if_readable(base, self.codecs)) is not None
            ]
        found += [(after, 2, mark) for after, mark in self._marks_of(group)]
        found.sort(key=lambda entry: entry[:2])
        return [(seq, thing) for seq, _, thing in found]

    def _marks_of(self, group: _Group) -> list[tuple[int, Mark]]:
        """Marks behind the rows of a group; those before the first row of a file are its too."""
        if not self._marks_wanted:
            return []
        first = group.first_seq if group.first_seq > group.file.first_seq else 0
        return [
            (archived.after, archived.mark)
            for archived in group.file.info.marks
            if archived.mark.kind not in PLUMBING
            and max(first, self.window.from_seq - 1) <= archived.after <= group.last_seq
            and (archived.place is None or self._after is None or archived.place >= self._after)
        ]

    def _base(self, seq: int) -> Base:
        if seq not in self._bases:
            raise TapeCorrupt(
                f"{self.folder.market}: expected a base for the CLEAR {seq} in "
                f"{self.folder.archive}, found none"
            )
        return self._bases[seq]

    def _book_after(self, clear: EventBatch, base: Base) -> EventBatch:
        """A CLEAR with the rows that followed it."""
        snapshot = read_base(base, self.codecs)
        if not snapshot.after_clear:
            raise TapeCorrupt(f"{base.path}: expected the rows after a CLEAR, found another base")
        return clear if snapshot.rows is None else EventBatch.concat([clear, snapshot.rows])


def _decode(group: _Group, codecs: MarketCodecs) -> Group:
    info = group.file.info
    scales = (info.price_scale, info.size_scale)
    return read_group(group.file.path, group.nth, group.first_seq, scales, codecs)


def rows_digest(file: ArchiveFile) -> str:
    """What ``FileInfo.rows_digest`` of a file must be."""
    hasher = hashlib.blake2b(digest_size=16)
    codecs = MarketCodecs(IdCodec(file.info.codec), IdCodec(file.info.trade_codec))
    group = _Group(file, 0, file.first_seq, file.last_seq, None)
    for nth in range(len(group_spans(file.path))):
        rows = _decode(group._replace(nth=nth), codecs)
        hash_columns(hasher, rows.columns(group.first_seq))
        group = group._replace(first_seq=group.first_seq + rows.rows)
    return hasher.hexdigest()


def book_at_end(folder: MarketFolder, codecs: MarketCodecs) -> OrderBook | None:
    """The book at the end of an archive; None where no base leads there without a hole or damage,
    which is told in the log."""
    newest = last_file(folder.archive)
    if newest is None:
        return OrderBook(codec=codecs.order)
    bases = [base for base in list_bases(folder.archive) if base.seq <= newest.last_seq]
    nearest = newest_whole(bases, codecs)
    book = OrderBook(codec=codecs.order) if nearest is None else nearest.book
    try:
        for rows in ArchiveReader(folder, codecs, Window(book.seq + 1)).read():
            if not isinstance(rows, EventBatch) or rows.first_seq > book.seq + 1:
                return None
            book.apply(rows)
    except TapeCorrupt as error:
        tell_damage(folder.archive, str(error))
        return None
    return book
