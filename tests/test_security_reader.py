"""A role that may read PostgreSQL's tables reads all of them, tomorrow's too, and changes none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ordertape import cli
from ordertape.database import schema
from ordertape.database.address import Address
from ordertape.database.copy import Needs
from ordertape.database.markets import ensure_market, next_generation
from ordertape.database.partitions import Leaf, ensure_leaf, today
from ordertape.database.readers import grant_reading
from ordertape.errors import SettingRefused
from support.postgres import InstalledServer

NAME = 'a "reader"'
NEEDS = Needs(2, 8, 10**9, 10**9, "bigint", "bigint")


@pytest.fixture
def reader(database: Address, connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection of the new role."""
    assert grant_reading(connection, database.schema, NAME)
    with psycopg.connect(make_conninfo(database.conninfo(), user=NAME), autocommit=True) as opened:
        yield opened
    connection.execute('DROP OWNED BY "a ""reader"""; DROP ROLE "a ""reader"""')


def a_leaf(connection: psycopg.Connection, day: int) -> Leaf:
    """A partition with one event."""
    market = ensure_market(connection, "x", f"DAY{day}/USD", origin="tape")
    generation = next_generation(connection, market, 1, NEEDS, None)
    schema.renew_view(connection)
    leaf = Leaf(generation.number, today() + timedelta(days=day))
    assert ensure_leaf(connection, leaf, order_index=True)
    connection.execute(
        f"INSERT INTO {leaf.name} (seq, ts_recv, era, bits, kind, side, order_id, price, size) "
        "VALUES (1, %s, 1, 2, 'O', 'b', 7, 12345, 1)".encode(),
        (leaf.bounds[0],),
    )
    return leaf


def test_a_reader_sees_every_table_and_those_that_come_later(
    database: Address, connection: psycopg.Connection, reader: psycopg.Connection
) -> None:
    for day in (0, 1):
        leaf = a_leaf(connection, day)
        for table in (leaf.name, "level3_orders", "level3_snapshots", "level3_gaps", "markets"):
            assert reader.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() is not None
        assert reader.execute("SELECT count(*) FROM level3_orders").fetchone() == (day + 1,)
    assert reader.execute("SHOW statement_timeout").fetchone() == ("10s",)
    assert not grant_reading(connection, database.schema, NAME)


def test_a_reader_changes_nothing(
    database: Address, connection: psycopg.Connection, reader: psycopg.Connection
) -> None:
    leaf = a_leaf(connection, 0)
    for change in (
        "INSERT INTO level3_gaps SELECT * FROM level3_gaps",
        f"INSERT INTO {leaf.name} SELECT * FROM {leaf.name}",
        "UPDATE markets SET symbol = symbol",
        "DELETE FROM level3_snapshots",
        "TRUNCATE cursors",
        f"DROP TABLE {leaf.name}",
        "DROP VIEW level3_orders",
        f"DROP SCHEMA {database.schema} CASCADE",
        f"CREATE TABLE {database.schema}.mine (n int)",
        f"ALTER TABLE {leaf.name} ADD COLUMN mine int",
        "CREATE ROLE another",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(change.encode())
    assert schema.check(connection, database.schema) == []
    assert connection.execute("SELECT count(*) FROM level3_orders").fetchone() == (1,)


def test_a_role_that_may_change_something_is_no_reader_and_is_granted_nothing(
    database: Address, connection: psycopg.Connection
) -> None:
    connection.execute(f"CREATE ROLE busy; GRANT INSERT ON {database.schema}.markets TO busy")
    owner = connection.execute("SELECT current_user::text").fetchone()
    try:
        for name in ("busy", *(owner or ())):
            with pytest.raises(SettingRefused, match=f"the role {name} may change"):
                grant_reading(connection, database.schema, name)
        allowed = "SELECT has_table_privilege('busy', 'markets', 'SELECT')"
        assert connection.execute(allowed).fetchone() == (False,)
    finally:
        connection.execute("DROP OWNED BY busy; DROP ROLE busy")
    with pytest.raises(SettingRefused, match="more than the 63 bytes"):
        grant_reading(connection, database.schema, "é" * 32)


def test_the_command_says_what_it_did(
    installed: InstalledServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", installed.url)
    monkeypatch.setenv("OTC_SCHEMA", "to_be_read")
    assert cli.run(["db", "reader", "grafana"]) == 1
    assert "run `ordertape db create`" in capsys.readouterr().err
    assert cli.run(["db", "create"]) == 0
    for done in ("is made, without a password, and may read", "may read"):
        assert cli.run(["db", "reader", "grafana"]) == 0
        assert capsys.readouterr().out.endswith(f": role grafana {done}\n")
    assert cli.run(["db", "drop", "--yes"]) == 0
    with psycopg.connect(installed.url) as opened:
        opened.execute("DROP ROLE grafana")
