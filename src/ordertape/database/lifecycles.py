"""Lives of orders into PostgreSQL: every row of a market's log exactly once.

Rows go straight into their leaves, and the market's cursor, which is the place of the last row,
moves in the same transaction.  The log follows from the tape alone: whoever goes on from a cursor
finds the very rows that come behind it.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
import pyarrow
import pyarrow.compute
import pyarrow.csv
from psycopg import sql

from ordertape import limits
from ordertape.database.changes import HELD, changing
from ordertape.database.partitions import DAY_NS, Leaf, day_of
from ordertape.database.schema import OURS
from ordertape.errors import DatabaseUnavailable
from ordertape.lifecycles.files import stored_lives
from ordertape.lifecycles.log import Walking
from ordertape.lifecycles.tables import COLUMNS
from ordertape.tape.archive_files import last_file
from ordertape.tape.folder import MarketFolder

__all__ = ["LivesFollower", "attach_leaves", "copy_lives", "drop_lives"]

pa: Final[Any] = pyarrow
pc: Final[Any] = pyarrow.compute
csv: Final[Any] = pyarrow.csv

_NAME = re.compile(r"lifecycles_(\d{8})")
_MOVE = """
    UPDATE lifecycle_cursors SET told_seq = %s, nth = %s, updated_at = now()
    WHERE market = %s AND told_seq = %s AND nth = %s
"""
_BEGIN = """
    INSERT INTO lifecycle_cursors (market, told_seq, nth) VALUES (%s, 0, -1)
    ON CONFLICT (market) DO UPDATE SET market = excluded.market RETURNING told_seq, nth
"""
_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r'
    AND relnamespace = current_schema()::regnamespace AND relname ~ '^lifecycles_[0-9]{8}$'
    ORDER BY relname
"""


class _Place(NamedTuple):
    told_seq: int
    nth: int


class LivesFollower:
    """Copies one market's lives over a connection; both are given up together after an error.

    ``market``: its number, with which whoever calls is the only one.  ``days``: what was told
    more than so many days ago is passed over (None: nothing is).  ``patient``: what the archive has
    is waited for until it is stored beside it, and not made of its events once more.
    Raises TapeCorrupt, DatabaseUnavailable, psycopg.Error.
    """

    def __init__(
        self,
        folder: MarketFolder,
        connection: psycopg.Connection,
        market: int,
        *,
        days: int | None,
        order_index: bool = True,
        patient: bool = False,
    ) -> None:
        self.folder = folder
        self._patient = patient
        self._connection, self._market = connection, market
        self._order_index = order_index
        self._from = None if days is None else Leaf(0, _today() - timedelta(days=days)).bounds[0]
        begun = connection.execute(_BEGIN, (market,)).fetchone()
        assert begun is not None
        self._place = _Place(*begun)
        self._stored = stored_lives(folder)
        self._parts = _parts(self._of_files())
        self._part: pyarrow.Table | None = None
        """The one that is being saved."""
        self._way: Walking | None = None
        self._at_end = False
        """Whether the tape had no more when it was last looked at: that is still to be said."""
        self.passed = 0
        """Everything that events up to this one told is committed."""

    def close(self) -> None:
        """Lets go of the tape; the connection is the caller's."""
        if self._way is not None:
            self._way.close()

    def resume(self, connection: psycopg.Connection, market: int) -> bool:
        """Goes on over another connection; False where the database stands elsewhere."""
        if market != self._market:
            return False
        begun = connection.execute(_BEGIN, (market,)).fetchone()
        if begun is None or _Place(*begun) != self._place:
            return False
        self._connection = connection
        return True

    def step(self) -> int | None:
        """Takes what comes next, at most one transaction of it; the rows copied, None where the
        tape has nothing more for now."""
        if self._part is None:
            self._part = next(self._parts, None)
        if self._part is not None:
            saved, self._part = self._save(self._part), None
            return saved
        self.passed = self._stored.seq if self._way is None else self._way.walk.seq
        if self._at_end:
            self._at_end = False
            return None
        if self._way is None:
            if (stored := stored_lives(self.folder)).seq > self._stored.seq:
                self._stored, self._parts = stored, _parts(self._of_files())
                return 0
            newest = last_file(self.folder.archive)
            if self._patient and newest is not None and newest.last_seq > stored.seq:
                return None
            self._way = Walking(self.folder, stored)
        more = self._way.stride()
        self._at_end = not more
        told = self._way.walk.told()
        if len(told):
            # What is not durable may be cut off the tape and be written anew with other events.
            self._way.make_durable()
            self._parts = _parts([told])
        return 0

    def _of_files(self) -> Iterator[pyarrow.Table]:
        for file in self._stored.files:
            if file.last_seq >= self._place.told_seq:
                yield from file.tables(self._place.told_seq)

    def _save(self, table: pyarrow.Table) -> int:
        seq, nth = pc.field("told_seq"), pc.field("nth")
        here = self._place
        table = table.filter((seq > here.told_seq) | ((seq == here.told_seq) & (nth > here.nth)))
        if not len(table):
            return 0
        last = _Place(*(table.column(name)[-1].as_py() for name in _Place._fields))
        kept = table if self._from is None else table.filter(pc.field("told") >= self._from)
        parts = list(_days(kept))
        for day, _ in parts:
            _ensure_leaf(self._connection, day, order_index=self._order_index)
        with self._connection.transaction():
            for day, part in parts:
                self._copy(day, part)
            moved = self._connection.execute(_MOVE, (*last, self._market, *here))
            if moved.rowcount != 1:
                raise DatabaseUnavailable(
                    f"{self.folder.market}: the cursor of its lives is not at event "
                    f"{here.told_seq} any more: somebody else moved it"
                )
        self._place = last
        return len(kept)

    def _copy(self, day: date, table: pyarrow.Table) -> None:
        text = io.BytesIO()
        table = table.select(list(COLUMNS)).append_column(
            "market", pa.array([self._market] * len(table), pa.int32())
        )
        csv.write_csv(table, text, csv.WriteOptions(include_header=False))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
            sql.Identifier(_name(day)),
            sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
        )
        with self._connection.cursor() as cursor, cursor.copy(statement) as stream:
            stream.write(text.getvalue())


def _parts(tables: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Rows of one transaction each: a slow database takes few in time."""
    rows = limits.lives_copy_rows
    for table in tables:
        for first in range(0, len(table), rows):
            yield table.slice(first, rows)


def copy_lives(
    folder: MarketFolder, connection: psycopg.Connection, market: int, *, order_index: bool
) -> int:
    """Copies all of a finished tape; the rows."""
    copied = 0
    with closing(
        LivesFollower(folder, connection, market, days=None, order_index=order_index)
    ) as follower:
        while (step := follower.step()) is not None:
            copied += step
    return copied


# Leaves -------------------------------------------------------------------------------------------


def _name(day: date) -> str:
    return f"lifecycles_{day:%Y%m%d}"


def _today() -> date:
    return datetime.now(UTC).date()


def _days(table: pyarrow.Table) -> Iterator[tuple[date, pyarrow.Table]]:
    """The rows that were told on each UTC day; times never decrease."""
    while len(table):
        day = day_of(table.column("told")[0].as_py())
        _, end = Leaf(0, day).bounds
        count = pc.sum(pc.less(table.column("told"), end)).as_py()
        yield day, table.slice(0, count)
        table = table.slice(count)


def _is_attached(connection: psycopg.Connection, day: date) -> bool | None:
    """None where there is no leaf of that day."""
    found = connection.execute(
        "SELECT relispartition FROM pg_class WHERE oid = to_regclass(%s)", (_name(day),)
    ).fetchone()
    return found[0] if found is not None else None


def _ensure_leaf(connection: psycopg.Connection, day: date, *, order_index: bool) -> None:
    """Makes the leaf where it is missing; rows are seen once it is attached."""
    if _is_attached(connection, day) is None:
        with changing(connection):
            if _is_attached(connection, day) is None:
                _make(connection, day, order_index=order_index)
    _attach(connection, day)


def _make(connection: psycopg.Connection, day: date, *, order_index: bool) -> None:
    name, (start, end) = sql.Identifier(_name(day)), Leaf(0, day).bounds
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE lifecycle_rows INCLUDING DEFAULTS)").format(name)
    )
    # The places of a market only grow: pages that are full stay so.
    connection.execute(
        sql.SQL(
            "ALTER TABLE {} ADD PRIMARY KEY (market, told_seq, nth) WITH (fillfactor = 100)"
        ).format(name)
    )
    if order_index:
        connection.execute(sql.SQL("CREATE INDEX ON {} (order_id)").format(name))
    # Attaching trusts this constraint instead of reading the rows.
    connection.execute(
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT day CHECK (told >= {} AND told < {})").format(
            name, sql.Literal(start), sql.Literal(end)
        )
    )
    comment = sql.Literal(f"{OURS} lives of orders told on {day:%Y-%m-%d}")
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, comment))


def _attach(connection: psycopg.Connection, day: date) -> None:
    """Where readers do not let go, the next round of the house does it."""
    if _is_attached(connection, day) is not False:
        return
    name, (start, end) = sql.Identifier(_name(day)), Leaf(0, day).bounds
    try:
        with changing(connection):
            if _is_attached(connection, day) is not False:
                return
            connection.execute(
                sql.SQL(
                    "ALTER TABLE lifecycle_rows ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
                ).format(name, sql.Literal(start), sql.Literal(end))
            )
            connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT day").format(name))
    except HELD:
        return


def _leaves(connection: psycopg.Connection) -> list[date]:
    """The days that have a leaf, attached or not."""
    names = (_NAME.fullmatch(name) for (name,) in connection.execute(_TABLES))
    return [
        datetime.strptime(name[1], "%Y%m%d").replace(tzinfo=UTC).date()
        for name in names
        if name is not None
    ]


def attach_leaves(connection: psycopg.Connection) -> None:
    """Attaches what readers held back."""
    for day in _leaves(connection):
        _attach(connection, day)


def drop_lives(
    connection: psycopg.Connection, *, days: int, bounded: bool, now_ns: int | None = None
) -> int:
    """Lets go what was told more than ``days`` days ago; the leaves dropped.

    Markets marked ``keep`` stay whole: of a leaf that has some of theirs the others' rows go.
    ``bounded``: of simulated markets those go whose events went.
    """
    oldest = day_of((now_ns or time.time_ns()) - days * DAY_NS)
    dropped = 0
    for day in _leaves(connection):
        if day < oldest:
            dropped += _drop(connection, day)
    if bounded:
        connection.execute(_FORGET_SIMULATED)
    return dropped


_FORGET_SIMULATED = """
    DELETE FROM lifecycle_rows r USING (
        SELECT market, min(from_seq) AS first FROM generations JOIN markets USING (market)
        WHERE simulated AND NOT keep GROUP BY market
    ) left_over WHERE r.market = left_over.market AND r.told_seq < left_over.first
"""


def _drop(connection: psycopg.Connection, day: date) -> int:
    """1 where the leaf of a day is gone; readers may delay it to the next round."""
    name = sql.Identifier(_name(day))
    try:
        with changing(connection):
            connection.execute(
                sql.SQL(
                    "DELETE FROM {} r USING markets m WHERE m.market = r.market AND NOT m.keep"
                ).format(name)
            )
            kept = connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(name))
            if kept.fetchone() is not None:
                return 0
            connection.execute(sql.SQL("DROP TABLE {}").format(name))
    except HELD:
        return 0
    return 1
