"""Markets as the database knows them, for those that no tape here has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from ordertape.database.rows import Generation

__all__ = ["Stored", "seq_after", "seqs_of", "stored_market"]

_NAMED = """
    SELECT market, exchange, symbol, origin, simulated, coalesce(era, 0)
    FROM markets LEFT JOIN cursors USING (market)
    WHERE exchange = %s AND symbol = %s
"""
_MEANT = """
    SELECT market, exchange, symbol, origin, simulated, coalesce(era, 0)
    FROM markets LEFT JOIN cursors USING (market)
    WHERE lower(exchange) = lower(%s) AND upper(replace(symbol, '-', '/')) = upper(%s) LIMIT 2
"""


class Stored(NamedTuple):
    """A market of the database."""

    market: int
    exchange: str
    symbol: str
    origin: str
    """"tape": copied from one; "saved": put there through ``L3Repository``."""
    simulated: bool
    era: int
    """Of its last event where it is copied from a tape, else 0."""


def stored_market(
    connection: psycopg.Connection, exchange: str, symbol: str, *, exactly: bool = False
) -> Stored | None:
    """The market of that name, else in any case and with a slash or a hyphen (``exactly``: not);
    None: there is none."""
    found = connection.execute(_NAMED, (exchange, symbol)).fetchall()
    if not found and not exactly:
        found = connection.execute(_MEANT, (exchange, symbol.replace("-", "/"))).fetchall()
    return Stored(*found[0]) if len(found) == 1 else None


def seqs_of(
    connection: psycopg.Connection,
    stored: Stored,
    generations: Sequence[Generation],
    start: int | None,
    end: int | None,
) -> tuple[int, int]:
    """(first, last) seq of what the database has of an interval (ns), narrowed where times follow
    the seq; the last is before the first where there is nothing."""
    if not generations:
        return 1, 0
    parts = [
        sql.SQL("SELECT min(seq) AS first, max(seq) AS last FROM {}").format(
            sql.Identifier(generation.table)
        )
        for generation in generations
    ]
    query = sql.SQL("SELECT min(first), max(last) FROM ({}) AS found").format(
        sql.SQL(" UNION ALL ").join(parts)
    )
    first, last = connection.execute(query).fetchone() or (None, None)
    if first is None:
        return 1, 0
    if stored.origin == "tape":
        names = (stored.exchange, stored.symbol)
        found = connection.execute(
            "SELECT seq_from(%s, %s, %s), seq_from(%s, %s, %s)", (*names, start, *names, end)
        ).fetchone()
        begin, behind = found or (None, None)
        if start is not None:
            first = last + 1 if begin is None else begin
        if behind is not None:
            last = behind - 1
    return first, last


def seq_after(
    connection: psycopg.Connection,
    generations: Sequence[Generation],
    *,
    first: int,
    last: int,
    rows: int,
    descending: bool,
) -> int | None:
    """The seq of the ``rows``-th event behind ``first`` (before ``last``), which may be far where
    seqs have holes; None where there are not so many."""
    way = sql.SQL("DESC" if descending else "ASC")
    parts = [
        sql.SQL("(SELECT seq FROM {} WHERE seq BETWEEN {} AND {} ORDER BY seq {} LIMIT {})").format(
            sql.Identifier(generation.table),
            *map(sql.Literal, (first, last)),
            way,
            sql.Literal(rows),
        )
        for generation in generations
    ]
    query = sql.SQL("SELECT seq FROM ({}) AS seqs ORDER BY seq {} OFFSET {} LIMIT 1").format(
        sql.SQL(" UNION ALL ").join(parts), way, sql.Literal(rows - 1)
    )
    found = connection.execute(query).fetchone()
    return None if found is None else int(found[0])
