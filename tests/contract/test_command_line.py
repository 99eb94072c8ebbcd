"""Contract, Command line: the parts that scripts rely on, as processes beside a running server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape import cli
from ordertape.models import iso_from_ns
from ordertape.replay.capture_file import CaptureWriter, read_lines
from ordertape.simulator.bitfinex_frames import frames
from ordertape.tape.folder import MarketFolder
from support.contract import ENVELOPE, STATISTICS
from support.dbn import dbn_bytes, record
from support.lobster import files
from support.processes import simulated_venue, wait_for
from support.roles_server import NO_DATABASE
from support.served import FINISHED, LIVE, Served

COMMANDS = [
    *("collect", "book", "watch", "verify", "export", "serve", "demo", "venues", "status"),
    *("import", "import lobster", "import databento", "import capture"),
    *("db", "db create", "db check", "db drop", "db psql", "db url"),
]


class Runner:
    """``ordertape`` with these arguments; in this process, for starting one costs more."""

    def __init__(self, patch: pytest.MonkeyPatch, caught: pytest.CaptureFixture[str]) -> None:
        self._patch, self._caught = patch, caught
        patch.setenv("DATABASE_URL", NO_DATABASE["DATABASE_URL"])

    def __call__(self, *arguments: str, **environment: str) -> str:
        """What it prints."""
        for name, value in environment.items():
            self._patch.setenv(name, value)
        self._caught.readouterr()
        status = cli.run(arguments)
        out, err = self._caught.readouterr()
        assert status == 0, err
        return out


@pytest.fixture
def ordertape(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Runner:
    return Runner(monkeypatch, capfd)


def one_line(text: str) -> Any:
    """One line of JSON; numbers with a point are Decimals."""
    assert text.count("\n") == 1
    return json.loads(text, parse_float=Decimal)


@pytest.mark.contract("ordertape …")
def test_help_everywhere(server: Served, ordertape: Runner) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ordertape", "--help"], capture_output=True, text=True, check=True
    )
    top = done.stdout
    assert all(command.split()[0] in top for command in COMMANDS)
    below = ordertape("import", "--help") + ordertape("db", "--help")
    assert all(command.split()[-1] in below for command in COMMANDS if " " in command)


# Reading beside a running server ------------------------------------------------------------------


@pytest.mark.contract(
    "ordertape book EXCHANGE SYMBOL [--at TIME] [--depth N] [--json]", "ORDERTAPE_DATA"
)
@pytest.mark.parametrize("way", ["option", "environment"])
def test_data_as_ordertape_data_and_book_json_has_the_fields_of_snapshot(
    server: Served, ordertape: Runner, way: str
) -> None:
    place = ("--data", str(server.data)) if way == "option" else ()
    environment = {} if place else {"ORDERTAPE_DATA": str(server.data)}
    command = ("book", "bitfinex", LIVE, "--depth", "3", "--json", *place)
    book = one_line(ordertape(*command, **environment))
    assert set(book) == set(server.answer(f"/snapshot/bitfinex/{LIVE}")) >= ENVELOPE
    assert set(book["statistics"]) == STATISTICS
    assert (len(book["bids"]), len(book["asks"])) == (3, 3)


def test_book_at_is_the_book_as_of_that_time(server: Served, ordertape: Runner) -> None:
    at = iso_from_ns(server.batches[1_000].last_ts_recv)
    command = ("book", "bitfinex", FINISHED, "--at", at, "--depth", "0", "--json")
    shown = one_line(ordertape(*command, "--data", str(server.data)))
    book = server.answer(f"/snapshot/bitfinex/{FINISHED}", at=at, depth=0)
    named = ("sequence", "timestamp", "statistics", "bids", "asks")
    assert {name: shown[name] for name in named} == {name: book[name] for name in named}


@pytest.mark.contract("ordertape verify EXCHANGE SYMBOL [--json]")
def test_verify_json_says_eras_gaps_events_and_marks(server: Served, ordertape: Runner) -> None:
    found = one_line(
        ordertape("verify", "bitfinex", FINISHED, "--json", "--data", str(server.data))
    )
    assert {"eras", "gaps", "events", "marks", "marks_equal"} <= set(found)
    assert (found["eras"], found["gaps"]) == (2, 1)


def test_verify_of_a_live_market_beside_its_server(server: Served, ordertape: Runner) -> None:
    found = one_line(ordertape("verify", "bitfinex", LIVE, "--json", "--data", str(server.data)))
    assert found["marks"] == found["marks_equal"]


@pytest.mark.contract("ordertape export parquet|csv|lobster|hftbacktest EXCHANGE SYMBOL --out DIR")
@pytest.mark.parametrize("form", ["parquet", "csv", "lobster", "hftbacktest"])
def test_export_prints_the_files_it_wrote(
    server: Served, ordertape: Runner, tmp_path: Path, form: str
) -> None:
    command = ("export", form, "bitfinex", FINISHED, "--out", str(tmp_path))
    written = ordertape(*command, "--data", str(server.data)).splitlines()
    assert written
    assert all(Path(name).stat().st_size > 0 for name in written)


@pytest.mark.contract("ordertape venues", "ordertape status")
def test_venues_and_status(server: Served, ordertape: Runner) -> None:
    assert "bitfinex" in ordertape("venues")
    assert LIVE in ordertape("status", "--data", str(server.data))


@pytest.mark.contract("ordertape watch EXCHANGE SYMBOL")
def test_watch_shows_the_live_book(server: Served) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "ordertape", "watch", "bitfinex", LIVE, "--data", server.data],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        # Until it has read the tape it waits.
        line = next(line for line in watching.stdout if "WAITING" not in line)
        assert f"bitfinex {LIVE}  LIVE" in line
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=60)


# The database -------------------------------------------------------------------------------------


@pytest.mark.contract("ordertape db create|check|drop|psql|url")
def test_db_psql_and_db_url_reach_the_embedded_default(server: Served, ordertape: Runner) -> None:
    ours = {"DATABASE_URL": "", "ORDERTAPE_DATA": str(server.data)}
    count = "SELECT COUNT(*) FROM level3_orders WHERE exchange = 'coinbase'"
    assert "0" in ordertape("db", "psql", "-c", count, **ours)
    assert "everything is there" in ordertape("db", "check", **ours)
    url = ordertape("db", "url", **ours).strip()
    assert url.startswith("postgresql://")
    assert url.count("\n") == 0


# Imports and collecting ---------------------------------------------------------------------------


@pytest.mark.contract(
    "ordertape import lobster MESSAGES --orderbook ORDERBOOK --exchange nasdaq --symbol AAPL "
    "--date 2012-06-21"
)
def test_import_lobster_json_and_a_repeat_adds_nothing(
    server: Served, ordertape: Runner, tmp_path: Path
) -> None:
    message, orderbook = files(tmp_path)
    command = (
        *("import", "lobster", str(message), "--orderbook", str(orderbook)),
        *("--exchange", "nasdaq", "--symbol", "AAPL", "--date", "2012-06-21"),
        *("--json", "--data", str(tmp_path / "data")),
    )
    first, second = one_line(ordertape(*command)), one_line(ordertape(*command))
    assert first["events"] > 0
    assert (second["events"], second["repeated"]) == (0, True)


@pytest.mark.contract("ordertape import databento FILE [--exchange … --symbol …]")
def test_import_databento(server: Served, ordertape: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mbo.dbn"
    path.write_bytes(dbn_bytes([record("A", "B", 1, 100, 3), record("A", "A", 2, 101, 5, at=1)]))
    command = ("import", "databento", str(path), "--json", "--data", str(tmp_path / "data"))
    assert one_line(ordertape(*command))["events"] >= 2
    named = ("--exchange", "cme", "--symbol", "ES", "--data", str(tmp_path / "other"))
    assert "cme ES" in ordertape("import", "databento", str(path), *named)


@pytest.mark.contract("ordertape import capture FILE --exchange … --symbol …")
def test_a_capture_is_json_lines_and_import_capture_reads_it(
    server: Served, ordertape: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "frames.jsonl"
    with CaptureWriter(path) as writer:
        for ts, text in frames(7, 200):
            writer.write(ts, "ws", "wss://venue/ws/2", text)
    line = json.loads(path.read_text().splitlines()[0])
    assert set(line) == {"t", "via", "url", "text"}
    assert isinstance(line["t"], int)
    assert line["via"] in ("ws", "rest")
    command = ("import", "capture", str(path), "--exchange", "bitfinex", "--symbol", "BTC/USDT")
    assert "bitfinex BTC/USDT" in ordertape(*command, "--data", str(tmp_path / "data"))


@pytest.mark.contract("ordertape collect EXCHANGE SYMBOL… [--capture]")
def test_collect_with_a_capture_into_the_tape_in_the_foreground(
    server: Served, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    folder = MarketFolder(data, "bitfinex", "BTC/USDT")
    with simulated_venue() as venue:
        collecting = subprocess.Popen(
            [
                *(sys.executable, "-m", "ordertape", "collect", "bitfinex", "BTC/USDT"),
                *("--capture", "--data", data),
            ],
            env={**os.environ, **venue, "ORDERTAPE_LOGS": str(tmp_path / "logs")},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert collecting.stdout is not None
            wait_for(lambda: "LIVE" in collecting.stdout.readline(), "a live line")
        finally:
            collecting.send_signal(signal.SIGINT)
            collecting.communicate(timeout=60)
    assert collecting.returncode in (0, 130)
    newest = max((folder.root / "capture").iterdir())
    assert sum(1 for _ in read_lines(newest)) > 10
    assert folder.exists


def test_logs_are_event_names_that_begin_with_l3(server: Served) -> None:
    log = server.data.parent / "logs" / "app.log"
    words = [line for line in log.read_text().splitlines() if "L3_" in line]
    assert any("L3_server_begins" in line for line in words)
