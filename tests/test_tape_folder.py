"""Where a market's tape lies and who may write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape.errors import MarketBusy, UnknownMarket
from ordertape.tape.folder import MarketFolder, markets, slug
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader, read_tape


def test_a_slash_in_a_symbol_makes_no_folder(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "BTC/USDT")
    assert folder.root == tmp_path / "bitfinex" / "BTC%2FUSDT"
    assert folder.journal.parent == folder.archive.parent == folder.root


@given(st.text(min_size=1, max_size=12))
def test_names_are_safe_and_stay_distinct(name: str) -> None:
    from urllib.parse import unquote

    made = slug(name)
    assert "/" not in made
    assert made not in {".", ".."}
    assert unquote(made) == name


def test_markets_are_found_under_their_own_names(tmp_path: Path) -> None:
    for exchange, symbol in (("bitfinex", "BTC/USDT"), ("nasdaq", "AAPL"), ("demo", "Ä/Ö%")):
        folder = MarketFolder(tmp_path, exchange, symbol)
        folder.journal.mkdir(parents=True)
        (folder.journal / "segment-00000001-00000000000000000001.journal").touch()
    MarketFolder(tmp_path, "demo", "nothing").archive.mkdir(parents=True)
    (tmp_path / "logs" / "old").mkdir(parents=True)
    found = [(folder.exchange, folder.symbol) for folder in markets(tmp_path)]
    assert found == [("bitfinex", "BTC/USDT"), ("demo", "Ä/Ö%"), ("nasdaq", "AAPL")]
    assert markets(tmp_path / "nowhere") == []


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "demo", "X/Y")
    with folder.writing():
        script = (
            "import sys; from ordertape.tape.folder import MarketFolder\n"
            f"with MarketFolder({str(tmp_path)!r}, 'demo', 'X/Y').writing(): pass"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert "MarketBusy" in ended.stderr
        assert "demo X/Y is being written by process" in ended.stderr
        with folder.archiving():
            pass  # another right
        with pytest.raises(MarketBusy), folder.writing():
            pass
    with folder.writing():
        pass


def test_a_market_without_a_tape_is_unknown(tmp_path: Path) -> None:
    for door in (TapeReader, read_tape):
        with pytest.raises(UnknownMarket, match="no tape of demo X/Y"):
            door(tmp_path, "demo", "X/Y")


def test_marks_survive_their_text() -> None:
    mark = Mark("gap", 7, 2**62, {"from_ns": 1, "to_ns": None, "reason": "ä", "era": 3})
    assert Mark.from_json(mark.to_json()) == mark
