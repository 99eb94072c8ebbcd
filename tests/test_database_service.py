"""Every collected market reaches the database, also one that was away for long."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from ordertape import limits
from ordertape.cli import run
from ordertape.database.address import Address, connect
from ordertape.database.dropping import drop
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.follower import MarketFollower
from ordertape.database.schema import check
from ordertape.database.service import DatabaseFollower
from ordertape.database.thinning import maintain
from ordertape.database.told import read_told
from ordertape.errors import DatabaseUnavailable
from ordertape.lifecycles.log import store_next
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.lobster import files as lobster_files
from support.postgres import InstalledServer
from support.processes import wait_for
from support.recorded_lives import Unexplained, by_hand, write
from support.tape import START, Market, write_journal

TOP = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "database_backoff_ms_min", 10)
    monkeypatch.setattr(limits, "database_backoff_ms_max", 100)
    monkeypatch.setattr(limits, "keeper_pause_ms", 10)
    monkeypatch.setattr(limits, "database_flush_ms", 10)


@contextmanager
def following(data: Path, address: Address) -> Iterator[DatabaseFollower]:
    follower = DatabaseFollower(data, address, days=36_500)
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        yield follower
    finally:
        stop.set()
        thread.join()


def refused(data: Path) -> dict[str, str]:
    told = read_told(data)
    assert told is not None
    return told.refused


def sequences(address: Address, symbol: str) -> list[int]:
    with connect(address) as opened:
        rows = opened.execute(
            "SELECT sequence FROM level3_orders WHERE symbol = %s ORDER BY sequence", (symbol,)
        )
        return [row[0] for row in rows]


def test_markets_old_and_new_are_followed_and_imports_are_not(
    database: Address, tmp_path: Path
) -> None:
    first, second = Market(seed=1), Market(seed=2)
    write_journal(MarketFolder(tmp_path, "x", "ONE"), first.messages(50))
    imported = MarketFolder(tmp_path, "x", "IMPORTED")
    write_journal(imported, Market(seed=3).messages(20))
    Archiver(imported).finish()
    for path in (*imported.journal.iterdir(), imported.journal):
        path.unlink() if path.is_file() else path.rmdir()
    with following(tmp_path, database) as follower:
        wait_for(lambda: follower.persisted("x", "ONE") == first.next_seq - 1, "the first market")
        with JournalWriter(MarketFolder(tmp_path, "x", "TWO")) as writer:
            for batch in second.messages(50):
                writer.append(batch)
            wait_for(lambda: follower.persisted("x", "TWO") == second.next_seq - 1, "the second")
        assert follower.persisted("x", "IMPORTED") == 0
        assert follower.problem is None
    for symbol, market in (("ONE", first), ("TWO", second)):
        assert sequences(database, symbol) == list(range(1, market.next_seq))
    assert sequences(database, "IMPORTED") == []


def test_what_came_last_is_there_when_it_ends(database: Address, tmp_path: Path) -> None:
    market = Market()
    with (
        JournalWriter(MarketFolder(tmp_path, "x", "ONE")) as writer,
        following(tmp_path, database) as follower,
    ):
        writer.append(market.message())
        wait_for(lambda: follower.persisted("x", "ONE") > 0, "the first message")
        for batch in market.messages(30):
            writer.append(batch)
    assert sequences(database, "ONE") == list(range(1, market.next_seq))


def test_one_market_whose_rows_are_others_stops_no_other(
    database: Address, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute(
        "INSERT INTO markets (exchange, symbol, origin) VALUES ('x', 'ONE', 'saved')"
    )
    market = Market()
    write_journal(MarketFolder(tmp_path, "x", "ONE"), Market().messages(10))
    write_journal(MarketFolder(tmp_path, "x", "TWO"), market.messages(10))
    with following(tmp_path, database) as follower:
        wait_for(lambda: follower.persisted("x", "TWO") == market.next_seq - 1, "the other market")
        assert follower.persisted("x", "ONE") == 0
        assert follower.problem is None
        told = read_told(tmp_path)
        assert told is not None
        assert (told.state, list(told.refused)) == ("following", ["x ONE"])
        assert str(told).startswith(f"following {database.shown}, but not x ONE: its rows ")
        connection.execute("UPDATE markets SET origin = 'tape' WHERE symbol = 'ONE'")
        wait_for(lambda: follower.persisted("x", "ONE") > 0, "the market, now that it may")
        wait_for(lambda: not refused(tmp_path), "that it is told no more")


def test_a_server_that_goes_and_comes_gets_everything_once(
    own_server: InstalledServer, tmp_path: Path
) -> None:
    address = Address("comes_and_goes", url=own_server.url)
    market = Market()
    with (
        JournalWriter(MarketFolder(tmp_path, "x", "ONE")) as writer,
        following(tmp_path, address) as follower,
    ):
        for mode in ("immediate", "fast"):
            for batch in market.messages(200):
                writer.append(batch)
            wait_for(lambda: follower.persisted("x", "ONE") > market.next_seq // 2, "half of it")
            own_server.stop(mode)
            for batch in market.messages(100):
                writer.append(batch)
            wait_for(lambda: follower.problem is not None, "it is noticed")
            told = read_told(tmp_path)
            assert told is not None
            assert (told.state, told.reason) == ("waiting", follower.problem)
            own_server.start()
        wait_for(lambda: follower.persisted("x", "ONE") == market.next_seq - 1, "all of it")
        assert str(read_told(tmp_path)) == f"following {address.shown}"
    assert sequences(address, "ONE") == list(range(1, market.next_seq))


def test_an_embedded_server_that_is_killed_again_and_again_gets_everything_once(
    tmp_path: Path,
) -> None:
    address = Address("killed", embedded=EmbeddedServer(tmp_path))
    market = Market()
    pid_file = tmp_path / "postgresql" / "cluster" / "postmaster.pid"
    with (
        JournalWriter(MarketFolder(tmp_path, "x", "ONE")) as writer,
        following(tmp_path, address) as follower,
    ):
        for _ in range(3):
            before = follower.persisted("x", "ONE")
            for batch in market.messages(300):
                writer.append(batch)
            wait_for(lambda before=before: follower.persisted("x", "ONE") > before, "some of it")
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

        def complete() -> bool:
            try:
                return len(sequences(address, "ONE")) == market.next_seq - 1
            except DatabaseUnavailable:
                return False  # it is being started again

        wait_for(complete, "all of it", 40)
        assert sequences(address, "ONE") == list(range(1, market.next_seq))
    assert address.embedded is not None
    assert not address.embedded.running


# Commands -----------------------------------------------------------------------------------------


def test_a_simulated_market_is_bounded_by_letting_its_oldest_rows_go(
    connection: psycopg.Connection, database: Address, tmp_path: Path
) -> None:
    """A real one beside it keeps every row, and the cursor of both stands at the end."""
    for symbol in ("SIM/USD", "REAL/USD"):
        folder, market = MarketFolder(tmp_path, "bitfinex", symbol), Market()
        with JournalWriter(folder) as journal:
            if symbol == "SIM/USD":
                journal.mark(Mark("simulated", 0, START, {"simulated": True}))
            for batch in market.messages(40, clear_every=40):
                journal.append(batch)
            journal.sync()
            for _ in range(6):  # each a copy of its own
                follower = MarketFollower(
                    folder, connection, database, days=None, simulated_rows_max=100
                )
                while follower.step(final=True) or not follower.idle:
                    pass
                follower.close()
                for batch in market.messages(40):
                    journal.append(batch)
                journal.sync()
    simulated, real = sequences(database, "SIM/USD"), sequences(database, "REAL/USD")
    assert simulated == list(range(1, simulated[-1] + 1))
    maintain(connection, days=7, order_index=True, simulated_rows_max=100, now_ns=START)
    left = sequences(database, "SIM/USD")
    assert left == list(range(left[0], simulated[-1] + 1))
    assert 0 < len(left) <= 100
    assert sequences(database, "REAL/USD") == real
    maintain(connection, days=7, order_index=True, simulated_rows_max=100, now_ns=START)
    assert sequences(database, "SIM/USD") == left


def migrate(url: str, schema: str, *arguments: str) -> tuple[int, str]:
    """What the script does with the plain Python of the machine."""
    done = subprocess.run(
        [
            getattr(sys, "_base_executable", sys.executable),
            "scripts/migrate_l3_tables.py",
            *arguments,
        ],
        cwd=TOP,
        env={**os.environ, "DATABASE_URL": url, "OTC_SCHEMA": schema},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_script_creates_checks_and_drops(embedded_server: EmbeddedServer) -> None:
    url = embedded_server.url
    assert migrate(url, "scripted", "check") == (1, "schema scripted is missing\n")
    assert migrate(url, "scripted", "create")[0] == 0
    assert migrate(url, "scripted", "drop")[0] == 1  # nobody there to say yes
    with connect(Address("scripted", url=url)) as opened:
        assert check(opened, "scripted") == []
    assert migrate(url, "scripted", "drop", "--yes")[0] == 0
    assert migrate(url, "scripted", "destroy")[0] == 1


def test_the_example_of_the_documents_runs_as_often_as_one_likes(
    embedded_server: EmbeddedServer, tmp_path: Path
) -> None:
    page = (TOP / "docs" / "database.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    data = f'L3Repository(data="{embedded_server.folder.parent}")'
    (tmp_path / "example.py").write_text(example.replace('L3Repository(data="data")', data))
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "example.py"],
            cwd=tmp_path,
            env={**os.environ, "DATABASE_URL": "", "OTC_SCHEMA": "example"},
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    ]
    assert [(done.stdout, done.returncode) for done in said] == [
        ("saved\n", 0),
        ("was there already\n", 0),
    ], said
    with connect(Address("example", embedded=embedded_server)) as opened:
        drop(opened, "example", everything=True)


def test_psql_and_url_reach_the_embedded_tables(
    embedded_server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("ORDERTAPE_LOGS", str(tmp_path))
    data = str(embedded_server.folder.parent)
    assert run(["db", "create", "--data", data]) == 0
    capfd.readouterr()
    sql = "SELECT COUNT(*) FROM level3_orders WHERE exchange = 'coinbase'"
    assert run(["db", "psql", "-c", sql, "--data", data]) == 0
    assert capfd.readouterr().out.split() == ["count", "-------", "0", "(1", "row)"]
    assert run(["db", "psql", "-Atc", sql, "--data", data]) == 0
    assert capfd.readouterr().out == "0\n"
    (tmp_path / "asked.sql").write_text("SELECT 7;")
    asked = ["-f", str(tmp_path / "asked.sql"), "--csv", "-v", "ON_ERROR_STOP=1"]
    assert run(["db", "psql", "--data", data, *asked]) == 0
    assert capfd.readouterr().out.split() == ["?column?", "7"]
    script = [sys.executable, "scripts/migrate_l3_tables.py", "check", "--data", data]
    assert subprocess.run(script, capture_output=True, cwd=TOP, check=False).returncode == 0
    assert run(["db", "psql", "-c", "SELECT nonsense", "--data", data]) == 1
    capfd.readouterr()
    assert run(["db", "url", "--data", data]) == 0
    with psycopg.connect(capfd.readouterr().out.strip()) as opened:
        assert opened.execute("SELECT 1").fetchone() == (1,)
    assert run(["db", "drop", "--yes", "--data", data]) == 0


def test_an_import_is_copied_where_that_is_wanted_and_once(
    database: Address,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(
        "DATABASE_URL", database.url or (database.embedded and database.embedded.url) or ""
    )
    monkeypatch.setenv("OTC_SCHEMA", database.schema)
    monkeypatch.setenv("ORDERTAPE_LOGS", str(tmp_path / "logs"))
    messages, orderbook = lobster_files(tmp_path)
    command = ["import", "lobster", str(messages), "--orderbook", str(orderbook), "--exchange"]
    command += ["nasdaq", "--symbol", 'O\'T "X" %s', "--data", str(tmp_path / "data"), "--json"]
    answers = []
    for more in ([], ["--database"], ["--database"]):
        assert run([*command, *more]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["events"] > 0
    copied = [answer.get("database_events") for answer in answers]
    assert copied == [None, answers[0]["events"], 0]
    rows = connection.execute("SELECT DISTINCT exchange, symbol FROM level3_orders").fetchall()
    assert rows == [("nasdaq", 'O\'T "X" %s')]


def test_the_lives_of_every_market_follow_its_events(tmp_path: Path, database: Address) -> None:
    folders = [MarketFolder(tmp_path, "bitfinex", name) for name in ("A/USD", "C/USD")]
    for seed, folder in enumerate(folders):
        write(folder, Unexplained(seed=seed, orders=25), 120)
    with closing(Archiver(folders[0], file_rows_max=100)) as archiver:
        archiver.finish()
    wanted = {folder.symbol: len(by_hand(folder).ended) for folder in folders}

    def copied() -> dict[str, int]:
        with connect(database) as opened:
            rows = opened.execute("SELECT symbol, count(*) FROM lifecycles GROUP BY symbol")
            return dict(rows.fetchall())

    with following(tmp_path, database):
        wait_for(lambda: copied() == {"C/USD": wanted["C/USD"]}, "the lives of a journal")
        while store_next(folders[0]) is not None:
            pass  # the keeper's part, for which the database waits
        wait_for(lambda: copied() == wanted, "the lives of an archive")
