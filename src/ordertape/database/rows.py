"""How an event stands in a table: columns, letters and bits, and the view over them.

An event's table holds the engine's own integers; the view ``level3_orders`` turns them into what
people read.  One table a generation of a market: one pair of scales, one form of ids.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from ordertape.events import FLAG_NAMES, REASONS, EventKind, Side

__all__ = [
    "GENERATION_COLUMNS",
    "KINDS",
    "KIND_LETTERS",
    "SIDES",
    "SIDE_LETTERS",
    "Generation",
    "event_table",
    "generations_of",
    "orders_view",
]

KIND_LETTERS: Final = {
    EventKind.OPEN: "O",
    EventKind.CHANGE: "H",
    EventKind.MATCH: "M",
    EventKind.DONE: "D",
    EventKind.CLEAR: "C",
    EventKind.EVICT: "E",
    EventKind.TRADE: "T",
}
SIDE_LETTERS: Final = ("b", "a", "-")
"""Of Side.BID, Side.ASK and of none."""
KINDS: Final = {letter: kind for kind, letter in KIND_LETTERS.items()}
SIDES: Final = {SIDE_LETTERS[side]: side for side in Side}
REASON_BITS: Final = 8
"""``bits``: flags in the low eight, the reason in the next five, the taker's side above."""
TAKER_BITS: Final = 13
"""1: the taker bought (bid), 2: it sold (ask)."""


class Generation(NamedTuple):
    """A market's events at one scale and form of ids."""

    number: int
    market: int
    exchange: str
    symbol: str
    price_scale: int
    size_scale: int
    order_form: str
    trade_form: str

    @property
    def table(self) -> str:
        return f"events_{self.number}"


GENERATION_COLUMNS: Final = sql.SQL(
    "generation, market, exchange, symbol, price_scale, size_scale, order_form, trade_form"
)
"""Of ``generations JOIN markets``: the fields of ``Generation``."""
_GENERATIONS: Final = sql.SQL("""
    SELECT {} FROM generations JOIN markets USING (market)
    WHERE %s::int IS NULL OR market = %s ORDER BY exchange, symbol, generation
""").format(GENERATION_COLUMNS)


def generations_of(connection: psycopg.Connection, market: int | None = None) -> list[Generation]:
    """A market's generations, oldest first; without one those of every market, by its names."""
    rows = connection.execute(_GENERATIONS, (market, market))
    return [Generation(*row) for row in rows]


def event_table(generation: Generation) -> sql.Composed:
    """The DDL of a generation's table; the widest columns first, so that nothing is padded."""
    return sql.SQL("""
        CREATE TABLE {table} (
            seq bigint NOT NULL,
            ts_recv bigint NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            era int NOT NULL,
            bits smallint NOT NULL,
            kind "char" NOT NULL,
            side "char" NOT NULL,
            order_id {order_form},
            price bigint,
            size bigint,
            ts_event bigint,
            venue_seq bigint,
            trade_id {trade_form},
            taker_order_id {order_form},
            price_before bigint,
            size_before bigint
        ) PARTITION BY RANGE (ts_recv)
    """).format(
        table=sql.Identifier(generation.table),
        order_form=sql.SQL(generation.order_form),
        trade_form=sql.SQL(generation.trade_form),
    )


_COLUMNS = """
    SELECT {exchange}::text AS exchange,
        {symbol}::text AS symbol,
        order_id::text AS order_id,
        seq AS sequence,
        CASE side WHEN 'b' THEN 'bid' WHEN 'a' THEN 'ask' END AS side,
        {price} AS price,
        {size} AS size,
        {kind} AS event_type,
        moment(coalesce(ts_event, ts_recv)) AS "timestamp",
        jsonb_strip_nulls(jsonb_build_object(
            'reason', {reason},
            'trade_id', trade_id::text,
            'taker_order_id', taker_order_id::text,
            'taker_side', CASE bits >> {taker} WHEN 1 THEN 'bid' WHEN 2 THEN 'ask' END,
            'old_price', {price_before},
            'old_size', {size_before},
            'venue_seq', venue_seq,
            'ts_event_ns', ts_event,
            'ts_recv_ns', ts_recv,
            'era', era,
            {flags}
        )) AS metadata,
        created_at,
        ts_recv
    FROM {table}
"""


def orders_view(generations: list[Generation]) -> sql.Composed:
    """The query of ``level3_orders``.

    Every market's names are literals, so that a query of one market reads that market's tables
    alone; a join with ``markets`` would read all of them.
    """
    if not generations:
        nothing = Generation(0, 0, "", "", 0, 0, "text", "text")
        columns = _branch(nothing, sql.SQL("({}) AS nothing WHERE false").format(_NO_ROW))
        return sql.SQL("{}").format(columns)
    return sql.SQL(" UNION ALL ").join(
        _branch(generation, sql.Identifier(generation.table)) for generation in generations
    )


_NO_ROW = sql.SQL("""
    SELECT NULL::bigint AS seq, NULL::bigint AS ts_recv, NULL::timestamptz AS created_at,
        NULL::int AS era, NULL::smallint AS bits, NULL::"char" AS kind, NULL::"char" AS side,
        NULL::text AS order_id, NULL::bigint AS price, NULL::bigint AS size,
        NULL::bigint AS ts_event, NULL::bigint AS venue_seq, NULL::text AS trade_id,
        NULL::text AS taker_order_id, NULL::bigint AS price_before, NULL::bigint AS size_before
""")


def _branch(generation: Generation, table: sql.Composable) -> sql.Composed:
    def number(column: str, scale: int) -> sql.Composed:
        # A product with a power of ten is exact; a quotient would be rounded.
        unit = sql.Literal(f"{10**-scale:.{scale}f}" if scale else "1")
        return sql.SQL("trim_scale({} * {}::numeric)").format(sql.Identifier(column), unit)

    kinds = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(letter), sql.Literal(kind.name.lower()))
        for kind, letter in KIND_LETTERS.items()
    )
    reasons = sql.SQL(" ").join(
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(int(code)), sql.Literal(text))
        for code, text in REASONS.items()
    )
    return sql.SQL(_COLUMNS).format(
        exchange=sql.Literal(generation.exchange),
        symbol=sql.Literal(generation.symbol),
        price=number("price", generation.price_scale),
        size=number("size", generation.size_scale),
        price_before=number("price_before", generation.price_scale),
        size_before=number("size_before", generation.size_scale),
        kind=sql.SQL("CASE kind {} END").format(kinds),
        reason=sql.SQL("CASE (bits >> {}) & 31 {} END").format(sql.Literal(REASON_BITS), reasons),
        taker=sql.Literal(TAKER_BITS),
        flags=sql.SQL(", ").join(
            sql.SQL("{}, CASE WHEN bits & {} <> 0 THEN true END").format(name, int(flag))
            for flag, name in FLAG_NAMES.items()
        ),
        table=table,
    )
