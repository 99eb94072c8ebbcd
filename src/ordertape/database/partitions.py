"""Leaf partitions: one a generation and day, made beside their table and attached to it.

Attaching a finished table takes a lock that readers and writers of the others don't feel; there is
no default partition, whose scan would make them wait.  Rows are copied straight into leaves, which
works before they are attached too.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape.crash_points import crash_point
from ordertape.database.changes import HELD, changing
from ordertape.database.rows import Generation, event_table, generations_of
from ordertape.database.schema import OURS

__all__ = [
    "DAY_NS",
    "Leaf",
    "attach",
    "day_of",
    "drop_before",
    "ensure_leaf",
    "leaves",
    "make_table",
]

DAY_NS: Final = 86_400 * 10**9
_NAME = re.compile(r"events_(\d+)_(\d{8})")
_EPOCH = date(1970, 1, 1)


class Leaf(NamedTuple):
    generation: int
    day: date

    @property
    def name(self) -> str:
        return f"events_{self.generation}_{self.day:%Y%m%d}"

    @property
    def bounds(self) -> tuple[int, int]:
        """ns: the first in it, and the first after it."""
        start = (self.day - _EPOCH).days * DAY_NS
        return start, start + DAY_NS


def day_of(ns: int) -> date:
    """The UTC day of a moment."""
    return _EPOCH + timedelta(days=ns // DAY_NS)


def today() -> date:
    return datetime.now(UTC).date()


def make_table(connection: psycopg.Connection, generation: Generation) -> None:
    """A generation's table, without any leaf."""
    connection.execute(event_table(generation))
    comment = f"{OURS} events of {generation.exchange} {generation.symbol}"
    _comment(connection, generation.table, comment)


def ensure_leaf(connection: psycopg.Connection, leaf: Leaf, *, order_index: bool) -> bool:
    """Makes the leaf where it is missing and attaches it; False where readers did not let go.

    Rows may be copied into it either way; they are seen once it is attached.
    """
    if _is_attached(connection, leaf) is None:
        _make(connection, leaf, order_index=order_index)
        crash_point("follower.leaf_made")
    return attach(connection, leaf)


def _is_attached(connection: psycopg.Connection, leaf: Leaf) -> bool | None:
    """None where there is no such leaf."""
    found = connection.execute(
        "SELECT relispartition FROM pg_class WHERE oid = to_regclass(%s)", (leaf.name,)
    ).fetchone()
    return found[0] if found is not None else None


def _make(connection: psycopg.Connection, leaf: Leaf, *, order_index: bool) -> None:
    name, parent = sql.Identifier(leaf.name), sql.Identifier(f"events_{leaf.generation}")
    start, end = leaf.bounds
    with changing(connection):
        if _is_attached(connection, leaf) is not None:  # somebody whose turn was before ours
            return
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING STORAGE)").format(
                name, parent
            )
        )
        # seq only grows: pages that are full stay so.
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (seq) WITH (fillfactor = 100)").format(name)
        )
        if order_index:
            connection.execute(sql.SQL("CREATE INDEX ON {} (order_id)").format(name))
        # Attaching trusts this constraint instead of reading the rows.
        connection.execute(
            sql.SQL(
                "ALTER TABLE {} ADD CONSTRAINT day CHECK (ts_recv >= {} AND ts_recv < {})"
            ).format(name, sql.Literal(start), sql.Literal(end))
        )
        _comment(connection, leaf.name, f"{OURS} events of {leaf.day:%Y-%m-%d}")


def attach(connection: psycopg.Connection, leaf: Leaf) -> bool:
    """Whether the leaf is attached now; a missing one is not."""
    if _is_attached(connection, leaf):
        return True
    start, end = leaf.bounds
    name, parent = sql.Identifier(leaf.name), sql.Identifier(f"events_{leaf.generation}")
    try:
        with changing(connection):
            # Somebody whose turn was before ours may have attached or dropped it.
            if (attached := _is_attached(connection, leaf)) is not False:
                return attached is True
            connection.execute(
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    parent, name, sql.Literal(start), sql.Literal(end)
                )
            )
            connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT day").format(name))
    except HELD:
        return False
    return True


def leaves(connection: psycopg.Connection) -> list[Leaf]:
    """Every leaf, attached or not, by generation and day."""
    rows = connection.execute("""
        SELECT relname FROM pg_class WHERE relkind = 'r'
        AND relnamespace = current_schema()::regnamespace AND relname ~ '^events_[0-9]+_[0-9]{8}$'
    """)
    found = []
    for (name,) in rows:
        parts = _NAME.fullmatch(name)
        if parts is not None:
            day = datetime.strptime(parts[2], "%Y%m%d").replace(tzinfo=UTC).date()
            found.append(Leaf(int(parts[1]), day))
    return sorted(found)


def drop_before(connection: psycopg.Connection, generation: int, day: date) -> list[Leaf]:
    """Drops a generation's leaves of the days before; those that readers hold stay for now."""
    dropped = []
    for leaf in leaves(connection):
        if leaf.generation != generation or leaf.day >= day:
            continue
        try:
            with changing(connection):
                name = sql.Identifier(leaf.name)
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        except HELD:
            continue
        dropped.append(leaf)
    return dropped


def make_ahead(connection: psycopg.Connection, *, order_index: bool) -> list[Leaf]:
    """Leaves of the days to come, for the generations that events are copied into; the new ones."""
    newest: dict[int, Generation] = {}
    for generation in generations_of(connection):
        newest[generation.market] = generation
    there = leaves(connection)
    made = []
    for generation in newest.values():
        for ahead in range(1, limits.database_days_ahead + 1):
            leaf = Leaf(generation.number, today() + timedelta(days=ahead))
            in_use = any(
                other.generation == leaf.generation and (leaf.day - other.day).days <= ahead
                for other in there
            )
            if in_use and leaf not in there:
                ensure_leaf(connection, leaf, order_index=order_index)
                made.append(leaf)
    return made


def _comment(connection: psycopg.Connection, table: str, text: str) -> None:
    connection.execute(
        sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(table), sql.Literal(text))
    )
