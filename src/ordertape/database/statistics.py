"""Figures of the events of an interval, counted over the tables themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection, sql

from ordertape.database.rows import KIND_LETTERS, Generation
from ordertape.errors import UnknownMarket
from ordertape.models import iso_from_ns

__all__ = ["market_generations", "market_statistics", "seq_bounds"]

_KINDS = {letter: kind.name.lower() for kind, letter in KIND_LETTERS.items()}
_SIDES = {"b": "bid", "a": "ask"}

# A second at a time first, so that the rate of the busiest one comes from the same reading.
_COUNT = """
    SELECT kind::text, side::text, ts_recv / 1000000000 AS second, count(*), sum(size),
        min(ts_recv), max(ts_recv)
    FROM {table} WHERE {condition} GROUP BY 1, 2, 3
"""


async def market_generations(
    connection: AsyncConnection[Any], exchange: str, symbol: str
) -> list[Generation]:
    """A market's generations, oldest first.  Raises UnknownMarket."""
    rows = await (
        await connection.execute(
            "SELECT generation, market, exchange, symbol, price_scale, size_scale, order_form, "
            "trade_form FROM generations JOIN markets USING (market) "
            "WHERE exchange = %s AND symbol = %s ORDER BY generation",
            (exchange, symbol),
        )
    ).fetchall()
    if not rows:
        raise UnknownMarket(f"the database has no events of {exchange} {symbol}")
    return [Generation(*row) for row in rows]


async def market_statistics(
    connection: AsyncConnection[Any],
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> dict[str, Any]:
    """Events from ``start`` to before ``end`` (ns by our clock; None: unbounded)."""
    by_type: dict[str, int] = dict.fromkeys(_KINDS.values(), 0)
    by_side: dict[str, int] = dict.fromkeys(_SIDES.values(), 0)
    traded = Decimal(0)
    seconds: dict[int, int] = {}
    moments: list[int] = []
    generations = await market_generations(connection, exchange, symbol)
    condition = await _condition(connection, exchange, symbol, start, end)
    for generation in generations:
        query = sql.SQL(_COUNT).format(table=sql.Identifier(generation.table), condition=condition)
        for kind, side, second, count, size, first, last in await (
            await connection.execute(query)
        ).fetchall():
            by_type[_KINDS[kind]] += count
            if side in _SIDES:
                by_side[_SIDES[side]] += count
            if _KINDS[kind] in ("match", "trade"):
                traded += (size or Decimal(0)).scaleb(-generation.size_scale)
            seconds[second] = seconds.get(second, 0) + count
            moments += (first, last)
    total = sum(by_type.values())
    span = (max(moments) - min(moments)) if moments else 0
    mean = Decimal(total * 10**9) / span if span else Decimal(total)
    snapshots = await (
        await connection.execute(
            "SELECT count(*) FROM level3_snapshots WHERE exchange = %s AND symbol = %s "
            "AND (%s::bigint IS NULL OR ts_recv >= %s) AND (%s::bigint IS NULL OR ts_recv < %s)",
            (exchange, symbol, start, start, end, end),
        )
    ).fetchone()
    assert snapshots is not None
    return {
        "exchange": exchange,
        "symbol": symbol,
        "total_orders": total,
        "unique_orders": await _unique(connection, generations, condition),
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


async def _unique(
    connection: AsyncConnection[Any],
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
    found = await (await connection.execute(query)).fetchone()
    assert found is not None
    return int(found[0])


async def _condition(
    connection: AsyncConnection[Any],
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> sql.Composable:
    """The interval in SQL: by time, which leaves out days, and by seq, which an index knows."""
    first, behind = await seq_bounds(connection, exchange, symbol, start, end)
    bounds = (("ts_recv >= {}", start), ("ts_recv < {}", end), ("seq >= {}", first))
    parts = [
        sql.SQL(text).format(sql.Literal(value))
        for text, value in (*bounds, ("seq < {}", behind))
        if value is not None
    ]
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


async def seq_bounds(
    connection: AsyncConnection[Any],
    exchange: str,
    symbol: str,
    start: int | None,
    end: int | None,
) -> tuple[int | None, int | None]:
    """(first seq, the seq behind the last) of an interval; None where that is not bounded.

    Times of saved rows need not follow their sequence: of those neither is known.
    """
    found = await (
        await connection.execute(
            "SELECT seq_from(%s, %s, %s), seq_from(%s, %s, %s) FROM markets "
            "WHERE exchange = %s AND symbol = %s AND origin = 'tape'",
            (exchange, symbol, start, exchange, symbol, end, exchange, symbol),
        )
    ).fetchone()
    return (None, None) if found is None else (found[0], found[1])
