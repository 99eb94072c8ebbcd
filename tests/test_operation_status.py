"""``ordertape status`` in a terminal: a table that moves, of a collector that runs."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ordertape import cli
from ordertape.roles.status import StreamReport, write_report
from ordertape.tape.folder import MarketFolder
from support.processes import SYMBOL, simulated_venue, start_collector, wait_live
from support.tape import Market, write_journal


class Terminal:
    """A command at a terminal of its own, 160 columns wide."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.seen = ""
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ordertape", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first place in what it wrote, from here on, that has the pattern."""
        begun, deadline = len(self.seen), time.monotonic() + seconds
        while (found := re.search(pattern, plain(self.seen[begun:]))) is None:
            assert time.monotonic() < deadline, plain(self.seen)
            assert self._take(), plain(self.seen)
        return found

    def _take(self) -> bool:
        """False once the other end is closed."""
        if select.select([self._ours], [], [], 0.1)[0]:
            try:
                part = os.read(self._ours, 65_536)
            except OSError:
                return False
            self.seen += part.decode("utf-8", "replace")
        return True

    def end(self, number: signal.Signals | None = None) -> str:
        """All it wrote, once it has ended with status 0."""
        if number is not None:
            self.process.send_signal(number)
        while self._take() and self.process.poll() is None:
            pass
        self._take()
        os.close(self._ours)
        assert self.process.wait(20) == 0, self.seen
        return plain(self.seen)


def plain(text: str) -> str:
    """Without what moves the cursor and colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_the_table_of_a_running_collector_moves_until_ctrl_c(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with simulated_venue() as venue:
        collector = start_collector(data, venue)
        try:
            wait_live(data, collector, events=20)
            once = Terminal("status", "--data", str(data)).end()
            terminal = Terminal("status", "--watch", "--data", str(data))
            row = rf"bitfinex {SYMBOL} \(simulated\)\s+LIVE\s+1\s+([\d,]+)\s"
            first = number(terminal.read_until(row))
            while number(terminal.read_until(row)) <= first:
                pass
            said = terminal.end(signal.SIGINT)
        finally:
            collector.stop()
    head = once.splitlines()[0].split()
    assert head[:5] == ["market", "state", "era", "sequence", "events/s"]
    assert re.search(row, once)
    assert "Traceback" not in once + said


def number(found: re.Match[str]) -> int:
    return int(found[1].replace(",", ""))


def test_a_pipe_is_told_a_line_a_market_however_often(tmp_path: Path) -> None:
    write_journal(MarketFolder(tmp_path, "bitfinex", SYMBOL), Market().messages(5))
    watching = subprocess.Popen(
        [sys.executable, "-m", "ordertape", "status", "--watch", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    with watching, watching.stdout as said:
        for _ in range(2):
            assert said.readline().startswith(f"bitfinex {SYMBOL}  STOPPED  era ")
        watching.send_signal(signal.SIGINT)
        said.read()
    assert watching.returncode == 0


def test_what_a_venue_said_is_seen_and_not_obeyed(tmp_path: Path) -> None:
    """A reason may repeat what came from outside."""
    folder = MarketFolder(tmp_path, "bitfinex", SYMBOL)
    write_journal(folder, Market().messages(5))
    report = StreamReport(
        exchange="bitfinex",
        symbol=SYMBOL,
        pid=os.getpid(),
        simulated=False,
        state="STALE",
        reason="\x1b]0;taken\x07 [red]over",
        written_at=time.time_ns() + 60 * 10**9,  # fresh still when a busy machine reads it
    )
    write_report(folder.root, report)
    terminal = Terminal("status", "--data", str(tmp_path))
    said = terminal.end()
    assert "\\u001b]0;taken\\u0007 [red]over" in said
    assert "\x1b]0" not in terminal.seen


def test_an_empty_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no tape in {tmp_path}\n"
    said = Terminal("status", "--data", str(tmp_path)).end()
    assert said.strip() == f"no tape in {tmp_path}"
