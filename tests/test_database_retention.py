"""Old days with rows go while a recording goes on, and older tables with rows are brought up."""

from __future__ import annotations

import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ordertape.crash_points import VARIABLE
from ordertape.database import schema
from ordertape.database.address import Address, connect
from ordertape.database.dropping import drop
from ordertape.database.partitions import DAY_NS
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.database_faults import follow, following, limited
from support.forked import Template
from support.postgres import InstalledServer
from support.processes import wait_for
from support.tape import START, Market

DAYS = time.time_ns() // DAY_NS - START // DAY_NS - 2
"""So many days are kept that the day of START is older, and the one five days later is not."""


def keeping_house() -> AbstractContextManager[None]:
    return limited(database_maintenance_ms=20)


def sequences(address: Address) -> list[int]:
    with connect(address) as opened:
        rows = opened.execute("SELECT sequence FROM level3_orders ORDER BY sequence")
        return [row[0] for row in rows]


def write(journal: JournalWriter, market: Market, messages: int) -> None:
    for batch in market.messages(messages):
        journal.append(batch)
    journal.sync()


def test_an_old_day_with_rows_goes_while_a_recording_goes_on(
    database: Address, tmp_path: Path
) -> None:
    folder, market = MarketFolder(tmp_path, "x", "ONE"), Market()
    with JournalWriter(folder) as journal:
        write(journal, market, 300)
        follow(folder, database)
        old = market.next_seq - 1
        assert sequences(database) == list(range(1, old + 1))
        market.now += 5 * DAY_NS

        def gone() -> bool:
            write(journal, market, 5)
            found = sequences(database)
            assert found == list(range(found[0], found[-1] + 1))  # no hole at any moment
            return found[0] > old

        with keeping_house(), following(tmp_path, database, days=DAYS) as follower:
            write(journal, market, 5)
            wait_for(lambda: follower.persisted("x", "ONE") > old, "the new day")
            wait_for(gone, "the end of the old day")
            write(journal, market, 50)
    assert sequences(database) == list(range(old + 1, market.next_seq))


def test_a_keeper_killed_as_an_old_day_with_rows_is_gone_copies_every_later_event_once(
    installed: InstalledServer, tmp_path: Path
) -> None:
    data, address = tmp_path / "data", Address("retention", url=installed.url)
    folder, market = MarketFolder(data, "bitfinex", "A/B"), Market()
    environment = {
        "DATABASE_URL": installed.url,
        "OTC_SCHEMA": address.schema,
        "ORDERTAPE_LOGS": str(tmp_path / "logs"),
        "ORDERTAPE_DATABASE_DAYS": str(DAYS),
    }
    options = ["--data", str(data), "--database"]
    with connect(address) as opened:
        schema.create(opened, address.schema)
    with JournalWriter(folder) as journal, Template(tmp_path) as template:
        write(journal, market, 300)
        follow(folder, address)
        old = market.next_seq - 1
        market.now += 5 * DAY_NS
        write(journal, market, 50)
        crash = {VARIABLE: "keeper.days_dropped"}
        victim = template.start("support.keeping", options, {**environment, **crash})
        assert victim.wait(60) == -signal.SIGKILL
        assert not set(sequences(address)) & set(range(1, old + 1))
        again = template.start("support.keeping", options, environment)
        write(journal, market, 50)
        wait_for(lambda: sequences(address)[-1:] == [market.next_seq - 1], "every event")
        assert again.stop() == 0, again.ending()
    assert sequences(address) == list(range(old + 1, market.next_seq))


def everything(connection: psycopg.Connection) -> dict[str, list[Any]]:
    """Every row of the tables that the first version had."""
    shown = ("markets", "generations", "cursors", "level3_orders", "level3_snapshots")
    return {
        name: connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1".encode()).fetchall()
        for name in (*shown, "level3_gaps")
    }


@pytest.mark.parametrize("version", [1, 2, 3])
def test_tables_of_an_older_version_keep_their_rows_and_take_more(
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
) -> None:
    drop(connection, database.schema, everything=True)
    known = schema.migrations()
    with monkeypatch.context() as older:
        older.setattr(schema, "migrations", lambda: known[:version])
        assert len(schema.create(connection, database.schema)) == version
    folder, market = MarketFolder(tmp_path, "x", "ONE"), Market()
    with JournalWriter(folder) as journal:
        for batch in market.messages(100, clear_every=40):
            journal.append(batch)
        journal.snapshot(market.book)
        journal.sync()
        follow(folder, database)
        before = everything(connection)
        assert len(before["level3_orders"]) == market.next_seq - 1
        assert before["level3_snapshots"]
        applied = schema.create(connection, database.schema)
        assert applied == [f"{number:04d} {name}" for number, name, _ in known[version:]]
        assert schema.check(connection, database.schema) == []
        assert everything(connection) == before
        write(journal, market, 100)
        with keeping_house(), following(tmp_path, database):
            wait_for(lambda: len(sequences(database)) == market.next_seq - 1, "what came later")
            wait_for(lambda: lives(connection) > 0, "lives of the orders from before, too")
    assert sequences(database) == list(range(1, market.next_seq))


def lives(connection: psycopg.Connection) -> int:
    found = connection.execute("SELECT count(*) FROM lifecycle_rows").fetchone()
    assert found is not None
    return int(found[0])
