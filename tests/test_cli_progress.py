"""Progress is drawn in a terminal for what takes long, and nowhere else."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable

import pytest

from ordertape import limits
from ordertape.commands.progress import counting, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes stderr a terminal; to be called in the test, where pytest has set its own."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(limits, "progress_after_ms", 0)
    monkeypatch.setattr(limits, "progress_picture_ms", 0)

    def enter() -> Terminal:
        written = Terminal()
        monkeypatch.setattr(sys, "stderr", written)
        return written

    return enter


def test_work_that_takes_long_shows_how_far_it_is(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()
    with counting("import file", unit="bytes") as done:
        done(5_000, 10_000)
    assert "import file" in terminal.getvalue()
    assert "50%" in terminal.getvalue()
    assert "5,000 bytes" in terminal.getvalue()


def test_work_that_can_not_say_how_far_it_is_shows_that_it_lives(
    on_terminal: Callable[[], Terminal],
) -> None:
    terminal = on_terminal()
    with waiting("verify bitfinex BTC/USDT"):
        deadline = time.monotonic() + 5
        while "verify" not in terminal.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_short_work_and_pipes_show_nothing(
    on_terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on_terminal()
    monkeypatch.setattr(limits, "progress_after_ms", 60_000)
    with counting("quick") as done, waiting("quick, too"):
        done(1, 2)
    assert terminal.getvalue() == ""
    monkeypatch.setattr(limits, "progress_after_ms", 0)
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with counting("piped") as done, waiting("piped, too"):
        done(1, 2)
    assert pipe.getvalue() == ""
