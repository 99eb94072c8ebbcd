"""Figures of the events of an interval, counted over the tables themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from ordertape.database.books import latest_book
from ordertape.database.connections import reading_all
from ordertape.database.gaps import gap_figures, gaps_between
from ordertape.database.rows import KINDS, SIDES, Generation, generations_of
from ordertape.database.stored import stored_market
from ordertape.errors import UnknownMarket
from ordertape.events import EventKind, Side
from ordertape.models import iso_from_ns

__all__ = ["market_statistics"]

# A second at a time first, so that the rate of the busiest one comes from the same reading.
_COUNT = """
    SELECT kind::text, side::text, ts_recv / 1000000000 AS second, count(*), sum(size),
        min(ts_recv), max(ts_recv)
    FROM {table} WHERE {condition} GROUP BY 1, 2, 3
"""


def market_statistics(
    connection: psycopg.Connection,
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> dict[str, Any]:
    """Events from ``start`` to before ``end`` (ns by our clock; None: unbounded): the fields of
    ``GET /statistics``.

    Raises UnknownMarket.
    """
    market = stored_market(connection, exchange, symbol, exactly=True)
    generations = [] if market is None else generations_of(connection, market.market)
    if not generations:
        raise UnknownMarket(f"the database has no events of {exchange} {symbol}")
    with reading_all(connection):
        counted = _counted(connection, exchange, symbol, generations, start, end)
    newest = latest_book(connection, exchange, symbol)
    return {
        **counted,
        "gaps": gap_figures(gaps_between(connection, exchange, symbol, start, end), start, end),
        "live": None if newest is None else newest.statistics.model_dump(),
    }


def _counted(
    connection: psycopg.Connection,
    exchange: str,
    symbol: str,
    generations: list[Generation],
    start: int | None,
    end: int | None,
) -> dict[str, Any]:
    by_type: dict[str, int] = {kind.name.lower(): 0 for kind in EventKind}
    by_side: dict[str, int] = {side.name.lower(): 0 for side in Side}
    traded = Decimal(0)
    seconds: dict[int, int] = {}
    moments: list[int] = []
    condition = _condition(connection, exchange, symbol, start, end)
    for generation in generations:
        query = sql.SQL(_COUNT).format(table=sql.Identifier(generation.table), condition=condition)
        for letter, side, second, count, size, first, last in connection.execute(query):
            kind = KINDS[letter]
            by_type[kind.name.lower()] += count
            if side in SIDES:
                by_side[SIDES[side].name.lower()] += count
            if kind in (EventKind.MATCH, EventKind.TRADE):
                traded += (size or Decimal(0)).scaleb(-generation.size_scale)
            seconds[second] = seconds.get(second, 0) + count
            moments += (first, last)
    total = sum(by_type.values())
    span = (max(moments) - min(moments)) if moments else 0
    mean = Decimal(total * 10**9) / span if span else Decimal(total)
    snapshots = connection.execute(
        "SELECT count(*) FROM level3_snapshots WHERE exchange = %s AND symbol = %s "
        "AND (%s::bigint IS NULL OR ts_recv >= %s) AND (%s::bigint IS NULL OR ts_recv < %s)",
        (exchange, symbol, start, start, end, end),
    ).fetchone()
    assert snapshots is not None
    return {
        "exchange": exchange,
        "symbol": symbol,
        "total_orders": total,
        "unique_orders": _unique(connection, generations, condition),
        "first_order": iso_from_ns(min(moments)) if moments else None,
        "last_order": iso_from_ns(max(moments)) if moments else None,
        "snapshots": snapshots[0],
        "by_event_type": by_type,
        "by_side": by_side,
        "traded_volume": traded,
        "events_per_second": {
            "mean": round(mean, 3),
            "peak": max(seconds.values(), default=0),
        },
    }


def _unique(
    connection: psycopg.Connection,
    generations: list[Generation],
    condition: sql.Composable,
) -> int:
    """Different order ids; of one generation they are compared as they are stored."""
    cast = sql.SQL("::text" if len(generations) > 1 else "")
    parts = [
        sql.SQL("SELECT order_id{} AS order_id FROM {} WHERE {}").format(
            cast, sql.Identifier(generation.table), condition
        )
        for generation in generations
    ]
    query = sql.SQL(
        "SELECT count(*) FROM (SELECT DISTINCT order_id FROM ({}) AS ids "
        "WHERE order_id IS NOT NULL) AS different"
    ).format(sql.SQL(" UNION ALL ").join(parts))
    found = connection.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def _condition(
    connection: psycopg.Connection,
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> sql.Composable:
    """The interval in SQL: by time, which leaves out days, and by seq, which an index knows."""
    first, behind = _seq_bounds(connection, exchange, symbol, start, end)
    bounds = (("ts_recv >= {}", start), ("ts_recv < {}", end), ("seq >= {}", first))
    parts = [
        sql.SQL(text).format(sql.Literal(value))
        for text, value in (*bounds, ("seq < {}", behind))
        if value is not None
    ]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _seq_bounds(
    connection: psycopg.Connection,
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> tuple[int | None, int | None]:
    """(first seq, the seq behind the last) of an interval; None where that is not bounded.

    Times of saved rows need not follow their sequence: of those neither is known.
    """
    found = connection.execute(
        "SELECT seq_from(%s, %s, %s), seq_from(%s, %s, %s) FROM markets "
        "WHERE exchange = %s AND symbol = %s AND origin = 'tape'",
        (exchange, symbol, start, exchange, symbol, end, exchange, symbol),
    ).fetchone()
    return (None, None) if found is None else (found[0], found[1])
