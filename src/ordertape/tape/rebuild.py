"""The book as it stood: the nearest whole book before a moment, then events by seq."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import TapeCorrupt, UnknownMarket
from ordertape.events import EventKind
from ordertape.tape.archive_files import load_codecs
from ordertape.tape.bases import Base, bases_until, read_base
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal_reader import NO_EVENTS, JournalReader
from ordertape.tape.reader import Near, Tail, TapeReader
from ordertape.tape.segment import SNAPSHOT, Position, Segment, SegmentReader, segments
from ordertape.tape.snapshot import Snapshot
from ordertape.tape.whole_books import tell_damage, whole_book
from ordertape.times import Time, iso_from_ns, parse_time

__all__ = ["Rebuilt", "Replay", "rebuild", "rebuilt", "time_of"]


class Rebuilt(NamedTuple):
    """A book, and how its tape is read on from there."""

    book: OrderBook
    reader: TapeReader
    """From the next event on."""
    near: Near | None
    """A place in the journal before that, None where the archive has what comes next."""

    def tail(self) -> Tail:
        """What follows; to be closed.  What lies before is not read again."""
        return self.reader.tail(near=self.near)


def rebuild(
    data: str | os.PathLike[str], exchange: str, symbol: str, at: Time | None = None
) -> OrderBook:
    """The book at ``at`` (our clock, inclusive; None: now), after the last complete message.

    Where events are missing before ``at`` and no whole book follows them: the last book that is
    known.  Where a whole book is damaged, the one before it and a longer replay; TapeCorrupt where
    none leads there.  Raises UnknownMarket where nothing had been recorded by then, SettingRefused.
    """
    return rebuilt(data, exchange, symbol, at).book


def rebuilt(
    data: str | os.PathLike[str], exchange: str, symbol: str, at: Time | None = None
) -> Rebuilt:
    """As ``rebuild``, for who reads on."""
    reader = TapeReader(data, exchange, symbol)
    at_ns = None if at is None else parse_time(at)
    codecs = load_codecs(reader.folder)
    begun = _begin(reader.folder, codecs, at_ns)
    replay, reached = Replay(begun.book), False
    following = reader.since(replay.book.seq + 1)
    for batch in following.batches(place=begun.place, codecs=codecs):
        rows = batch if at_ns is None else batch[: batch.search_ts_recv(at_ns)]
        replay.take(rows)
        if reached := len(rows) < len(batch):
            break
    for seq, error in begun.damaged:
        # One that the replay came by did no harm; one behind missing events was the way there.
        if seq > replay.book.seq and (seq <= replay.seq or not reached):
            raise error
    if replay.book.seq == 0:
        moment = "yet" if at_ns is None else f"by {iso_from_ns(at_ns)}"
        raise UnknownMarket(f"{reader.folder.market}: nothing was recorded {moment}")
    near = None if begun.place is None else Near(begun.place, begun.seq, codecs)
    return Rebuilt(replay.book, reader.since(replay.book.seq + 1), near)


def time_of(book: OrderBook, batches: Iterable[EventBatch]) -> int:
    """The venue's clock at the book's last event where it gives one, else ours (ns).

    ``batches``: by rising seq; the first that reaches that event holds it.  Of a CLEAR it is the
    event's own time: the orders that follow it are state.
    """
    for batch in batches:
        if batch.last_seq >= book.seq:
            row = batch[batch.search_seq(book.seq)]
            told = row["ts_event"] if row["seq"] == book.seq else None
            return book.ts_recv if told is None else int(told)
    return book.ts_recv


class Replay:
    """Events into a book, up to the last complete message, and not beyond missing ones.

    ``trusted`` is False from a hole in the seqs to the next CLEAR; the book stays as it was.
    """

    def __init__(self, book: OrderBook) -> None:
        self.book = book
        self.trusted = True
        self.seq = book.seq
        """Of the last event seen."""
        self.faults = 0
        self._held: list[EventBatch] = []

    def take(self, rows: EventBatch) -> None:
        """Applies the complete messages; the beginning of another waits for its end."""
        if not len(rows):
            return
        if rows.first_seq > self.seq + 1:
            self.trusted = False
            self._held.clear()
        self.seq = rows.last_seq
        if not self.trusted:
            rows = _from_clear(rows)
            self.trusted = len(rows) > 0
        complete = rows.last_complete()
        if complete == 0:
            if len(rows):
                self._held.append(rows)
            return
        for part in [*self._held, rows if complete == len(rows) else rows[:complete]]:
            self.faults += self._apply(part)
        self._held = [rows[complete:]] if complete < len(rows) else []

    def _apply(self, part: EventBatch) -> int:
        """Complete messages, applied; how many faults the book met."""
        return self.book.apply(part).faults

    def restore(self, snapshot: Snapshot) -> None:
        """Stands on a whole book."""
        snapshot.restore(self.book)
        self.trusted, self.seq = True, snapshot.seq
        self._held.clear()


def _from_clear(rows: EventBatch) -> EventBatch:
    """Rows from the first CLEAR on."""
    clears = np.flatnonzero(np.asarray(rows.column("kind")) == EventKind.CLEAR)
    return rows[int(clears[0]) :] if len(clears) else rows[len(rows) :]


# Where to begin -----------------------------------------------------------------------------------


class _Begun(NamedTuple):
    """The book that a replay begins with, behind event ``seq``."""

    book: OrderBook
    seq: int
    place: Position | None
    """Where it stands in the journal; None: it is of the archive, or empty."""
    damaged: list[tuple[int, TapeCorrupt]]
    """Newer ones that can't be believed: seq, and what is wrong."""


def _begin(folder: MarketFolder, codecs: MarketCodecs, at: int | None) -> _Begun:
    """The newest whole book that stood at ``at`` and is what its digest says."""
    damaged: list[tuple[int, TapeCorrupt]] = []
    for found in _whole_books(folder, at):
        place = None
        try:
            if isinstance(found, Base):
                where, told = str(found.path), read_base(found, codecs)
            else:
                snapshot, place = _read_snapshot(folder, codecs, *found), found[1]
                if snapshot is None:
                    continue
                where, told = f"{folder.journal}, {place}", snapshot
            return _Begun(whole_book(told, codecs, where).book, told.seq, place, damaged)
        except TapeCorrupt as error:
            damaged.append((found[0], error))
            tell_damage(found.path if isinstance(found, Base) else folder.journal, str(error))
    return _Begun(OrderBook(codec=codecs.order), 0, None, damaged)


def _whole_books(folder: MarketFolder, at: int | None) -> Iterator[Base | tuple[int, Position]]:
    """Bases, and (seq, place) of the journal's snapshots, that stood at ``at``, newest first."""
    bases = bases_until(folder.archive, at)
    for segment in reversed(segments(folder.journal)):
        for seq, place in reversed(_snapshot_places(segment, at)):
            while bases and bases[-1].seq >= seq:
                yield bases.pop()
            yield seq, place
    yield from reversed(bases)


def _snapshot_places(segment: Segment, at: int | None) -> list[tuple[int, Position]]:
    """(seq, place) of the snapshots in a segment that stood at ``at``, by headers alone."""
    places: list[tuple[int, Position]] = []
    try:
        reader = SegmentReader(segment)
    except FileNotFoundError:
        return places  # archived meanwhile
    with closing(reader):
        offset, seq = 0, -1
        while (header := reader.header(offset)) is not None:
            if header.type == SNAPSHOT:
                if header.last_seq != seq and (at is None or header.ts_recv <= at):
                    places.append((header.last_seq, Position(segment.number, offset)))
                seq = header.last_seq
            offset += header.length
    return places


def _read_snapshot(
    folder: MarketFolder, codecs: MarketCodecs, seq: int, place: Position
) -> Snapshot | None:
    """The snapshot whose first frame stands there; None where it is not whole."""
    with closing(
        JournalReader(folder, codecs=codecs, start=place, seq=seq, snapshots=True)
    ) as reader:
        first = next(reader.read(), None)
        codecs.share(reader.codecs)
    if first is None or not isinstance(first.body, Snapshot):
        return None
    if sum(first.body.terms) > codecs.order.terms + codecs.trade.terms:
        _load_terms(folder, codecs, place)
    return first.body


def _load_terms(folder: MarketFolder, codecs: MarketCodecs, until: Position) -> None:
    """Dictionary terms that only the journal holds, up to a place."""
    with closing(JournalReader(folder, codecs=codecs, from_seq=NO_EVENTS)) as reader:
        for frame in reader.read():
            if frame.start >= until:
                break
        codecs.share(reader.codecs)
