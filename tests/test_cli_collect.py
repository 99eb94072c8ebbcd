"""``ordertape collect`` and ``demo`` as people run them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape.roles.status import StreamReport, write_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from support.processes import SYMBOL, simulated_venue, wait_for
from support.tape import Market, write_journal

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
            began = time.monotonic()
            rest, complaints = running.communicate(timeout=10)
            assert time.monotonic() - began < 10
    assert running.returncode == 0
    assert complaints == ""
    assert {line.split("  ")[0] for line in lines} == {"bitfinex BTC/USDT", "bitfinex ETH/USDT"}
    assert any("  LIVE  " in line for line in lines)
    assert "the tape is in data/bitfinex/BTC%2FUSDT" in rest
    assert verify(tmp_path / "data", *MARKET).equal
    assert verify(tmp_path / "data", "bitfinex", "ETH/USDT").equal
    assert "L3_keeper_ends" in log.read_text()


def test_collect_says_which_market_the_venue_does_not_list(tmp_path: Path) -> None:
    with simulated_venue() as environment:
        running = ordertape("collect", "bitfinex", "BTC/USD", **environment)
        _, complaints = running.communicate(timeout=10)
    assert running.returncode == 1
    assert complaints.startswith("ordertape: bitfinex lists no market 'BTC/USD'")
    assert complaints.count("\n") == 1
    assert not (tmp_path / "data" / "bitfinex").exists()


def test_the_demo_goes_on_with_its_tape_and_ends_at_one_ctrl_c(tmp_path: Path) -> None:
    """The first run in a pipe, for a second; the second run in a terminal, until Ctrl-C."""
    first = ordertape("demo", "--seconds", "2", "--rate", "1000")
    out, complaints = first.communicate(timeout=30)
    assert (first.returncode, complaints) == (0, "")
    assert "bitfinex BTC/USDT  SIMULATED  LIVE  era 1  seq " in out
    assert "ordertape verify bitfinex BTC/USDT --data data-demo" in out
    status, seconds, seen = in_a_terminal("demo", "--rate", "1000")
    assert status == 0
    assert seconds < 10
    assert "SIMULATED" in seen
    assert "era 2" in seen
    assert "The simulated tape is in data-demo" in seen
    assert "Traceback" not in seen
    report = verify(tmp_path / "data-demo", *MARKET)
    assert report.equal
    assert report.eras == 2


def test_the_demo_refuses_a_folder_with_an_imported_tape(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path / "data", "nasdaq", "AAPL")
    write_journal(folder, Market().messages(5))
    before = ordertape("--data", "data", "demo", "--seconds", "1")
    _, complaints = before.communicate(timeout=20)
    assert before.returncode == 1
    assert "data holds real data (nasdaq AAPL)" in complaints
    assert not (tmp_path / "data-demo").exists()


def in_a_terminal(*arguments: str) -> tuple[int, float, str]:
    """Runs until the market is proven, then Ctrl-C: (status, seconds since, all that was drawn)."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "ordertape.cli", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
    seen, interrupted = "", 0.0
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is gone
            break
        seen += part.decode("utf-8", "replace")
        if not interrupted and "LIVE" in seen and "proven: " in seen:
            os.write(terminal, b"\x03")
            interrupted = time.monotonic()
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), time.monotonic() - interrupted, seen


def test_a_demo_beside_another_says_so_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    first = ordertape("demo")
    with first:
        assert first.stdout is not None
        first.stdout.readline()
        second = ordertape("demo")
        _, complaints = second.communicate(timeout=20)
        assert len(working_in(tmp_path)) == 4
        first.kill()
    assert second.returncode == 1
    assert "is being written by process" in complaints
    assert complaints.count("\n") == 1
    wait_for(lambda: not working_in(tmp_path), "the children's end", 10)


def test_the_demo_is_not_mixed_with_real_data(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path / "data-demo", "bitfinex", "ETH/USD")
    folder.journal.mkdir(parents=True)
    (folder.journal / "segment-00000001-00000000000000000001.journal").touch()
    real = StreamReport(
        exchange="bitfinex", symbol="ETH/USD", pid=1, simulated=False, state="STOPPED"
    )
    write_report(folder.root, real)
    demo = ordertape("demo")
    _, complaints = demo.communicate(timeout=20)
    assert demo.returncode == 1
    assert "data-demo holds real data (bitfinex ETH/USD)" in complaints
    assert complaints.count("\n") == 1
