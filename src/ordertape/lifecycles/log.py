"""A market's lives as one log: what is stored beside the archive, then the rest of the tape.

Rows stand in the order in which their ends became known; ``(told_seq, nth)`` is a row's place.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_CEILING, Context, Decimal
from itertools import chain
from typing import Any, Final, NamedTuple

import pyarrow
import pyarrow.compute

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.errors import MarketBusy
from ordertape.lifecycles.files import LivesWriter, Stored, stored_lives
from ordertape.lifecycles.tables import scales_of, with_distances
from ordertape.lifecycles.walk import Walk
from ordertape.lifecycles.way import Way
from ordertape.tape.archive_files import ArchiveFile, list_files, load_codecs
from ordertape.tape.bases import base_of_cut, list_bases, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import Replay
from ordertape.tape.whole_books import newest_whole
from ordertape.times import Time, parse_time

__all__ = ["LivesLog", "Stretch", "Walking", "Wanted", "read_lifecycles", "store_next"]

pc: Final[Any] = pyarrow.compute
_WIDE: Final = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)
_INT64_MAX: Final = 2**63 - 1
pa: Final[Any] = pyarrow
Leave = Callable[[], None]
"""Raises where nobody waits any more."""


class Wanted(NamedTuple):
    """Which rows are; times in ns, ``start`` with it, ``end`` without."""

    start: int | None = None
    end: int | None = None
    order_id: str | None = None
    reason: int | None = None
    ending: int | None = None
    min_size: Decimal | None = None
    """Of the first size."""
    by: str = "ended"
    """The column that ``start`` and ``end`` are of."""

    def of(self, table: pyarrow.Table) -> pyarrow.Table:
        """The rows of a table that are wanted."""
        conditions = []
        if self.start is not None:
            conditions.append(pc.field(self.by) >= self.start)
        if self.end is not None:
            conditions.append(pc.field(self.by) < self.end)
        if self.order_id is not None:
            conditions.append(pc.field("order_id") == self.order_id)
        if self.reason is not None:
            conditions.append(pc.field("reason") == self.reason)
        if self.ending is not None:
            conditions.append(pc.field("ending") == self.ending)
        if self.min_size is not None:
            conditions.append(_at_least(table.schema.field("size_first").type, self.min_size))
        for condition in conditions:
            table = table.filter(condition)
        return table


def _at_least(kind: Any, bound: Decimal) -> Any:
    """The condition on sizes of a type; a bound may have any number of digits."""
    units = bound.scaleb(kind.scale, _WIDE).to_integral_value(ROUND_CEILING, _WIDE)
    if units > _INT64_MAX:
        return pc.scalar(False)
    # A zero may have any exponent of its own.
    exact = Decimal(int(units)).scaleb(-kind.scale, _WIDE)
    return pc.field("size_first") >= pa.scalar(exact, kind)


class Stretch(NamedTuple):
    """Rows of a log that are wanted, and the place of the last one that was looked at."""

    rows: pyarrow.Table
    last: tuple[int, int]


class Walking(Way):
    """A walk along a tape from where what is stored ends, as far as it is written; to be closed.

    Raises UnknownMarket, TapeCorrupt.
    """

    def __init__(self, folder: MarketFolder, stored: Stored) -> None:
        reader = TapeReader(folder.data, folder.exchange, folder.symbol)
        codecs = load_codecs(folder)
        walk = Walk(codecs, lambda seq: history_of(reader).era_at(seq))
        state = stored.read_state()
        if state is not None:
            bases = {base.seq: base for base in list_bases(folder.archive)}
            walk.go_on(state, _book_at(folder, codecs, state.seq) if state.trusted else None)
            if not walk.trusted and state.seq in bases:
                here = newest_whole([bases[state.seq]], codecs)
                if here is not None:
                    walk.restore(here.told)
        elif (base := base_of_cut(folder.archive)) is not None:
            walk.restore(read_base(base, codecs))
        super().__init__(walk, reader)

    def stride(self, until: int | None = None) -> bool:
        """Items of so many events that a table of what they told is worth its while, at most up to
        event ``until``; False where there are no more now."""
        begun = self.walk.seq
        while self.walk.seq - begun < limits.lives_stride_events:
            if (until is not None and self.walk.seq >= until) or not self.step():
                return False
        return True


def _book_at(folder: MarketFolder, codecs: MarketCodecs, seq: int) -> OrderBook | None:
    """The book behind an event: its base, or the one before it and the events between."""
    replay = Replay(OrderBook(codec=codecs.order))
    bases = [base for base in list_bases(folder.archive) if base.seq <= seq]
    if (nearest := newest_whole(bases, codecs)) is not None:
        replay.restore(nearest.told)
    if replay.seq < seq:
        reader = TapeReader(folder.data, folder.exchange, folder.symbol, replay.seq + 1)
        for batch in reader.batches():
            replay.take(batch[: batch.search_seq(seq + 1)])
            if batch.last_seq >= seq:
                break
    return replay.book if replay.trusted and replay.seq == seq else None


def store_next(folder: MarketFolder) -> ArchiveFile | None:
    """Stores the lives that the next file of the archive told; that file, None where there is none.

    Raises TapeCorrupt, OSError.
    """
    stored = stored_lives(folder)
    files = [file for file in list_files(folder.archive) if file.last_seq > stored.seq]
    if not files:
        return None
    try:
        return _store(folder, stored, files[0], digits=18)
    except pa.ArrowInvalid:  # a number that an integer of a file does not hold
        return _store(folder, stored, files[0], digits=38)


def _store(
    folder: MarketFolder, stored: Stored, file: ArchiveFile, digits: int
) -> ArchiveFile | None:
    first = stored.files[-1].last_seq + 1 if stored.files else file.first_seq
    with closing(Walking(folder, stored)) as way:
        book, info = way.walk.book, file.info
        known = scales_of(way.walk.state().lives)
        scales = (
            max(known[0], book.price_scale or 0, info.price_scale),
            max(known[1], book.size_scale or 0, info.size_scale),
        )
        with LivesWriter(folder, first, scales, digits) as writer:
            more = True
            while more:
                more = way.stride(file.last_seq)
                writer.write(way.walk.told())
            if way.walk.seq != file.last_seq:
                return None  # its end and the journal's beginning are one message
            writer.finish(way.walk.state())
    return file


class LivesLog:
    """One market's log; to be kept, so that what it walked is not walked again.

    May be used by several threads, one at a time.
    """

    def __init__(self, folder: MarketFolder) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._way: Walking | None = None
        self._kept: deque[pyarrow.Table] = deque()
        self._kept_rows = 0
        self._kept_from = 0
        """The rows told at or behind this event are kept."""

    def close(self) -> None:
        with self._lock:
            self._forget()

    def __del__(self) -> None:
        # Whoever keeps several drops them without a word.
        self._forget()

    def stretches(
        self, after: int = 0, wanted: Wanted | None = None, leave: Leave = lambda: None
    ) -> Iterator[Stretch]:
        """What was told at or behind event ``after`` and is wanted, in order.

        Raises UnknownMarket, TapeCorrupt, MarketBusy where much of the archive is not stored yet,
        and what ``leave`` raises.
        """
        wanted = wanted or Wanted()
        self.folder.require()
        with self._lock:
            stored = stored_lives(self.folder)
            self._advance(stored, leave)
            kept, kept_from = list(self._kept), self._kept_from
        for file in stored.files:
            if file.last_seq >= after:
                for table in file.tables(after, (wanted.start, wanted.end)):
                    leave()
                    yield from _stretch(table, after, wanted)
        first = max(after, stored.seq + 1)
        again = self._walked_again(stored, kept_from, leave) if kept_from > first else ()
        for table in chain(again, kept):
            leave()
            yield from _stretch(table, first, wanted)

    def alive(self, leave: Leave = lambda: None) -> pyarrow.Table:
        """Orders that go on at the end of the tape, and those whose end is not settled yet, by
        their beginnings."""
        self.folder.require()
        with self._lock:
            self._advance(stored_lives(self.folder), leave)
            assert self._way is not None
            return self._way.walk.alive()

    def _forget(self) -> None:
        if self._way is not None:
            self._way.close()
        self._way, self._kept_rows = None, 0
        self._kept.clear()

    def _advance(self, stored: Stored, leave: Leave) -> None:
        """Walks to the end of the tape."""
        if self._way is not None and stored.seq > self._way.walk.seq:
            self._forget()  # the way there is stored by now
        if self._way is None:
            self._require_stored(stored)
            self._way, self._kept_from = Walking(self.folder, stored), stored.seq + 1
        while self._step(self._way):
            leave()
        while self._kept and _last(self._kept[0]) <= stored.seq:
            self._drop()

    def _require_stored(self, stored: Stored) -> None:
        files = [file for file in list_files(self.folder.archive) if file.last_seq > stored.seq]
        if len(files) > limits.lives_files_walked_max:
            raise MarketBusy(
                f"{self.folder.market}: the lives that {len(files)} files of its archive tell are "
                "not stored yet: the keeper is at it, ask again later"
            )

    def _step(self, way: Walking) -> bool:
        """Several items; False where there are no more."""
        try:
            found = way.stride()
            self._keep(way.walk.told())
        except BaseException:
            self._forget()  # it may have stopped midway
            raise
        return found

    def _keep(self, table: pyarrow.Table) -> None:
        if len(table):
            self._kept.append(table)
            self._kept_rows += len(table)
        while self._kept_rows > limits.lives_rows_kept:
            self._drop()

    def _drop(self) -> None:
        oldest = self._kept.popleft()
        self._kept_rows -= len(oldest)
        self._kept_from = _last(oldest) + 1

    def _walked_again(self, stored: Stored, until: int, leave: Leave) -> Iterator[pyarrow.Table]:
        """What is told before an event and is neither stored nor kept."""
        with closing(Walking(self.folder, stored)) as way:
            more = True
            while more:
                leave()
                more = way.stride(until)
                yield way.walk.told().filter(pc.field("told_seq") < until)


def _stretch(table: pyarrow.Table, after: int, wanted: Wanted) -> Iterator[Stretch]:
    table = table.filter(pc.field("told_seq") >= after) if after else table
    if len(table):
        last = tuple(table.column(name)[-1].as_py() for name in ("told_seq", "nth"))
        yield Stretch(wanted.of(table), last)


def _last(table: pyarrow.Table) -> int:
    return int(table.column("told_seq")[-1].as_py())


def read_lifecycles(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    *,
    alive: bool = False,
) -> Iterator[pyarrow.Table]:
    """Orders from birth to end, a row each, that ended from ``start`` to before ``end`` (ours),
    as Arrow tables in the order in which their ends became known.

    ``alive``: in their place one table of those that go on at the end of the tape, or whose end is
    not settled yet, and were opened in that time.  The columns are those of docs/lifecycles.md.
    Raises UnknownMarket, TapeCorrupt, SettingRefused.
    """
    folder = MarketFolder(data, exchange, symbol)
    folder.require()
    wanted = Wanted(
        None if start is None else parse_time(start),
        None if end is None else parse_time(end),
        by="opened" if alive else "ended",
    )
    return _read(folder, wanted, alive)


def _read(folder: MarketFolder, wanted: Wanted, alive: bool) -> Iterator[pyarrow.Table]:
    stored = stored_lives(folder)
    for file in () if alive else stored.files:
        for table in file.tables(0, (wanted.start, wanted.end)):
            yield from _some(wanted.of(table))
    with closing(Walking(folder, stored)) as way:
        more = True
        while more:
            more, told = way.stride(), way.walk.told()
            yield from () if alive else _some(wanted.of(told))
        if alive:
            yield from _some(wanted.of(way.walk.alive()))


def _some(table: pyarrow.Table) -> Iterator[pyarrow.Table]:
    if len(table):
        yield with_distances(table)
