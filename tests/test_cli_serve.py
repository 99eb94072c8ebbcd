"""``ordertape serve``, ``ordertape demo`` and ``make run`` as people run them: real processes."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ordertape import cli
from ordertape.database.address import Address
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.told import read_told
from ordertape.roles.addresses import listening_addresses
from ordertape.roles.demonstration import Demonstration
from ordertape.roles.locks import holder
from ordertape.roles.status import StreamReport, write_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from support.processes import wait_for
from support.roles_server import NO_DATABASE, Launched, assert_in_time, launched, rows
from support.server import API
from support.tape import Market, write_journal

STREAMS = f"{API}/streams"
LATE = "L3_database_begins_late"
"""What a busy machine may be told: that its database takes long."""


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[Launched]:
    """``ordertape`` with these arguments, in the folder above ``data``."""
    command = ("ordertape", *arguments, "--data", str(data), "--port", "0")
    with launched(data, {}, command=command, path=STREAMS) as server:
        yield server


def said_until(server: Launched, words: str) -> str:
    """What it printed up to and with the line that holds those words, LATE left out."""
    said = ""
    assert server.process.stdout is not None
    while words not in said:
        line = server.process.stdout.readline()
        assert line, f"{words!r} was never said: {said}"
        said += "" if LATE in line else line
    return said


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ordertape", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **NO_DATABASE},
        check=False,
    )


DEMO = "BTC/USD"
"""What the demonstration shows as Bitfinex's."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.contract("ordertape demo [--port …]")
def test_the_demo_has_a_database_of_its_own_goes_on_and_ends_at_one_ctrl_c(tmp_path: Path) -> None:
    """What DATABASE_URL names, in the environment and in .env, never hears of it."""
    data = tmp_path / "data-demo"
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://nobody@127.0.0.1:9/nothing\n")
    own = EmbeddedServer(data)
    address = Address("otc_analysis", embedded=own)
    with running(data, "demo", "--rate", "1000") as server:
        said = said_until(server, "watch")
        assert said.splitlines()[0] in listening_addresses(server.process.pid)
        assert f"watch bitfinex {DEMO} --data {data}" in said
        assert server.wait_live(symbol=DEMO, events=100)["simulated"] is True
        assert server.wait_live(symbol="BTC-USD", events=100)["simulated"] is True
        wait_for(lambda: rows(address, DEMO) > 100, "rows in its own database")

        again = run("demo", "--data", str(data))
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout.splitlines()[0] == said.splitlines()[0]

        server.end_in_time(signal.SIGINT)
        assert server.process.returncode == 0
        assert server.words() == "Stopping.\n"
    wait_for(lambda: not own.running, "the end of PostgreSQL")
    with running(data, "demo", "--rate", "1000") as server:
        server.wait_live(era=2, symbol=DEMO)
        server.end_in_time(signal.SIGINT)
    with running(data, "demo", "--seconds", "4") as server:
        server.wait_gone()  # on its own
        assert server.process.returncode == 0
    assert verify(data, "bitfinex", DEMO).equal
    assert verify(data, "coinbase", "BTC-USD").equal
    assert [path for path in data.rglob("*.lock") if holder(path)] == []


@pytest.mark.contract("ordertape serve [--host 127.0.0.1] [--port 8000]")
def test_serve_never_starts_a_demonstration_again_and_tells_a_second_one_where_it_is(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with running(data, "demo", "--rate", "1000") as server:
        server.wait_live(symbol=DEMO, events=10)
        server.wait_live(symbol="BTC-USD", events=10)
        server.send(signal.SIGTERM)
        server.wait_gone()
    with running(data, "serve") as server:
        address = said_until(server, "http://").splitlines()[-1]
        told = server.wait_up()["streams"]
        assert {s["symbol"]: s["state"] for s in told} == {DEMO: "STOPPED", "BTC-USD": "STOPPED"}
        second = run("serve", "--data", str(data), "--port", "1")  # the port does not matter then
        assert (second.returncode, second.stderr) == (0, "")
        assert second.stdout == (
            f"{address}\nThe server of {data} runs already; port 1 is not used.\n"
        )
        server.send(signal.SIGHUP)  # the terminal is closed
        server.wait_gone()
        assert server.process.returncode == 0


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_that_is_taken_is_one_sentence_before_anything_begins(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status = cli.run([command, "--data", "folder", "--port", str(port)])
    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    assert said.err.startswith(f"ordertape: port {port} of 127.0.0.1 is taken: choose another one")
    assert f"--port {port + 1}" in said.err
    assert f"`make run PORT={port + 1}`" in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "folder").exists()


def test_ctrl_c_while_the_database_is_being_made_ends_as_quietly(tmp_path: Path) -> None:
    """initdb, which hangs at the same terminal, is not interrupted half way."""
    data = tmp_path / "data"
    with running(data, "demo") as server:
        begun = data / "postgresql" / "cluster.new" / "PG_VERSION"
        wait_for(begun.exists, "the making of the database")
        server.end_in_time(signal.SIGINT)
        assert server.process.returncode == 0
        assert [line for line in server.words().splitlines() if LATE not in line] == ["Stopping."]
    assert [path for path in data.rglob("*.lock") if holder(path)] == []


def test_a_database_that_can_t_be_reached_is_said_in_the_terminal_on_the_page_and_by_status(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    wrong = {"DATABASE_URL": "postgresql://somebody:s3cret@127.0.0.1:9/nothing"}
    command = ("ordertape", "serve", "--port", "0", "--data", str(data))
    with launched(data, wrong, command=command, path=f"{API}/streams") as server:
        said = said_until(server, "once it answers")
        assert "\nhttp://127.0.0.1:" in f"\n{said}"
        assert "PostgreSQL at 127.0.0.1:9" in said
        server.wait_up()
        wait_for(lambda: read_told(data) is not None, "the keeper's word")
        page = urllib.request.urlopen(f"{server._address}/plain", timeout=120).read().decode()
        assert "<p>database: waiting (PostgreSQL at 127.0.0.1:9" in page
        status = run("status", "--data", str(data)).stdout
        assert "database: waiting (PostgreSQL at 127.0.0.1:9" in status
        unknown = server.get(f"{API}/orders/bitfinex/LTC/USD")["detail"]
        assert "was never collected in" in unknown
        assert unknown.endswith("it does not answer")
        server.send(signal.SIGTERM)
        server.wait_gone()
    logs = (tmp_path / "logs" / "app.log").read_text()
    assert "s3cret" not in said + page + status + unknown + logs + server.words()
    assert read_told(data) is None


# What it begins with ------------------------------------------------------------------------------


def real_tape(data: Path, exchange: str, symbol: str) -> None:
    write_journal(MarketFolder(data, exchange, symbol), Market().messages(5))


def simulated_tape(data: Path) -> None:
    folder = MarketFolder(data, "bitfinex", DEMO)
    write_journal(folder, Market().messages(5))
    write_report(
        folder.root,
        StreamReport(exchange="bitfinex", symbol=DEMO, pid=1, simulated=True, state="STOPPED"),
    )


@pytest.mark.parametrize(("exchange", "symbol"), [("nasdaq", "AAPL"), ("bitfinex", DEMO)])
def test_the_demo_is_not_mixed_with_real_data(
    exchange: str, symbol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real_tape(tmp_path / "data", exchange, symbol)
    assert cli.run(["--data", "data", "demo", "--port", "0", "--seconds", "1"]) == 1
    said = capsys.readouterr().err
    assert f"data holds real data ({exchange} {symbol})" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data-demo").exists()


def test_a_real_stream_that_was_started_beside_the_demonstration_keeps_it_from_nothing(
    tmp_path: Path,
) -> None:
    simulated_tape(tmp_path)
    real_tape(tmp_path, "bitfinex", "ETH/USD")
    Demonstration().refuse_real(tmp_path)


# The terminal -------------------------------------------------------------------------------------


@pytest.mark.contract("make run")
def test_make_run_in_a_terminal_ends_at_ctrl_c_without_a_complaint(tmp_path: Path) -> None:
    """The last line of `make run`, which tests/contract/test_commands.py holds, at a free port."""
    recipe = f"run: ; @exec {sys.executable} -m ordertape demo --port 0"
    (tmp_path / "Makefile").write_text(recipe + "\n")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["ORDERTAPE_DATA"] = str(tmp_path / "mine")
        os.execvp("make", ["make", "run"])
    seen, interrupted, database = "", 0.0, EmbeddedServer(tmp_path / "data-demo")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not interrupted and "watch bitfinex" in seen and database.exists:
            os.write(terminal, b"\x03")
            interrupted = time.monotonic()
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            seen += os.read(terminal, 65_536).decode("utf-8", "replace")
        except OSError:  # the other end is gone
            break
    os.waitpid(child, 0)
    os.close(terminal)
    assert interrupted, seen
    assert_in_time(interrupted)
    assert "***" not in seen
    assert "Traceback" not in seen
    assert not (tmp_path / "mine").exists()
    assert not database.running
    assert [path for path in (tmp_path / "data-demo").rglob("*.lock") if holder(path)] == []
