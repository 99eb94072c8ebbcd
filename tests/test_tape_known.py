"""What lies in a data folder is read again when it changed, and only then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ordertape.tape.folder import MarketFolder, markets
from ordertape.tape.known import KnownMarkets, KnownReading


def make(data: Path, exchange: str, symbol: str, *, tape: bool = True) -> MarketFolder:
    folder = MarketFolder(data, exchange, symbol)
    folder.archive.mkdir(parents=True)
    if tape:
        (folder.archive / "a.parquet").touch()
    return folder


def grow_old(*paths: Path) -> None:
    """As if they had been changed an hour ago."""
    for path in paths:
        then = time.time_ns() - 3_600 * 10**9
        os.utime(path, ns=(then, then))


def names(known: KnownMarkets) -> list[tuple[str, str]]:
    return list(known.look())


@pytest.mark.parametrize("old", [False, True])
def test_markets_come_and_go_as_their_folders_do(tmp_path: Path, old: bool) -> None:
    known = KnownMarkets(tmp_path)
    assert names(known) == []
    made = make(tmp_path, "bitfinex", "BTC/USDT")
    later = make(tmp_path, "bitfinex", "ETH/USDT", tape=False)
    (tmp_path / "a file").touch()
    (tmp_path / "bitfinex" / os.fsdecode(b"\xff")).mkdir()
    if old:
        grow_old(tmp_path, made.root.parent)
    assert names(known) == [("bitfinex", "BTC/USDT")]
    (later.archive / "a.parquet").touch()
    assert names(known) == [("bitfinex", "BTC/USDT"), ("bitfinex", "ETH/USDT")]
    make(tmp_path, "coinbase", "BTC-USD")
    assert len(names(known)) == 3
    made.root.rename(tmp_path / "elsewhere")
    assert names(known) == [("bitfinex", "ETH/USDT"), ("coinbase", "BTC-USD")]
    assert [(folder.exchange, folder.symbol) for folder in markets(tmp_path)] == names(known)


def test_what_did_not_change_is_read_once_and_what_just_changed_each_time(tmp_path: Path) -> None:
    read: list[str] = []

    def reading(path: Path) -> str:
        read.append(path.read_text() if path.exists() else "")
        return read[-1]

    known, path = KnownReading(reading), tmp_path / "a"
    assert [known.of(path), known.of(path)] == ["", ""]
    path.write_text("one")
    assert [known.of(path), known.of(path)] == ["one", "one"]
    grow_old(path)
    assert [known.of(path), known.of(path)] == ["one", "one"]
    new = tmp_path / "b"
    new.write_text("two")
    grow_old(new)
    new.replace(path)
    assert [known.of(path), known.of(path)] == ["two", "two"]
    assert read == ["", "one", "one", "one", "two"]
