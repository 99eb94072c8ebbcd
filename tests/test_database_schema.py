"""Tables are made, checked and dropped; what is not ours stays untouched."""

from __future__ import annotations

import psycopg
import pytest

from ordertape.database import schema
from ordertape.database.address import Address, connect
from ordertape.database.dropping import drop
from ordertape.errors import SchemaRefused


def relations(connection: psycopg.Connection, name: str) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) "
        "AND relkind IN ('r', 'p', 'v') ORDER BY 1",
        (name,),
    )
    return [row[0] for row in rows]


def test_the_queries_of_the_contract_are_answered(connection: psycopg.Connection) -> None:
    count = connection.execute("SELECT COUNT(*) FROM level3_orders WHERE exchange = 'coinbase'")
    assert count.fetchone() == (0,)
    newest = "SELECT * FROM level3_snapshots ORDER BY timestamp DESC LIMIT 1"
    assert connection.execute(newest.encode()).fetchall() == []


def test_create_twice_changes_nothing(database: Address, connection: psycopg.Connection) -> None:
    assert schema.check(connection, database.schema) == []
    assert schema.create(connection, database.schema) == []
    assert schema.check(connection, database.schema) == []


def test_drop_takes_what_is_ours_and_the_schema_with_it(
    database: Address, connection: psycopg.Connection
) -> None:
    assert drop(connection, database.schema).names[-1] == f"schema {database.schema}"
    assert schema.check(connection, database.schema) == [f"schema {database.schema} is missing"]
    assert drop(connection, database.schema) == ([], [])


def test_drop_leaves_what_others_made(database: Address, connection: psycopg.Connection) -> None:
    connection.execute("CREATE TABLE theirs (n int)")
    drop(connection, database.schema)
    assert relations(connection, database.schema) == ["theirs"]


@pytest.mark.parametrize(
    "theirs",
    ["TABLE level3_orders (n int)", "TABLE markets (n int)", "VIEW level3_gaps AS SELECT 1 AS n"],
)
def test_tables_of_the_same_name_that_are_not_ours_stop_everything(
    database: Address, connection: psycopg.Connection, theirs: str
) -> None:
    drop(connection, database.schema)
    connection.execute(f"CREATE SCHEMA {database.schema}".encode())
    connection.execute(f"CREATE {theirs}".encode())
    before = relations(connection, database.schema)
    name = theirs.split()[1]
    for action in (schema.create, drop):
        with pytest.raises(SchemaRefused, match=f"holds {name} that ordertape did not make"):
            action(connection, database.schema)
    assert schema.check(connection, database.schema) == [f"{name} is not ordertape's"]
    assert relations(connection, database.schema) == before


def test_check_names_what_is_missing(database: Address, connection: psycopg.Connection) -> None:
    connection.execute("DROP TABLE level3_gaps")
    connection.execute("DROP FUNCTION ns")
    connection.execute("ALTER TABLE level3_snapshots DROP COLUMN era")
    found = schema.check(connection, database.schema)
    assert "level3_gaps is missing" in found
    assert "level3_snapshots.era is missing" in found
    assert "ns() is missing" in found


def test_tables_of_a_newer_version_are_refused(
    database: Address, connection: psycopg.Connection
) -> None:
    connection.execute("INSERT INTO ordertape_schema VALUES (99, 'from the future')")
    with pytest.raises(SchemaRefused, match="version 99"):
        schema.create(connection, database.schema)
    newest = schema.migrations()[-1][0]
    found = schema.check(connection, database.schema)
    assert found == [f"the tables are of version 99, expected {newest}"]
    with pytest.raises(SchemaRefused, match="version 99"):
        schema.require(connection, database.schema)


def test_two_who_create_at_once_do_not_meet(database: Address) -> None:
    with connect(database) as first, connect(database) as second:
        drop(first, database.schema)
        with first.transaction():
            assert schema.create(first, database.schema)[0] == "0001 tables"
            second.execute("SET lock_timeout = 50")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                schema.create(second, database.schema)
        assert schema.create(second, database.schema) == []


@pytest.mark.parametrize("ns", [0, 1_000, 1_792_000_000_123_456_789, 4_102_444_799_999_999_999])
def test_moments_are_cut_to_microseconds_and_lead_back(
    connection: psycopg.Connection, ns: int
) -> None:
    found = connection.execute(
        "SELECT ns(moment(%s)), to_char(moment(%s), 'US')", (ns, ns)
    ).fetchone()
    assert found == (ns // 1000 * 1000, f"{ns // 1000 % 10**6:06d}")
