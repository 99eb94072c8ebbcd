"""Which events of a market PostgreSQL has, and those events as batches, read from its leaves.

A leaf holds one unbroken stretch of a tape's events.  They are read by their own names: one that
retention drops meanwhile is an error then, which the reader of pages answers from the tape, where
its parent would silently have fewer rows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ordertape import limits
from ordertape.database.batches import Rows, read_rows
from ordertape.database.rows import GENERATION_COLUMNS, KIND_LETTERS, SIDE_LETTERS, Generation
from ordertape.filters import Filters, scaled_ceiling, scaled_floor

__all__ = [
    "Held",
    "Stretch",
    "events_in",
    "first_since",
    "is_order_form",
    "received_at",
]

_LEAVES = sql.SQL("""
    SELECT {}, c.oid::bigint, c.relname
    FROM markets m JOIN generations g USING (market)
    LEFT JOIN pg_inherits i ON i.inhparent = to_regclass('events_' || g.generation)
    LEFT JOIN pg_class c ON c.oid = i.inhrelid
    WHERE m.exchange = %s AND m.symbol = %s AND m.origin = 'tape'
    ORDER BY g.generation, c.relname
""").format(GENERATION_COLUMNS)


class Stretch(NamedTuple):
    """Events of one leaf: every one of the tape from ``first`` to ``last``, both with it."""

    generation: Generation
    leaf: str
    oid: int
    first: int
    last: int


class Held:
    """What is copied of markets' tapes; what can't change any more is asked once.

    May be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Stretch] = OrderedDict()
        self._opened = 0

    def stretches(
        self, connection: psycopg.Connection, opened: int, exchange: str, symbol: str
    ) -> list[Stretch]:
        """By seq.  ``opened``: ``Connections.opened``; after a crash the last commits may be gone,
        and connections end with it."""
        with self._lock:
            if self._opened != opened:
                self._known.clear()
                self._opened = opened
            known = dict(self._known)
        found: list[Stretch] = []
        asked: list[tuple[Generation, int, str]] = []
        for *generation, oid, leaf in connection.execute(_LEAVES, (exchange, symbol)).fetchall():
            if oid in known and known[oid].leaf == leaf:
                found.append(known[oid])
            elif oid is not None:
                asked.append((Generation(*generation), oid, leaf))
        found += _bounds(connection, asked)
        found.sort(key=lambda stretch: stretch.first)
        self._remember(found[:-1])
        return found

    def _remember(self, complete: list[Stretch]) -> None:
        """Leaves that a later one follows get no more events."""
        with self._lock:
            for stretch in complete:
                self._known[stretch.oid] = stretch
                self._known.move_to_end(stretch.oid)
            while len(self._known) > limits.database_leaves_known:
                self._known.popitem(last=False)


def _bounds(
    connection: psycopg.Connection, leaves: list[tuple[Generation, int, str]]
) -> Iterator[Stretch]:
    if not leaves:
        return
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}::int, (SELECT min(seq) FROM {}), (SELECT max(seq) FROM {})").format(
            sql.Literal(nth), sql.Identifier(leaf), sql.Identifier(leaf)
        )
        for nth, (_, _, leaf) in enumerate(leaves)
    )
    for nth, first, last in connection.execute(query).fetchall():
        if first is not None:
            generation, oid, leaf = leaves[nth]
            yield Stretch(generation, leaf, oid, first, last)


def received_at(connection: psycopg.Connection, stretch: Stretch, seq: int) -> int | None:
    """``ts_recv`` of an event, None where it is not there."""
    query = sql.SQL("SELECT ts_recv FROM {} WHERE seq = {}")
    found = connection.execute(
        query.format(sql.Identifier(stretch.leaf), sql.Literal(seq))
    ).fetchone()
    return None if found is None else int(found[0])


def first_since(
    connection: psycopg.Connection, exchange: str, symbol: str, stretches: list[Stretch], ts: int
) -> int | None:
    """The first event received at or after ``ts`` (ns), None where these rows can't tell: it may
    be older or newer than they are."""
    found = connection.execute("SELECT seq_from(%s, %s, %s)", (exchange, symbol, ts)).fetchone()
    if found is None or found[0] is None:
        return None
    # The one before it must be there, too, and be earlier: it is, inside one unbroken stretch.
    seq = int(found[0])
    return seq if any(each.first < seq <= each.last for each in stretches) else None


def events_in(
    connection: psycopg.Connection,
    generation: Generation,
    table: str,
    filters: Filters,
    *,
    first: int,
    last: int,
    rows: int,
    descending: bool,
    start: int | None = None,
    end: int | None = None,
) -> list[Rows]:
    """The first (or last) ``rows`` events of a table from seq ``first`` to ``last`` that pass.

    Always by rising seq.  ``start``, ``end``: ns by our clock, for tables whose times need not
    follow the seq.
    """
    if filters.order_id is not None and not is_order_form(generation.order_form, filters.order_id):
        return []
    bounds: list[tuple[str, Any]] = [("seq >= {}", first), ("seq <= {}", last)]
    bounds += [("ts_recv >= {}", start), ("ts_recv < {}", end)]
    bounds += _conditions(filters, generation)
    where = sql.SQL(" AND ").join(
        sql.SQL(text).format(sql.Literal(value)) for text, value in bounds if value is not None
    )
    source: sql.Composable = sql.Identifier(table)
    if filters.order_id is not None:
        # Apart, so that the order's few rows are found first, whatever the planner believes.
        source = sql.SQL("(SELECT * FROM {} WHERE order_id = {}::{} OFFSET 0) AS history").format(
            source, sql.Literal(filters.order_id), sql.SQL(generation.order_form)
        )
    return read_rows(
        connection,
        generation,
        sql.SQL("FROM {} WHERE {} ORDER BY seq {} LIMIT {}").format(
            source, where, sql.SQL("DESC" if descending else "ASC"), sql.Literal(rows)
        ),
    )


def is_order_form(form: str, order_id: str) -> bool:
    """Whether an id may stand in a column of that form at all, written just so."""
    if form == "bigint":
        digits = order_id.isascii() and order_id.isdigit() and len(order_id) <= 19
        return digits and str(int(order_id)) == order_id and int(order_id) < 2**63
    if form == "uuid":
        parts = [len(part) for part in order_id.split("-")]
        return parts == [8, 4, 4, 4, 12] and not set(order_id) - set("0123456789abcdef-")
    return "\0" not in order_id


def _conditions(filters: Filters, generation: Generation) -> list[tuple[str, Any]]:
    """As ``Filters.rows`` has them, at the table's scales; null is never in bounds."""
    price, size = generation.price_scale, generation.size_scale
    low, high, least = filters.min_price, filters.max_price, filters.min_size
    return [
        ("side = {}", None if filters.side is None else SIDE_LETTERS[filters.side]),
        ("kind = {}", None if filters.kind is None else KIND_LETTERS[filters.kind]),
        ("price >= {}", None if low is None else scaled_ceiling(low, price)),
        ("price <= {}", None if high is None else scaled_floor(high, price)),
        ("size >= {}", None if least is None else scaled_ceiling(least, size)),
    ]
