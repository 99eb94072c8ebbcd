"""Where a market's tape lies and who may write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape.errors import MarketBusy, TapeError, UnknownMarket
from ordertape.tape.backup import back_up
from ordertape.tape.folder import MarketFolder, markets, slug
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader, read_tape
from support.tape import Market, write_journal


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


def test_what_can_t_be_looked_into_hides_no_other_market(tmp_path: Path) -> None:
    write_journal(MarketFolder(tmp_path, "bitfinex", "A/B"), Market().messages(3))
    for link in (tmp_path / "LOOP", tmp_path / "bitfinex" / "LOOP"):
        link.symlink_to(link)
    assert [folder.symbol for folder in markets(tmp_path)] == ["A/B"]
    assert MarketFolder(tmp_path, "bitfinex", "A/B").is_collected
    closed = MarketFolder(tmp_path, "bitfinex", "C/D")
    closed.root.mkdir()
    closed.journal.symlink_to(closed.journal)
    assert [folder.symbol for folder in markets(tmp_path)] == ["A/B", "C/D"]
    with pytest.raises(TapeError, match=r"1 of 2 tapes copied, not bitfinex C/D: .*symbolic links"):
        back_up(tmp_path, tmp_path.with_name("copy"))
    assert [folder.symbol for folder in markets(tmp_path.with_name("copy"))] == ["A/B"]
