"""Changes to the tables take turns, and give way to whoever uses them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest

from ordertape import limits
from ordertape.database import partitions, schema
from ordertape.database.address import Address, connect
from ordertape.database.changes import changing
from ordertape.database.dropping import drop
from ordertape.database.partitions import Leaf, attach, drop_before, ensure_leaf, leaves
from ordertape.database.rows import Generation
from ordertape.database.thinning import maintain
from ordertape.errors import DatabaseUnavailable
from support.processes import wait_for

DAY = date(2026, 11, 22)


@pytest.fixture
def leaf(connection: psycopg.Connection) -> Leaf:
    """One that is to be made, of a generation whose table is there."""
    market, number = connection.execute(
        "WITH made AS (INSERT INTO markets (exchange, symbol, origin) VALUES ('x', 'Y', 'tape') "
        "RETURNING market) INSERT INTO generations "
        "(market, from_seq, price_scale, size_scale, order_form, trade_form) "
        "SELECT market, 1, 2, 8, 'bigint', 'bigint' FROM made RETURNING market, generation"
    ).fetchone()
    partitions.make_table(
        connection, Generation(number, market, "x", "Y", 2, 8, "bigint", "bigint")
    )
    assert schema.renew_view(connection)
    return Leaf(number, DAY)


@pytest.fixture
def other(database: Address) -> Iterator[psycopg.Connection]:
    """Somebody else's connection."""
    with connect(database) as opened:
        yield opened


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def wait_until_it_waits(connection: psycopg.Connection, waiting: psycopg.Connection) -> None:
    """Until ``waiting`` stands before a lock."""
    pid = waiting.info.backend_pid
    query = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"
    wait_for(lambda: connection.execute(query, (pid,)).fetchone() == (1,), "a lock waited for")


def test_a_leaf_that_two_make_at_once_is_made_and_attached_once(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    leaf: Leaf,
    beside: ThreadPoolExecutor,
) -> None:
    with changing(connection):
        done = beside.submit(ensure_leaf, other, leaf, order_index=True)
        wait_until_it_waits(connection, other)
        assert ensure_leaf(connection, leaf, order_index=True)
    assert done.result()
    assert leaves(connection) == [leaf]


def test_a_leaf_that_was_attached_meanwhile_is_attached(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    leaf: Leaf,
    monkeypatch: pytest.MonkeyPatch,
    beside: ThreadPoolExecutor,
) -> None:
    monkeypatch.setattr(limits, "database_lock_timeout_ms", 50)
    with other.transaction():
        other.execute(f"LOCK TABLE events_{leaf.generation} IN SHARE MODE".encode())
        assert not ensure_leaf(connection, leaf, order_index=False)
    with changing(connection):
        done = beside.submit(attach, other, leaf)
        wait_until_it_waits(connection, other)
        assert attach(connection, leaf)
    assert done.result()


def test_a_leaf_that_was_dropped_meanwhile_is_no_failure(
    connection: psycopg.Connection,
    other: psycopg.Connection,
    leaf: Leaf,
    beside: ThreadPoolExecutor,
) -> None:
    ensure_leaf(connection, leaf, order_index=False)
    with changing(connection):
        done = beside.submit(drop_before, other, leaf.generation, date.max)
        wait_until_it_waits(connection, other)
        assert drop_before(connection, leaf.generation, date.max) == [leaf]
    done.result()
    assert not attach(connection, leaf)
    assert maintain(connection, days=36_500, order_index=False).leaves_made == 0


def test_a_drop_gives_way_to_whoever_is_writing_and_drops_afterwards(
    database: Address,
    connection: psycopg.Connection,
    other: psycopg.Connection,
    leaf: Leaf,
    beside: ThreadPoolExecutor,
) -> None:
    ensure_leaf(connection, leaf, order_index=False)
    with connection.transaction():
        # Against the order of every lock of ours, as a reader of somebody else's may come.
        connection.execute("SELECT count(*) FROM ordertape_schema")
        done = beside.submit(drop, other, database.schema)
        with connect(database) as watching:
            wait_until_it_waits(watching, other)
        for table in ("markets", "cursors", "level3_gaps", leaf.name, "level3_orders"):
            connection.execute(f"SELECT count(*) FROM {table}".encode())
        assert not done.done()
    assert f"schema {database.schema}" in done.result().names


def test_a_drop_that_is_never_let_in_says_so_and_drops_nothing(
    database: Address,
    connection: psycopg.Connection,
    other: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "database_lock_timeout_ms", 5)
    monkeypatch.setattr(limits, "database_drop_tries", 3)
    with connection.transaction():
        connection.execute("SELECT count(*) FROM markets")
        with pytest.raises(DatabaseUnavailable, match="are in use and nothing was dropped"):
            drop(other, database.schema)
    assert schema.check(connection, database.schema) == []
