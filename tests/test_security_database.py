"""The server's connections to PostgreSQL read, for so long only, and change nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ordertape import limits
from ordertape.api.database import Database
from ordertape.database import schema
from ordertape.database.address import Address, connect
from ordertape.database.findings import FindingsStore
from ordertape.database.stored import stored_market
from ordertape.errors import DatabaseError
from support.postgres import installed_cluster

HOSTILE = ["'; DROP TABLE level3_orders; --", "x' OR '1'='1", "\\'; SELECT pg_sleep(9); --", "%s"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with installed_cluster() as cluster:
        address = Address("secured", url=cluster.url)
        with connect(address) as connection:
            schema.create(connection, address.schema)
        made = Database(address)
        yield made
        made.close()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE mine (n int)",
        "DROP TABLE markets",
        "DELETE FROM markets",
        "UPDATE markets SET symbol = symbol",
        "CREATE ROLE somebody",
        "ALTER SYSTEM SET work_mem = '1GB'",
    ],
)
def test_nothing_is_changed_over_them(database: Database, change: str) -> None:
    with (
        pytest.raises(DatabaseError, match=r"read-only|cannot run inside a transaction"),
        database.connections.use(1_000) as connection,
        connection.transaction(),
    ):
        connection.execute(change.encode())
    with connect(database.address) as owner:
        assert schema.check(owner, database.address.schema) == []


def test_nothing_is_changed_over_the_connection_that_looks_for_findings(
    database: Database,
) -> None:
    store = FindingsStore(database.address)
    with (
        pytest.raises(DatabaseError, match="read-only"),
        store._connection.use() as connection,
    ):
        connection.execute(b"DELETE FROM findings")
    assert store.newest_revision() == 0
    store.close()


def test_a_statement_ends_at_its_timeout(database: Database) -> None:
    began = time.monotonic()
    with (
        pytest.raises(DatabaseError),
        database.connections.use(limits.api_statement_ms_max) as connection,
    ):
        connection.execute(b"SELECT pg_sleep(60)")
    assert 0.9 < time.monotonic() - began < 10
    assert limits.api_statement_ms_max <= 2_000


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_a_value_and_no_part_of_a_query(database: Database, text: str) -> None:
    with database.connections.use(1_000) as connection:
        assert stored_market(connection, text, text) is None
    with connect(database.address) as owner:
        assert schema.check(owner, database.address.schema) == []
