"""Imports are whole or not there, each source once, and go on where the tape ends."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import BadFile, ImportRefused, MarketBusy, SettingRefused, UnknownMarket
from ordertape.tape.folder import MarketFolder, markets
from ordertape.tape.imports import (
    ImportSummary,
    import_batches,
    import_databento,
    import_lobster,
)
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lobster import read_lobster
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader, read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.tape.verify import verify
from support.dbn import LAST, SNAPSHOT, dbn_bytes, record
from support.events import TS, batch
from support.lobster import MESSAGES, files

MARKET = ("nasdaq", "TEST")
DAY_2 = "2012-06-22"


def lobster(
    data: Path, folder: Path, date: str | None = None, messages: str = MESSAGES
) -> ImportSummary:
    folder.mkdir(exist_ok=True)
    return import_lobster(data, *MARKET, *files(folder, messages), date=date)


def rows(batches: Iterator[EventBatch]) -> list[dict[str, object]]:
    return [found[i] for found in batches for i in range(len(found))]


def names(data: Path) -> list[str]:
    return sorted(str(path.relative_to(data)) for path in data.rglob("*.parquet"))


def test_what_was_imported_is_read_as_it_was_in_the_file(tmp_path: Path) -> None:
    summary = lobster(tmp_path / "data", tmp_path)
    assert rows(read_tape(tmp_path / "data", *MARKET)) == rows(read_lobster(*files(tmp_path)))
    assert (summary.events, summary.first_seq, summary.last_seq) == (13, 1, 13)
    assert (summary.orders, summary.best_bid, summary.best_ask) == (
        2,
        Decimal("585.3"),
        Decimal("585.4"),
    )
    assert (summary.eras, summary.faults, summary.repeated) == (1, {}, False)
    assert summary.passed_over == {"anonymous_orders": 2, "halts": 1, "orders_outside_start": 1}
    assert summary.kinds["match"] == 3
    assert [Path(path).exists() for path in summary.files] == [True]
    assert (summary.start, summary.end) == (
        "2012-06-21T13:30:00.004241176Z",
        "2012-06-21T13:30:01Z",
    )


def test_an_import_verifies_and_rebuilds(tmp_path: Path) -> None:
    summary = lobster(tmp_path / "data", tmp_path)
    report = verify(tmp_path / "data", *MARKET)
    assert report.equal
    assert report.as_dict()["marks"] >= 2
    book = rebuild(tmp_path / "data", *MARKET)
    assert (book.digest(), len(book)) == (summary.book_digest, 2)
    marks = list(TapeReader(tmp_path / "data", *MARKET).marks())
    assert [mark.kind for mark in marks] == ["era", "digest", "source"]
    assert marks[0].fields == {"era": 1}
    assert marks[-1].fields["rows"] == 13


def test_a_repeat_adds_nothing_even_under_another_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = lobster(data, tmp_path)
    before = names(data)
    again = lobster(data, tmp_path / "elsewhere")
    assert (again.repeated, again.events, again.files) == (True, 0, [])
    assert again.digest == first.digest
    assert names(data) == before


def test_the_next_day_goes_on_as_a_new_era_behind_a_gap(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lobster(data, tmp_path)
    summary = lobster(data, tmp_path, DAY_2)
    assert (summary.repeated, summary.first_seq, summary.last_seq) == (False, 14, 26)
    first, second = (
        rows(read_tape(data, *MARKET, None, DAY_2)),
        rows(read_tape(data, *MARKET, DAY_2)),
    )
    assert [row["order_id"] for row in first] == [row["order_id"] for row in second]
    assert [row["seq"] for row in second][:3] == [14, 14, 14]
    marks = list(TapeReader(data, *MARKET).marks())
    gap = next(mark for mark in marks if mark.kind == "gap")
    assert (gap.fields["reason"], gap.fields["healed_by"]) == ("not recorded", 14)
    assert gap.fields["from_ns"] == first[-1]["ts_recv"]
    assert gap.fields["to_ns"] == second[0]["ts_recv"]
    assert [mark.fields["era"] for mark in marks if mark.kind == "era"] == [1, 2]
    report = verify(data, *MARKET).as_dict()
    assert (report["eras"], report["gaps"], report["equal"], report["faults"]) == (2, 1, True, 0)


def test_a_source_older_than_the_tapes_end_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lobster(data, tmp_path, DAY_2)
    before = names(data)
    with pytest.raises(
        ImportRefused, match=r"begins after the tape's end .* found one that begins"
    ):
        lobster(data, tmp_path)
    assert names(data) == before
    assert verify(data, *MARKET).equal


def test_a_market_that_is_being_written_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        MarketFolder(data, *MARKET).writing(),
        pytest.raises(MarketBusy, match="nasdaq TEST is being written"),
    ):
        lobster(data, tmp_path)
    assert names(data) == []
    assert lobster(data, tmp_path).events == 13


@pytest.mark.parametrize("lines", [1, 3000])
def test_a_file_that_breaks_in_the_middle_leaves_nothing(
    tmp_path: Path, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setattr("ordertape.tape.foreign._TEXT_BLOCK_BYTES", 1000)
    monkeypatch.setattr("ordertape.tape.foreign._READ_BYTES", 1000)
    good = "".join(f"34200.{n:09d},1,{n},1,100,1\n" for n in range(lines))
    with pytest.raises(BadFile, match=f"line {lines + 1}: "):
        lobster(data, tmp_path, None, good + "broken\n")
    assert names(data) == []
    assert markets(data) == []
    with pytest.raises(UnknownMarket):
        read_tape(data, *MARKET)
    lobster(data, tmp_path)
    before = names(data)
    with pytest.raises(BadFile):
        lobster(data, tmp_path, DAY_2, good + "broken\n")
    assert names(data) == before
    assert not list(data.rglob("*.tmp"))
    assert verify(data, *MARKET).equal


def test_a_source_without_events_or_a_clear_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("anything")
    with pytest.raises(BadFile, match="expected events, found none"):
        import_batches(tmp_path / "data", "x", "y", [], source)
    with pytest.raises(BadFile, match="begin with a CLEAR"):
        import_batches(tmp_path / "data", "x", "y", [batch()[4:]], source)
    assert markets(tmp_path / "data") == []


def test_what_the_journal_holds_comes_first(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path / "data", *MARKET)
    early = batch(ts_recv=[1000] * 8, ts_event=None)
    with JournalWriter(folder) as journal:
        journal.append(early)
    lobster(folder.data, tmp_path)
    found = rows(read_tape(folder.data, *MARKET))
    assert [row["seq"] for row in found[:8]] == [1, 1, 1, 2, 3, 4, 5, 6]
    assert [row["seq"] for row in found[8:11]] == [7, 7, 7]
    assert verify(folder.data, *MARKET).equal
    with JournalWriter(folder) as journal:
        assert journal.recovered.last_seq == 19


def test_times_that_decrease_are_raised(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source"
    source.write_text("1")
    parts = [batch()[:4], batch(ts_recv=[TS] * 8)[4:]]
    import_batches(data, "x", "y", parts, source)
    found = rows(read_tape(data, "x", "y"))
    assert {row["ts_recv"] for row in found} == {TS + 1000}


def test_marks_of_a_source_are_kept_with_the_tapes_numbers(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "source"
    gap = {"from_ns": 5, "to_ns": 6, "reason": "lost", "healed_by": 1, "era": 1}
    for attempt in range(2):
        source.write_text(str(attempt))
        items = [batch(), Mark("gap", 3, 6, gap), Mark("era", 1, 6, {"era": 1})]
        import_batches(data, "x", "y", items, source)
    marks = [
        mark for mark in TapeReader(data, "x", "y").marks() if mark.fields.get("reason") == "lost"
    ]
    assert [(mark.seq, mark.fields["era"], mark.fields["healed_by"]) for mark in marks] == [
        (3, 1, 1),
        (9, 2, 7),
    ]
    assert verify(data, "x", "y").equal


def test_digests_are_marked_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordertape.limits.import_digest_events", 5)
    monkeypatch.setattr("ordertape.tape.foreign._TEXT_BLOCK_BYTES", 60)
    monkeypatch.setattr("ordertape.tape.foreign._READ_BYTES", 60)
    lobster(tmp_path / "data", tmp_path)
    marks = TapeReader(tmp_path / "data", *MARKET).marks()
    assert len([mark for mark in marks if mark.kind == "digest"]) == 3
    assert verify(tmp_path / "data", *MARKET).equal


def test_progress_tells_bytes_of_the_source(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    messages, book = files(tmp_path)
    import_lobster(
        tmp_path / "data", *MARKET, messages, book, progress=lambda *done: told.append(done)
    )
    total = messages.stat().st_size + book.stat().st_size
    assert told == [(total, total)]


BOOK = [
    record("R", flags=SNAPSHOT),
    record("A", "B", 1, 100, 5, flags=SNAPSHOT),
    record("A", "A", 3, 101, 9, flags=SNAPSHOT | LAST),
    record("C", "B", 1, 100, 2, at=7),
]


def test_a_databento_file_names_its_market_unless_told(tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "mbo.dbn"
    path.write_bytes(dbn_bytes(BOOK))
    summary = import_databento(data, path)
    assert (summary.exchange, summary.symbol, summary.events) == ("glbx", "ESH1", 2)
    told = import_databento(data, path, "cme", "ES")
    assert (told.exchange, told.symbol) == ("cme", "ES")
    assert rebuild(data, "cme", "ES").digest() == rebuild(data, "glbx", "ESH1").digest()
    assert [str(folder.market) for folder in markets(data)] == ["cme ES", "glbx ESH1"]
    assert import_databento(data, path).repeated


def test_a_databento_file_that_names_no_market_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "mbo.dbn"
    path.write_bytes(dbn_bytes(BOOK, {}))
    with pytest.raises(SettingRefused, match=r"expected the symbol of .*mbo.dbn"):
        import_databento(tmp_path / "data", path)
    two = [*BOOK, record("A", "B", 9, 1, 1, instrument_id=9)]
    path.write_bytes(dbn_bytes(two, {"ESH1": 5482, "ESM1": 9}))
    with pytest.raises(BadFile, match="expected one instrument, found ESH1, ESM1"):
        import_databento(tmp_path / "data", path)
    with pytest.raises(BadFile, match="expected ESZ1, found ESH1, ESM1"):
        import_databento(tmp_path / "data", path, symbol="ESZ1")
    assert import_databento(tmp_path / "data", path, symbol="ESM1").kinds["open"] == 1


def test_the_real_lobster_file_imports_verifies_and_repeats(tmp_path: Path, shared: Path) -> None:
    folder = shared / "data" / "lobster_aapl_2012"
    given = (
        folder / "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
        folder / "AAPL_2012-06-21_first999_orderbook_10.csv",
    )
    summary = import_lobster(tmp_path, "nasdaq", "AAPL", *given)
    assert (summary.events, summary.faults) == (94897, {})
    report = verify(tmp_path, "nasdaq", "AAPL").as_dict()
    assert (report["equal"], report["eras"], report["gaps"]) == (True, 1, 0)
    book = OrderBook()
    for events in read_lobster(*given):
        book.apply(events)
    assert rebuild(tmp_path, "nasdaq", "AAPL").digest() == book.digest()
    assert import_lobster(tmp_path, "nasdaq", "AAPL", *given).repeated
    size = sum(Path(path).stat().st_size for path in summary.files)
    assert size / summary.events <= 12.5


@pytest.mark.parametrize(
    "records",
    [
        [record("A", "B", 1, 100, 5), record("A", "A", 2, 101, 5)],
        [record("R", flags=0), record("A", "B", 1, 100, 5), record("A", "A", 2, 101, 5)],
        [record("C", "A", 9, 101, 1), record("M", "A", 8, 102, 2)],
    ],
    ids=["adds", "a clear and adds", "the middle"],
)
def test_a_file_without_a_snapshot_is_a_sound_tape(tmp_path: Path, records: list[Any]) -> None:
    path = tmp_path / "mbo.dbn"
    path.write_bytes(dbn_bytes(records))
    import_databento(tmp_path / "data", path)
    report = verify(tmp_path / "data", "glbx", "ESH1")
    assert report.equal
    assert report.marks_equal == report.marks > 0
