"""Leaves come ahead of their days and go when these are old, without making anybody wait."""

from __future__ import annotations

import time
from datetime import date, timedelta

import psycopg
import pytest

from ordertape import limits
from ordertape.database import partitions
from ordertape.database.address import Address, connect
from ordertape.database.partitions import DAY_NS, Leaf, day_of, ensure_leaf, leaves
from ordertape.database.rows import Generation
from ordertape.database.schema import renew_view
from ordertape.database.thinning import drop_old_days, maintain, thin_books

DAY = date(2026, 11, 22)
HOUR_NS = 3600 * 10**9


@pytest.fixture
def generation(connection: psycopg.Connection) -> Generation:
    """A market with one generation and no leaf."""
    return a_generation(connection, "BTC/USDT")


def a_generation(connection: psycopg.Connection, symbol: str, *, keep: bool = False) -> Generation:
    connection.execute(
        "INSERT INTO markets (exchange, symbol, origin, keep) VALUES ('x', %s, 'tape', %s) "
        "ON CONFLICT DO NOTHING",
        (symbol, keep),
    )
    market, number = connection.execute(
        "INSERT INTO generations "
        "(market, from_seq, price_scale, size_scale, order_form, trade_form) "
        "SELECT market, 1, 2, 8, 'bigint', 'bigint' FROM markets WHERE symbol = %s "
        "RETURNING market, generation",
        (symbol,),
    ).fetchone()
    made = Generation(number, market, "x", symbol, 2, 8, "bigint", "bigint")
    partitions.make_table(connection, made)
    assert renew_view(connection)
    return made


def add_event(connection: psycopg.Connection, leaf: Leaf, seq: int) -> None:
    connection.execute(
        f"INSERT INTO {leaf.name} (seq, ts_recv, era, bits, kind, side, order_id, price, size) "
        "VALUES (%s, %s, 1, 2, 'O', 'b', 7, 12345, 1)".encode(),
        (seq, leaf.bounds[0] + seq),
    )


def test_rows_are_seen_once_their_leaf_is_attached(
    connection: psycopg.Connection, generation: Generation
) -> None:
    leaf = Leaf(generation.number, DAY)
    assert ensure_leaf(connection, leaf, order_index=True)
    assert ensure_leaf(connection, leaf, order_index=True)
    add_event(connection, leaf, 1)
    found = connection.execute("SELECT price, event_type, side FROM level3_orders").fetchall()
    assert [(str(price), kind, side) for price, kind, side in found] == [("123.45", "open", "bid")]


def test_a_leaf_takes_rows_while_a_lock_keeps_it_from_being_attached(
    database: Address,
    connection: psycopg.Connection,
    generation: Generation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "database_lock_timeout_ms", 50)
    leaf = Leaf(generation.number, DAY)
    with connect(database) as other, other.transaction():
        other.execute(f"LOCK TABLE {generation.table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        began = time.monotonic()
        assert not ensure_leaf(connection, leaf, order_index=False)
        assert time.monotonic() - began < 5
        add_event(connection, leaf, 1)
        assert connection.execute("SELECT count(*) FROM level3_orders").fetchone() == (0,)
    maintain(connection, days=36_500, order_index=False)
    assert connection.execute("SELECT count(*) FROM level3_orders").fetchone() == (1,)


def test_a_long_reader_delays_no_leaf(
    database: Address, connection: psycopg.Connection, generation: Generation
) -> None:
    with connect(database) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM level3_orders")
        assert ensure_leaf(connection, Leaf(generation.number, DAY), order_index=True)


def test_a_sequence_stands_in_a_leaf_once(
    connection: psycopg.Connection, generation: Generation
) -> None:
    leaf = Leaf(generation.number, DAY)
    ensure_leaf(connection, leaf, order_index=False)
    add_event(connection, leaf, 1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        add_event(connection, leaf, 1)


def test_a_row_of_another_day_is_refused(
    connection: psycopg.Connection, generation: Generation
) -> None:
    leaf = Leaf(generation.number, DAY)
    ensure_leaf(connection, leaf, order_index=False)
    with pytest.raises(psycopg.errors.CheckViolation):
        add_event(connection, leaf, DAY_NS)


def test_leaves_are_made_ahead_of_their_days(
    connection: psycopg.Connection, generation: Generation
) -> None:
    today = partitions.today()
    ensure_leaf(connection, Leaf(generation.number, today), order_index=True)
    assert maintain(connection, days=7, order_index=True).leaves_made == 1
    assert Leaf(generation.number, today + timedelta(days=1)) in leaves(connection)
    assert maintain(connection, days=7, order_index=True).leaves_made == 0


def test_old_days_go_and_days_to_be_kept_stay(
    connection: psycopg.Connection, generation: Generation
) -> None:
    kept = a_generation(connection, "kept", keep=True)
    for offset in range(5):
        for one in (generation, kept):
            ensure_leaf(
                connection, Leaf(one.number, DAY - timedelta(days=offset)), order_index=False
            )
    now = Leaf(0, DAY).bounds[0] + 5 * HOUR_NS
    assert drop_old_days(connection, days=2, now_ns=now) == 2
    days = [leaf.day for leaf in leaves(connection) if leaf.generation == generation.number]
    assert days == [DAY - timedelta(days=2), DAY - timedelta(days=1), DAY]
    assert sum(leaf.generation == kept.number for leaf in leaves(connection)) == 5


def test_a_day_that_is_being_read_goes_the_next_time(
    database: Address,
    connection: psycopg.Connection,
    generation: Generation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "database_lock_timeout_ms", 50)
    ensure_leaf(connection, Leaf(generation.number, DAY), order_index=False)
    now = Leaf(0, DAY).bounds[1] + 3 * DAY_NS
    with connect(database) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM level3_orders")
        assert drop_old_days(connection, days=1, now_ns=now) == 0
    assert drop_old_days(connection, days=1, now_ns=now) == 1


def test_a_generation_without_days_leaves_the_view(
    connection: psycopg.Connection, generation: Generation
) -> None:
    newer = a_generation(connection, "BTC/USDT")
    drop_old_days(connection, days=1)
    numbers = connection.execute("SELECT generation FROM generations").fetchall()
    assert numbers == [(newer.number,)]
    gone = connection.execute("SELECT to_regclass(%s)", (generation.table,)).fetchone()
    assert gone == (None,)
    assert connection.execute("SELECT count(*) FROM level3_orders").fetchone() == (0,)


def test_a_query_of_one_market_reads_that_market_alone(
    connection: psycopg.Connection, generation: Generation
) -> None:
    other = a_generation(connection, "ETH/USDT")
    for one in (generation, other):
        ensure_leaf(connection, Leaf(one.number, DAY), order_index=False)
    plan = connection.execute(
        "EXPLAIN SELECT * FROM level3_orders WHERE exchange = 'x' AND symbol = 'ETH/USDT' "
        "ORDER BY sequence LIMIT 10"
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert f"events_{other.number}_" in text
    assert f"events_{generation.number}_" not in text


# Whole books --------------------------------------------------------------------------------------


def add_books(connection: psycopg.Connection, market: int, times: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO level3_snapshots (market, exchange, symbol, sequence, timestamp, bids, "
            "asks, total_bid_orders, total_ask_orders, total_bid_volume, total_ask_volume, "
            "ts_recv) VALUES (%s, 'x', 'y', %s, now(), '[]', '[]', 0, 0, 0, 0, %s)",
            [(market, ts // 10**9, ts) for ts in times],
        )


def books(connection: psycopg.Connection) -> list[int]:
    rows = connection.execute("SELECT ts_recv FROM level3_snapshots ORDER BY ts_recv")
    return [row[0] for row in rows]


def test_books_thin_with_age(connection: psycopg.Connection, generation: Generation) -> None:
    now = Leaf(0, DAY).bounds[0] + 12 * HOUR_NS
    minute = 60 * 10**9
    times = [now - nth * 10 * minute for nth in range(6 * 24 * 6)]
    add_books(connection, generation.market, times)
    thin_books(connection, days=4, now_ns=now)
    left = books(connection)
    assert left[-10:] == sorted(times)[-10:]
    hours = [ts for ts in left[:-10] if ts >= now - 24 * HOUR_NS]
    assert [ts % HOUR_NS for ts in hours] == [0] * len(hours)
    assert len(hours) in (22, 23)
    days = [ts for ts in left if ts < now - 24 * HOUR_NS]
    assert [day_of(ts) for ts in days] == [DAY - timedelta(days=n) for n in (3, 2, 1)]
    assert thin_books(connection, days=4, now_ns=now) == 0


def test_thinning_again_and_again_keeps_what_it_would_have_kept_at_once(
    connection: psycopg.Connection, generation: Generation
) -> None:
    start = Leaf(0, DAY).bounds[0]
    step = 20 * 60 * 10**9
    for nth in range(3 * 24 * 3):
        add_books(connection, generation.market, [start + nth * step])
        if nth % 5 == 0:
            thin_books(connection, days=7, now_ns=start + nth * step)
    now = start + (3 * 24 * 3 - 1) * step
    thin_books(connection, days=7, now_ns=now)
    often = books(connection)
    connection.execute("DELETE FROM level3_snapshots")
    add_books(connection, generation.market, [start + nth * step for nth in range(3 * 24 * 3)])
    thin_books(connection, days=7, now_ns=now)
    assert often == books(connection)
