"""``ordertape collect`` as people run it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape.tape.verify import verify
from support.processes import SYMBOL, simulated_venue, wait_for

MARKET = ("bitfinex", SYMBOL)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, in which no process of ours may be left working."""
    monkeypatch.chdir(tmp_path)
    yield
    wait_for(lambda: not working_in(tmp_path), f"the end of {working_in(tmp_path)}", 5)


def working_in(folder: Path) -> list[str]:
    """Command lines of other processes whose working folder it is."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if line]


def ordertape(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ordertape.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP])
def test_collect_shows_a_line_a_market_and_ends_cleanly_at_ctrl_c_or_with_its_terminal(
    tmp_path: Path, ending: signal.Signals
) -> None:
    log = tmp_path / "logs" / "app.log"
    with simulated_venue(pairs=("tBTCUST", "tETHUST")) as environment:
        running = ordertape("collect", "bitfinex", "BTC-USDT", "tETHUST", **environment)
        with running:
            assert running.stdout is not None
            lines = [running.stdout.readline() for _ in range(6)]
            wait_for(lambda: "L3_keeper_begins" in log.read_text(), "the keeper", 10)
            running.send_signal(ending)
            try:
                rest, complaints = running.communicate(timeout=60)
            finally:
                running.kill()
    assert running.returncode == 0
    assert complaints == ""
    assert {line.split("  ")[0] for line in lines} == {"bitfinex BTC/USDT", "bitfinex ETH/USDT"}
    assert any("  LIVE  " in line for line in lines)
    assert "the tape is in data/bitfinex/BTC%2FUSDT" in rest
    assert verify(tmp_path / "data", *MARKET).equal
    assert verify(tmp_path / "data", "bitfinex", "ETH/USDT").equal
    assert "L3_keeper_ends" in log.read_text()


def test_collect_writes_plain_lines_where_the_terminal_can_not_go_back() -> None:
    screen, terminal = pty.openpty()
    with simulated_venue() as environment, os.fdopen(screen, errors="replace") as shown:
        running = subprocess.Popen(
            [sys.executable, "-m", "ordertape.cli", "collect", *MARKET],
            stdout=terminal,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment, "TERM": "dumb"},
        )
        os.close(terminal)
        lines = [shown.readline() for _ in range(3)]
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=120)
    assert (running.returncode, complaints) == (0, b"")
    assert {line.split("  ")[0] for line in lines} == {f"bitfinex {SYMBOL}"}
    assert not any("\x1b" in line for line in lines)


def test_collect_says_which_market_the_venue_does_not_list(tmp_path: Path) -> None:
    with simulated_venue() as environment:
        running = ordertape("collect", "bitfinex", "BTC/USD", **environment)
        _, complaints = running.communicate(timeout=60)
    assert running.returncode == 1
    assert complaints.startswith("ordertape: bitfinex lists no market 'BTC/USD'")
    assert complaints.count("\n") == 1
    assert not (tmp_path / "data" / "bitfinex").exists()


def test_what_a_simulated_venue_said_is_marked_and_takes_no_real_data() -> None:
    with simulated_venue() as environment:
        with ordertape("collect", *MARKET, "--simulated", **environment) as running:
            assert running.stdout is not None
            assert "SIMULATED" in running.stdout.readline()
            running.send_signal(signal.SIGINT)
            try:
                running.communicate(timeout=120)
            finally:
                running.kill()
        again = ordertape("collect", *MARKET, **environment)
        _, complaints = again.communicate(timeout=120)
    assert (running.returncode, again.returncode) == (0, 1)
    assert "is simulated), nothing real is added to it: choose another --data" in complaints
    assert complaints.count("\n") == 1
