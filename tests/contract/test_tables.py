"""Contract, Tables: what SQL sees of a market that is being collected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from ordertape.database.address import connect
from ordertape.models import iso_from_ns
from support.contract import BOTH_DATABASES, METADATA
from support.processes import wait_for
from support.served import LIVE, Served, exact

pytestmark = BOTH_DATABASES

ORDERS = {
    "exchange": "text",
    "symbol": "text",
    "order_id": "text",
    "sequence": "bigint",
    "side": "text",
    "price": "numeric",
    "size": "numeric",
    "event_type": "text",
    "timestamp": "timestamp with time zone",
    "metadata": "jsonb",
    "created_at": "timestamp with time zone",
}
SNAPSHOTS = {
    "exchange": "text",
    "symbol": "text",
    "sequence": "bigint",
    "timestamp": "timestamp with time zone",
    "bids": "jsonb",
    "asks": "jsonb",
    "total_bid_orders": "bigint",
    "total_ask_orders": "bigint",
    "total_bid_volume": "numeric",
    "total_ask_volume": "numeric",
    "created_at": "timestamp with time zone",
}


@pytest.fixture(scope="module")
def sql(server: Served) -> Iterator[psycopg.Connection]:
    """A connection to a database that follows the live market, on no search path."""
    with connect(server.database()) as connection:
        table = f"{server.schema}.level3_snapshots"

        def has_book() -> bool:
            (there,) = connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() or (None,)
            first = f"SELECT 1 FROM {table} LIMIT 1"
            return there is not None and bool(connection.execute(first.encode()).fetchall())

        wait_for(has_book, "a whole book")
        connection.execute("SET search_path TO DEFAULT")
        yield connection


def columns(sql: psycopg.Connection, schema: str, table: str) -> dict[str, str]:
    return dict(
        sql.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s",
            (schema, table),
        ).fetchall()
    )


def records(sql: psycopg.Connection, query: str) -> list[dict[str, Any]]:
    cursor = sql.cursor(row_factory=psycopg.rows.dict_row)
    return cursor.execute(query.encode()).fetchall()


@pytest.mark.contract("OTC_SCHEMA")
def test_the_schema_is_otc_analysis_unless_otc_schema_says_otherwise(
    server: Served, sql: psycopg.Connection
) -> None:
    found = sql.execute(
        "SELECT schemaname FROM pg_views WHERE viewname = 'level3_orders'"
    ).fetchall()
    assert found == [(server.environment.get("OTC_SCHEMA", "otc_analysis"),)]


def test_level3_orders_answers_the_count_of_the_contract(
    server: Served, sql: psycopg.Connection
) -> None:
    count = f"SELECT COUNT(*) FROM {server.schema}.level3_orders WHERE exchange = 'coinbase'"
    assert sql.execute(count.encode()).fetchone() == (0,)
    ours = count.replace("coinbase", "bitfinex")
    assert sql.execute(ours.encode()).fetchone() > (0,)


def test_level3_snapshots_answers_the_newest_of_the_contract(
    server: Served, sql: psycopg.Connection
) -> None:
    newest = f"SELECT * FROM {server.schema}.level3_snapshots ORDER BY timestamp DESC LIMIT 1"
    (row,) = records(sql, newest)
    assert row["exchange"] == "bitfinex"
    assert set(row) >= set(SNAPSHOTS)


@pytest.mark.parametrize(
    ("table", "wanted"), [("level3_orders", ORDERS), ("level3_snapshots", SNAPSHOTS)]
)
def test_the_columns_and_both_timestamps_are_timestamptz(
    server: Served, sql: psycopg.Connection, table: str, wanted: dict[str, str]
) -> None:
    found = columns(sql, server.schema, table)
    assert {name: found.get(name) for name in wanted} == wanted


def test_rows_are_the_events_of_the_interface_digit_by_digit(
    server: Served, sql: psycopg.Connection
) -> None:
    query = (
        f"SELECT *, metadata::text AS exact FROM {server.schema}.level3_orders "
        f"WHERE exchange = 'bitfinex' AND symbol = '{LIVE}' ORDER BY sequence LIMIT 500"
    )
    rows: list[dict[str, Any]] = []

    def there() -> bool:
        rows[:] = records(sql, query)
        return len(rows) == 500

    wait_for(there, "rows")
    shown = server.answer(f"/orders/bitfinex/{LIVE}", limit=500)["orders"]
    for row, order in zip(rows, shown, strict=True):
        for name in ("exchange", "symbol", "order_id", "sequence", "side", "event_type"):
            assert row[name] == order[name]
        for name in ("price", "size"):
            assert (row[name] is None) == (order[name] is None)
            assert row[name] is None or row[name] == Decimal(order[name])
        assert iso_from_ns(ns(row["timestamp"])) == order["timestamp"]  # the venue's: milliseconds
        assert set(row["metadata"]) <= METADATA
        assert exact(row["exact"]) == order["metadata"]
        assert row["created_at"] is not None


def ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000) * 1_000_000


def test_bids_and_asks_are_jsonb_lists_of_order_id_price_and_size(
    server: Served, sql: psycopg.Connection
) -> None:
    table = f"{server.schema}.level3_snapshots"
    (row,) = records(
        sql,
        "SELECT bids::text AS bids, asks::text AS asks, total_bid_orders, total_ask_orders, "
        f"total_bid_volume, total_ask_volume FROM {table} ORDER BY timestamp DESC LIMIT 1",
    )
    for side in ("bid", "ask"):
        orders = json.loads(row[f"{side}s"], parse_float=Decimal, parse_int=Decimal)
        assert orders
        assert {frozenset(order) for order in orders} == {frozenset(("order_id", "price", "size"))}
        assert all(isinstance(order["order_id"], str) for order in orders)
        assert row[f"total_{side}_orders"] == len(orders)
        assert row[f"total_{side}_volume"] == sum(order["size"] for order in orders)
        prices = [order["price"] for order in orders]
        assert prices == sorted(prices, reverse=side == "bid")


def test_a_snapshot_is_the_book_after_its_sequence(server: Served, sql: psycopg.Connection) -> None:
    (row,) = records(
        sql,
        f"SELECT sequence, ts_recv, bids::text AS bids FROM {server.schema}.level3_snapshots "
        f"WHERE symbol = '{LIVE}' ORDER BY timestamp DESC LIMIT 1",
    )
    at = iso_from_ns(row["ts_recv"])
    book = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=0, at=at)
    assert book["sequence"] == row["sequence"]
    kept = json.loads(row["bids"], parse_float=Decimal)
    assert [order["order_id"] for order in book["bids"]] == [o["order_id"] for o in kept]


def test_level3_gaps_holds_the_gaps(server: Served, sql: psycopg.Connection) -> None:
    server.kill_collector()
    wait_for(
        lambda: any(
            gap["to"] is not None for gap in server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"]
        ),
        "a gap that is healed",
    )
    told = server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"]
    query = (
        "SELECT from_ns, to_ns, reason, healed_by FROM "
        f"{server.schema}.level3_gaps WHERE symbol = '{LIVE}' ORDER BY from_ns"
    )

    def same() -> bool:
        rows = sql.execute(query.encode()).fetchall()
        return [
            {
                "from": iso_from_ns(start),
                "to": None if end is None else iso_from_ns(end),
                "reason": reason,
                "healed_by": healed,
            }
            for start, end, reason, healed in rows
        ] == told

    wait_for(same, "the gaps as rows")
