"""What no tape holds outlives `db drop`; a dump is read back, and no command tells its password."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ordertape import L3Order, L3Repository, cli
from ordertape.alerts.fired import Alert
from ordertape.alerts.rules import RuleWish
from ordertape.alerts.store import AlertQuery, DatabaseStore
from ordertape.database import schema
from ordertape.database.address import Address, connect
from ordertape.database.dropping import drop
from ordertape.errors import SchemaRefused
from ordertape.models import datetime_from_ns
from support.postgres import InstalledServer
from support.processes import wait_for

TS = 1_790_000_000_123_456_789
PASSWORD = "correct horse battery staple"


@contextmanager
def kept_in(address: Address) -> Iterator[DatabaseStore]:
    store = DatabaseStore(address)
    try:
        yield store
    finally:
        store.close()


def wish(symbol: str = "A/USD") -> RuleWish:
    return RuleWish.model_validate({"kind": "gap", "exchange": "bitfinex", "symbol": symbol})


def alert(rule: int) -> Alert:
    return Alert(
        *(rule, "gap", "bitfinex", "A/USD", TS, "order 1", "said"),
        *(Decimal("64250.123456789"), Decimal("0.1"), "bid", "1", 0),
    )


def save(address: Address, data: Path) -> None:
    """An order that no tape has."""
    order = L3Order(
        exchange="elsewhere",
        symbol="A-B",
        order_id="order 1",
        sequence=1,
        side="bid",
        price=Decimal("1.0000000000001"),
        size=Decimal("123456.5"),
        event_type="open",
        timestamp=datetime_from_ns(TS),
        metadata={"ts_recv_ns": TS},
    )

    async def saved() -> bool:
        async with L3Repository(address=address, data=data) as repository:
            return await repository.save_order(order)

    assert asyncio.run(saved())


def orders(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT exchange, order_id, price FROM level3_orders").fetchall()


def test_alerts_and_their_rules_outlive_the_tables_that_the_tape_gives_back(
    database: Address, connection: psycopg.Connection
) -> None:
    with kept_in(database) as store:
        rule = store.add(wish())
        store.save([alert(rule.number)])
        dropped = drop(connection, database.schema)
        assert dropped.kept == ["alert_rules", "alerts"]
        assert "markets" in dropped.names
        assert not {"alert_rules", "alerts", f"schema {database.schema}"} & {*dropped.names}
        assert schema.create(connection, database.schema)[0] == "0001 tables"
        assert schema.check(connection, database.schema) == []
        assert store.rules() == [rule]
        assert store.alerts(AlertQuery()) == [alert(rule.number)]
        assert store.add(wish("B/USD")).number > rule.number


def test_alerts_whose_rules_are_gone_stay_too(
    database: Address, connection: psycopg.Connection
) -> None:
    with kept_in(database) as store:
        store.save([alert(1)])
        drop(connection, database.schema)
        assert drop(connection, database.schema) == ([], ["alert_rules", "alerts"])
        schema.create(connection, database.schema)
        assert store.alerts(AlertQuery()) == [alert(1)]


def test_saved_rows_stop_a_drop_and_everything_takes_them(
    database: Address, connection: psycopg.Connection, tmp_path: Path
) -> None:
    save(database, tmp_path)
    with kept_in(database) as store:
        store.add(wish())
    with pytest.raises(SchemaRefused, match=r"holds elsewhere A-B, saved through L3Repository"):
        drop(connection, database.schema)
    assert schema.check(connection, database.schema) == []
    assert len(orders(connection)) == 1
    dropped = drop(connection, database.schema, everything=True)
    assert (dropped.names[-1], dropped.kept) == (f"schema {database.schema}", [])


# The commands -------------------------------------------------------------------------------------


@pytest.fixture
def secret(
    installed: InstalledServer,
    connection: psycopg.Connection,
    database: Address,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """The settings name the database with a password, where it has an address of its own."""
    url = database.url or (database.embedded and database.embedded.url)
    monkeypatch.setenv("DATABASE_URL", f"{url}&password={PASSWORD.replace(' ', '%20')}")
    monkeypatch.setenv("OTC_SCHEMA", database.schema)
    monkeypatch.setenv("ORDERTAPE_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("ORDERTAPE_DATA", str(tmp_path / "data"))
    return database.schema


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(["db", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_drop_says_what_it_keeps_and_that_nothing_is_left_to_drop(
    secret: str, database: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    with kept_in(database) as store:
        store.add(wish())
    status, said, _ = run(capsys, "drop", "--yes")
    assert status == 0
    kept = "alert_rules and alerts, which no tape holds (--everything drops them, too)"
    assert said.endswith(f"; kept {kept}\n")
    status, said, why = run(capsys, "drop", "--yes")
    assert (status, said) == (1, "")
    assert why.endswith(f"has nothing of ordertape's but {kept}: nothing was dropped\n")
    assert run(capsys, "drop", "--yes", "--everything")[0] == 0
    status, said, why = run(capsys, "drop", "--yes", "--everything")
    assert (status, said) == (1, "")
    assert why.endswith("has nothing of ordertape's: nothing was dropped\n")


def test_a_dump_is_read_back_whole(
    secret: str,
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(database, tmp_path)
    file = tmp_path / "dumped.sql"
    with kept_in(database) as store:
        rules = [store.add(wish())]
        before = orders(connection)
        status, said, why = run(capsys, "dump", str(file))
        assert (status, why) == (0, "")
        assert said.startswith(f"{file}: {file.stat().st_size:,} bytes of schema {secret} in ")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert list(tmp_path.glob("dumped*")) == [file]
        drop(connection, secret, everything=True)
        assert run(capsys, "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", str(file))[0] == 0
        assert schema.check(connection, secret) == []
        assert (orders(connection), store.rules()) == (before, rules)


def test_alerts_alone_go_into_new_tables(
    secret: str,
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As docs/operations.md says it, for a PostgreSQL that was lost."""
    file = str(tmp_path / "alerts.sql")
    with kept_in(database) as store:
        rule = store.add(wish())
        tables = ("--data-only", "--table", f"{secret}.alert*")
        assert run(capsys, "dump", file, *tables)[0] == 0
        drop(connection, secret, everything=True)
        schema.create(connection, secret)
        assert run(capsys, "psql", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", file)[0] == 0
        assert store.rules() == [rule]
        assert store.add(wish("B/USD")).number > rule.number


def test_what_can_not_be_dumped_leaves_the_older_file(
    secret: str, connection: psycopg.Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dumped.sql"
    file.write_text("of yesterday")
    status, said, why = run(capsys, "dump", str(file), "--nonsense")
    assert (status, said, why.count("\n")) == (1, "", 1)
    assert "nonsense" in why
    drop(connection, secret, everything=True)
    status, said, why = run(capsys, "dump", str(file))
    assert (status, said) == (1, "")
    assert why.endswith("has no table of ordertape's: nothing was written\n")
    assert [path.name for path in tmp_path.glob("dumped*")] == ["dumped.sql"]
    assert file.read_text() == "of yesterday"


def test_no_command_line_tells_the_password(
    secret: str, database: Address, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Looked at while pg_dump waits for a table that somebody holds."""
    command = [sys.executable, "-m", "ordertape.cli", "db", "dump", str(tmp_path / "dumped.sql")]
    waits = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'pg_dump' "
        "AND wait_event_type = 'Lock'"
    )
    with connect(database) as other:
        with connection.transaction():
            connection.execute("LOCK TABLE markets IN ACCESS EXCLUSIVE MODE")
            dumping = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE)
            wait_for(lambda: other.execute(waits).fetchone() is not None, "pg_dump", pause=0.05)
            lines = _command_lines()
        assert dumping.communicate(timeout=60)[0]
    assert dumping.returncode == 0
    assert any("pg_dump" in line for line in lines)
    assert [line for line in lines if PASSWORD in line] == []


def _command_lines() -> list[str]:
    """Of every process of this machine, as every account sees them."""
    found = []
    for name in os.listdir("/proc"):
        try:
            text = Path("/proc", name, "cmdline").read_bytes() if name.isdecimal() else b""
        except OSError:
            continue  # ended meanwhile
        found.append(text.replace(b"\0", b" ").decode(errors="replace"))
    return found
