"""The follower: what is durable on a tape goes into PostgreSQL, every event exactly once.

Rows are copied straight into their leaves, and the market's cursor moves in the same transaction.
Whatever ends a transaction, even one whose commit was never answered, the cursor read afterwards
says where to go on.  Nothing waits for the database: the tape keeps what it has not got yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.crash_points import crash_point
from ordertape.database.address import Address, errors_of
from ordertape.database.books import save_book
from ordertape.database.copy import FOOTER, HEADER, Rows, events_of, needs_of, rows_of
from ordertape.database.markets import (
    Cursor,
    ensure_market,
    newest_generation,
    next_generation,
    read_cursor,
)
from ordertape.database.partitions import DAY_NS, Leaf, day_of, ensure_leaf, today
from ordertape.database.rows import Generation
from ordertape.database.schema import renew_view
from ordertape.database.thinning import part_rows
from ordertape.errors import DatabaseUnavailable, MarketBusy, TapeDiffers
from ordertape.events import EventKind, Flag
from ordertape.measures import Delays
from ordertape.tape.archive_files import list_files, load_codecs
from ordertape.tape.bases import list_bases, read_base
from ordertape.tape.folder import MarketFolder
from ordertape.tape.joined import joined
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.reader import Item, Tail, TapeReader
from ordertape.tape.snapshot import Snapshot

__all__ = ["MarketFollower"]

_MOVE = """
    UPDATE cursors SET seq = %s, ts_recv = %s, era = %s, updated_at = now()
    WHERE market = %s AND seq = %s
"""
_SIMULATED = "UPDATE markets SET simulated = true WHERE market = %s AND NOT simulated"
_GAP = """
    INSERT INTO level3_gaps (
        market, exchange, symbol, from_ns, to_ns, gap_from, gap_to, reason, healed_by, era,
        missing_from, missing_to)
    VALUES (%(market)s, %(exchange)s, %(symbol)s, %(from_ns)s, %(to_ns)s, moment(%(from_ns)s),
        moment(%(to_ns)s), %(reason)s, %(healed_by)s, %(era)s, %(missing_from)s, %(missing_to)s)
    ON CONFLICT (market, from_ns) DO UPDATE SET (to_ns, gap_to, reason, healed_by, era) =
        (excluded.to_ns, excluded.gap_to, excluded.reason, excluded.healed_by, excluded.era)
"""
_ERA_MARKS = frozenset({"era", "digest", "gap"})


class _Copy(NamedTuple):
    """Rows that are ready, and the leaf they go to."""

    leaf: Leaf
    rows: Rows


class MarketFollower:
    """Copies one market's tape over a connection; both are given up together after an error.

    ``days``: events older than so many days are passed over (None: none are).
    ``simulated_rows_max``: the rows of a simulated market come in parts, so that ``thinning`` can
    let the oldest go.
    Raises TapeDiffers where the database goes on from another tape, MarketBusy where another
    process copies it, DatabaseUnavailable.
    """

    def __init__(
        self,
        folder: MarketFolder,
        connection: psycopg.Connection,
        address: Address,
        *,
        days: int | None = limits.database_days_default,
        order_index: bool = True,
        keep: bool = False,
        simulated_rows_max: int | None = None,
    ) -> None:
        self.folder = folder
        self._part_rows_max = part_rows(simulated_rows_max)
        self._connection = connection
        self._order_index = order_index
        with errors_of(address):
            self.market = ensure_market(
                connection, folder.exchange, folder.symbol, origin="tape", keep=keep
            )
            self._claim(address.schema)
            self.cursor = self._begin(days)
            self._generation: Generation | None = newest_generation(connection, self.market)
            self._from_seq, self._simulated = self._begun()
        self._address = address
        self._leaves: set[Leaf] = set()
        self._tail: Tail = TapeReader(
            folder.data, folder.exchange, folder.symbol, self.cursor.seq + 1
        ).tail(snapshots=True)
        self._items: Iterator[Item] = iter(())
        self._waiting: list[Item] = []
        self._waiting_rows = self._apart = 0
        self._waiting_since = 0.0
        self._next_seq = self.cursor.seq + 1
        self.rows_max: int | None = None
        """Events in one transaction, fewer than the limit says; replaced by who counts the time."""
        self._era_rows: list[EventBatch] = []
        self.delays = Delays()
        """From receipt to committed; replaced by who counts over several followers."""
        self._received: list[npt.NDArray[np.int64]] = []
        """Of the rows of this transaction."""

    def close(self) -> None:
        """Lets go of the tape; the connection is the caller's."""
        self._tail.close()

    # Where to begin -------------------------------------------------------------------------------

    def _claim(self, schema: str) -> None:
        """One follower a market, whoever else uses the same database."""
        held = self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtext(%s), %s)", (f"ordertape {schema}", self.market)
        ).fetchone()
        if held is None or not held[0]:
            raise MarketBusy(f"{self.folder.market} is copied into the database by another process")

    def _begin(self, days: int | None) -> Cursor:
        cursor = read_cursor(self._connection, self.market)
        if cursor is None:
            cursor = Cursor(0, 0, 0)
            self._connection.execute(
                "INSERT INTO cursors (market, seq, ts_recv, era) VALUES (%s, 0, 0, 0)",
                (self.market,),
            )
        elif cursor.seq:
            self._check_tape(cursor)
        return self._pass_over(cursor, days)

    def _begun(self) -> tuple[int, bool]:
        """(first event of the generation, whether the market is simulated)."""
        number = self._generation.number if self._generation is not None else None
        row = self._connection.execute(
            "SELECT (SELECT from_seq FROM generations WHERE generation = %s), simulated "
            "FROM markets WHERE market = %s",
            (number, self.market),
        ).fetchone()
        from_seq, simulated = row or (None, False)
        return from_seq or 0, simulated

    def _check_tape(self, cursor: Cursor) -> None:
        """The event at the cursor must be the tape's, or else it is another tape."""
        folder = self.folder
        reader = TapeReader(folder.data, folder.exchange, folder.symbol, cursor.seq)
        first = next(iter(reader.batches()), None)
        if first is None:
            raise TapeDiffers(
                f"{folder.market}: the database has it up to event {cursor.seq}, the tape in "
                f"{folder.data} ends before: it is another tape"
            )
        found = first[0]
        if found["seq"] == cursor.seq and found["ts_recv"] != cursor.ts_recv:
            raise TapeDiffers(
                f"{folder.market}: event {cursor.seq} was received at {cursor.ts_recv} in the "
                f"database, at {found['ts_recv']} on the tape in {folder.data}: it is another tape"
            )

    def _pass_over(self, cursor: Cursor, days: int | None) -> Cursor:
        """Behind the archived files of days that would be dropped again at once."""
        if days is None:
            return cursor
        horizon = Leaf(0, today() - timedelta(days=days)).bounds[0]
        reached = cursor
        for file in list_files(self.folder.archive):
            if file.last_seq > cursor.seq and file.info.last_ts_recv < horizon:
                reached = Cursor(file.last_seq, file.info.last_ts_recv, file.info.era)
        if reached is not cursor:
            self._move(cursor, reached)
        return reached

    # Copying --------------------------------------------------------------------------------------

    def step(self, *, final: bool = False) -> int:
        """Takes what the tape has, at most one transaction of it; the events copied.

        Less than a transaction waits for more, ``limits.database_flush_ms`` at most; not where
        ``final``.
        """
        exhausted = self._gather()
        if not self._waiting:
            return 0
        waited_ms = (time.monotonic() - self._waiting_since) * 1000
        full = self._waiting_rows >= self._batch_rows
        if full or (exhausted and (final or waited_ms >= limits.database_flush_ms)):
            return self._flush()
        return 0

    @property
    def idle(self) -> bool:
        """Whether everything the tape had is copied."""
        return not self._waiting

    @property
    def _batch_rows(self) -> int:
        most = limits.database_batch_rows
        return most if self.rows_max is None else min(most, self.rows_max)

    def _gather(self) -> bool:
        """Whether the tape has nothing more for now."""
        while self._waiting_rows < self._batch_rows:
            item = next(self._items, None)
            if item is None:
                self._items = self._tail.items()
                item = next(self._items, None)
                if item is None:
                    return True
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._wait(item)
        return False

    def _let_go(self, batch: EventBatch) -> list[Item]:
        """Where events before a batch are neither on the tape any more nor told to be missing: that
        they are, and the book that a tape begins with which was cut on purpose."""
        first, self._next_seq = self._next_seq, batch.last_seq + 1
        if batch.first_seq <= first:
            return []
        last, era, since = batch.first_seq - 1, self.cursor.era, batch[0]["ts_recv"]
        found: list[Item] = []
        for base in list_bases(self.folder.archive):
            if base.seq == last:
                book = read_base(base, load_codecs(self.folder))
                found.append(replace(book, after_clear=False))
                era, since = book.era, book.ts_recv
        gap = gap_mark(
            last,
            self.cursor.ts_recv + 1 if self.cursor.seq else since,
            batch[0]["ts_recv"],
            f"the tape let go of events {first} to {last} before they were copied",
            era=era,
            missing_from=first,
            missing_to=last,
        )
        return [gap, *found]

    def _wait(self, item: Item) -> None:
        """What waits for a database that is away is joined, or it would take ten times the room."""
        if isinstance(item, EventBatch):
            if told := self._let_go(item):
                self._waiting += told
                self._apart = 0
        elif isinstance(item, Mark) and "missing_to" in item.fields:
            self._next_seq = max(self._next_seq, item.fields["missing_to"] + 1)
        self._waiting.append(item)
        if not isinstance(item, EventBatch):
            self._apart = 0
            return
        self._waiting_rows += len(item)
        self._apart += 1
        if self._apart >= limits.database_batches_apart_max:
            near = [
                batch for batch in self._waiting[-self._apart :] if isinstance(batch, EventBatch)
            ]
            self._waiting[-self._apart :] = joined(near)
            self._apart = 0

    def _flush(self) -> int:
        items, self._waiting = self._waiting, []
        self._waiting_rows = self._apart = 0
        self._received.clear()
        # What is not durable may be cut off the tape and be written anew with other events.
        self._tail.make_durable()
        crash_point("follower.tape_durable")
        before = self.cursor
        with errors_of(self._address):
            copies, gaps, books, after = self._prepared(items)
            crash_point("follower.rows_prepared")
            with self._connection.transaction():
                for copy in copies:
                    self._copy(copy)
                for gap in gaps:
                    self._save_gap(gap)
                for book in books:
                    save_book(
                        self._connection,
                        self.market,
                        self.folder.exchange,
                        self.folder.symbol,
                        book,
                    )
                if after.seq != before.seq:
                    self._move(before, after)
                crash_point("follower.cursor_moved")
        crash_point("follower.committed")
        self.cursor = after
        now = time.time_ns()
        for times in self._received:
            self.delays.note_all(now - times)
        return sum(copy.rows.count for copy in copies)

    def _move(self, before: Cursor, after: Cursor) -> None:
        moved = self._connection.execute(
            _MOVE, (after.seq, after.ts_recv, after.era, self.market, before.seq)
        )
        if moved.rowcount != 1:
            raise DatabaseUnavailable(
                f"{self.folder.market}: the cursor is not at event {before.seq} any more: "
                "somebody else moved it"
            )

    def _copy(self, copy: _Copy) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(copy.leaf.name),
            sql.SQL(", ").join(sql.Identifier(name) for name in copy.rows.columns),
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as stream:
            data = memoryview(copy.rows.data)
            stream.write(HEADER)
            stream.write(data[: len(data) // 2])
            crash_point("follower.half_copied")
            stream.write(data[len(data) // 2 :])
            stream.write(FOOTER)

    def _save_gap(self, mark: Mark) -> None:
        fields = {"healed_by": None, "missing_from": None, "missing_to": None, **mark.fields}
        names = {"market": self.market, "exchange": self.folder.exchange}
        self._connection.execute(_GAP, {**fields, **names, "symbol": self.folder.symbol})

    # What goes where ------------------------------------------------------------------------------

    def _prepared(
        self, items: list[Item]
    ) -> tuple[list[_Copy], list[Mark], list[OrderBook], Cursor]:
        """Rows with their leaves made, gaps, whole books, and the cursor behind all of them."""
        copies: list[_Copy] = []
        gaps: list[Mark] = []
        books: list[OrderBook] = []
        after = Cursor(self.cursor.seq, self.cursor.ts_recv, self.cursor.era)
        for batches, others in _runs(items):
            for batch in batches:
                books += self._books_of_clears(batch, after.era)
                copies += self._copies(batch, after)
            for other in others:
                if isinstance(other, Snapshot):
                    if other.seq >= self.cursor.seq and not other.after_clear:
                        books.append(_book_of(other))
                    continue
                if other.kind == "gap":
                    gaps.append(other)
                elif other.kind == "simulated" and other.fields.get("simulated", True):
                    self._connection.execute(_SIMULATED, (self.market,))
                    self._simulated = True
                if other.kind in _ERA_MARKS and other.fields.get("era"):
                    after.era = other.fields["era"]
        if self._era_rows and _is_complete(self._era_rows[-1]):
            books += self._era_book(after.era)
        return copies, gaps, books, after

    def _copies(self, batch: EventBatch, after: Cursor) -> Iterator[_Copy]:
        """The rows of a batch, a day and generation each; ``after`` moves behind them."""
        arrays, kept = events_of(batch)
        count = len(arrays["seq"])
        eras = after.era + np.cumsum(arrays["kind"] == EventKind.CLEAR, dtype=np.int32)
        if count:
            after.era = int(eras[-1])
            needs = needs_of(batch, arrays)
            first = int(arrays["seq"][0])
            if self._generation is None or not needs.fit(self._generation) or self._is_full(first):
                self._from_seq = first
                self._generation = next_generation(
                    self._connection, self.market, first, needs, self._generation
                )
                crash_point("follower.generation_made")
                renew_view(self._connection)
            times = arrays["ts_recv"]
            self._received.append(times)
            for start, end in _days(times):
                leaf = Leaf(self._generation.number, day_of(int(times[start])))
                self._make_leaf(leaf)
                whole = end - start == count
                part = arrays if whole else {name: a[start:end] for name, a in arrays.items()}
                rows = (
                    None if whole else (kept if kept is not None else np.arange(count))[start:end]
                )
                yield _Copy(
                    leaf,
                    rows_of(
                        batch, part, kept if whole else rows, eras[start:end], self._generation
                    ),
                )
            # Of the last event: orders of a snapshot may have been received after their CLEAR.
            after.ts_recv = int(times[-1])
        after.seq = batch.last_seq

    def _is_full(self, seq: int) -> bool:
        """Whether the generation is a part that is to go as a whole later."""
        return (
            self._simulated
            and self._part_rows_max is not None
            and seq - self._from_seq >= self._part_rows_max
        )

    def _make_leaf(self, leaf: Leaf) -> None:
        if leaf not in self._leaves and ensure_leaf(
            self._connection, leaf, order_index=self._order_index
        ):
            self._leaves.add(leaf)
            crash_point("follower.leaf_attached")

    # Whole books ----------------------------------------------------------------------------------

    def _books_of_clears(self, batch: EventBatch, era: int) -> Iterator[OrderBook]:
        """The books that CLEARs began with: their orders are no rows, so they are kept whole."""
        flags, kinds = np.asarray(batch.column("flags")), np.asarray(batch.column("kind"))
        events = np.flatnonzero((flags & Flag.SNAPSHOT) == 0)
        if self._era_rows:
            end = int(events[0]) if len(events) else len(batch)
            if end:
                self._era_rows.append(batch[:end])
            if end < len(batch):
                yield from self._era_book(era)
        for nth in np.flatnonzero(kinds[events] == EventKind.CLEAR):
            era += 1
            first = int(events[nth])
            last = int(events[nth + 1]) if nth + 1 < len(events) else len(batch)
            self._era_rows = [batch[first:last]]
            if last < len(batch):
                yield from self._era_book(era)

    def _era_book(self, era: int) -> Iterator[OrderBook]:
        rows, self._era_rows = self._era_rows, []
        book = OrderBook(codec=rows[0].codec)
        for part in rows:
            book.apply(part)
        book.era = era
        yield book


def _book_of(snapshot: Snapshot) -> OrderBook:
    rows = snapshot.rows
    book = OrderBook(codec=rows.codec) if rows is not None else OrderBook()
    snapshot.restore(book)
    return book


def _is_complete(rows: EventBatch) -> bool:
    return rows.last_complete() == len(rows)


def _runs(items: list[Item]) -> Iterator[tuple[list[EventBatch], list[Mark | Snapshot]]]:
    """Events as few batches as possible, then what stands behind them; in order."""
    batches: list[EventBatch] = []
    others: list[Mark | Snapshot] = []
    for item in items:
        if not isinstance(item, EventBatch):
            others.append(item)
            continue
        if others:
            yield list(joined(batches)), others
            batches, others = [], []
        batches.append(item)
    yield list(joined(batches)), others


def _days(times: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first, end) of the rows of each UTC day; times never decrease."""
    start = 0
    while start < len(times):
        next_day = (int(times[start]) // DAY_NS + 1) * DAY_NS
        end = int(np.searchsorted(times, next_day))
        yield start, end
        start = end
