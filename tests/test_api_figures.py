"""Figures of whole tapes are those of a count from the first event on, each file read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ordertape.api.figures import KnownFigures, figures_of
from ordertape.api.work import Gone, Leave
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from support.tape import Market, rows_of


def write(folder: MarketFolder, market: Market, messages: int) -> list[dict[str, Any]]:
    batches = list(market.messages(messages, clear_every=messages // 2))
    with JournalWriter(folder) as journal:
        for batch in batches:
            journal.append(batch)
    return [row for row in rows_of(batches) if not row["flags"] & 1]


def as_counted(lookup: TapeLookup) -> dict[str, Any]:
    return figures_of(lookup, lookup.first_seq(), lookup.last_seq(), Leave()).as_dict()


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path, "bitfinex", "BTC/USDT")


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
@pytest.mark.parametrize("kept", [0, 100, 1_000_000])
def test_a_tape_that_grows_is_counted_as_from_its_beginning(
    folder: MarketFolder, codec: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.figures_ids_kept", kept)
    monkeypatch.setattr("ordertape.limits.figures_ids_gathered", 50)
    known, lookup, market = KnownFigures(), TapeLookup(folder), Market(codec)
    rows: list[dict[str, Any]] = []
    for _ in range(4):
        rows += write(folder, market, 60)
        for _ in range(2):
            found = known.whole(lookup, Leave()).as_dict()
            assert found == as_counted(lookup)
            assert found["total_orders"] == len(rows)
            assert found["unique_orders"] == len({r["order_id"] for r in rows if r["order_id"]})
            Archiver(folder).finish()


def test_a_closed_file_is_read_once(folder: MarketFolder) -> None:
    market, known, lookup = Market(), KnownFigures(), TapeLookup(folder)
    write(folder, market, 100)
    Archiver(folder).finish()
    first = known.whole(lookup, Leave()).as_dict()
    archived = market.next_seq
    write(folder, market, 30)

    class Watched(TapeLookup):
        def events(self, first: int, last: int) -> Any:
            assert first >= archived
            return super().events(first, last)

    again = known.whole(Watched(folder), Leave()).as_dict()
    assert again["total_orders"] > first["total_orders"]
    assert again == as_counted(lookup)


def test_of_a_journal_only_what_came_since_is_read(folder: MarketFolder) -> None:
    market, known = Market(), KnownFigures()
    asked: list[int] = []

    class Watched(TapeLookup):
        def events(self, first: int, last: int) -> Any:
            asked.append(last - first + 1)
            return super().events(first, last)

    lookup = Watched(folder)
    write(folder, market, 200)
    known.whole(lookup, Leave())
    counted = market.next_seq
    write(folder, market, 10)
    asked.clear()
    again = known.whole(lookup, Leave()).as_dict()
    assert asked == [1, market.next_seq - counted]
    assert again == as_counted(lookup)


def test_a_journal_whose_end_was_cut_off_and_written_anew_is_counted_anew(
    folder: MarketFolder,
) -> None:
    known = KnownFigures()
    write(folder, Market(seed=1), 40)
    known.whole(TapeLookup(folder), Leave())
    for path in folder.journal.iterdir():
        path.unlink()
    write(folder, Market(seed=2), 60)
    lookup = TapeLookup(folder)
    assert known.whole(lookup, Leave()).as_dict() == as_counted(lookup)


def test_a_tape_that_loses_its_oldest_files_is_counted_anew(folder: MarketFolder) -> None:
    market, known = Market(), KnownFigures()
    for _ in range(3):
        write(folder, market, 40)
        Archiver(folder).finish()
    known.whole(TapeLookup(folder), Leave())
    oldest = min(folder.archive.glob("events-*.parquet"))
    oldest.unlink()
    lookup = TapeLookup(folder)
    assert known.whole(lookup, Leave()).as_dict() == as_counted(lookup)


def test_who_leaves_keeps_nothing_half_counted(folder: MarketFolder) -> None:
    market, known, lookup = Market(), KnownFigures(), TapeLookup(folder)
    for _ in range(2):
        write(folder, market, 40)
        Archiver(folder).finish()
    leave = Leave()
    leave.now()
    with pytest.raises(Gone):
        known.whole(lookup, leave)
    assert known.whole(lookup, Leave()).as_dict() == as_counted(lookup)
