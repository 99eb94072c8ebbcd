"""``book``, ``watch`` and ``--help`` in terminals that are narrow or can do nothing but text."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from rich.console import Console

from ordertape import cli
from ordertape.numbers import plain
from ordertape.tape.folder import MarketFolder
from ordertape.terminal.replica import Replica
from ordertape.terminal.view import show
from support.processes import wait_for
from support.tape import Market, write_journal

MARKET = ("venue", "A/B")
ESCAPE = "\x1b"


class Terminal(io.StringIO):
    """Where text goes that a person sees at once."""

    def isatty(self) -> bool:
        return True


def recorded(folder: Path, codec: str) -> Market:
    market = Market(codec, orders=20)
    batches = [market.message(clear=True), *market.messages(60)]
    write_journal(MarketFolder(folder, *MARKET), batches)
    return market


@pytest.mark.parametrize("codec", ["int", "uuid"])
@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_narrow_terminal_shows_the_book_with_every_digit(
    codec: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = recorded(tmp_path, codec)
    shown = Terminal()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", shown)
    assert cli.run(["book", *MARKET, "--data", str(tmp_path)]) == 0
    text = shown.getvalue()
    assert "…" not in text
    assert len(market.book) > 10
    for side in (0, 1):
        for order_id, price, size in market.book.orders(side):
            assert order_id in text
            assert f" {plain(size)} " in text
            assert plain(price) in text
    if codec == "int":
        table = [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in text.splitlines()[2:]]
        assert max(map(len, table)) <= max(width, 41)
        assert ("ask order" in table[0]) == (width == 100)


def test_a_terminal_that_can_only_do_text_gets_a_line_a_second(tmp_path: Path) -> None:
    recorded(tmp_path, "int")
    written = Terminal()
    dumb = {"TERM": "dumb", "COLUMNS": "60"}
    console = Console(file=written, force_terminal=True, _environ=dumb)
    replica, stop = Replica(tmp_path, *MARKET), threading.Event()
    replica.start()
    showing = threading.Thread(target=show, args=(replica, stop), kwargs={"console": console})
    showing.start()
    try:
        wait_for(lambda: "\n" in written.getvalue(), "a line")
    finally:
        stop.set()
        showing.join()
        replica.stop()
    assert written.getvalue().startswith("venue A/B  ")
    assert ESCAPE not in written.getvalue()


def leaves(group: object, way: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    commands = getattr(group, "commands", {})
    return [
        found
        for name, command in commands.items()
        for found in (leaves(command, (*way, name)) or [(*way, name)])
    ]


def test_help_names_what_is_wanted_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    ways = [(), *leaves(typer.main.get_command(cli.app))]
    assert ("collect",) in ways
    assert ("db", "psql") in ways
    for way in ways:
        assert cli.run([*way, "--help"]) == 0
        text = capsys.readouterr().out
        for word in ("list[", "<str>", "<bool>", "<int", "<float"):
            assert word not in text, (way, text)


def test_help_has_no_boxes_where_the_terminal_can_only_do_text() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "ordertape", "book", "--help"],
        env={**os.environ, "TERM": "dumb"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "--depth" in text
    assert text.isascii()
