"""The archive: the same rows as the journal, real numbers for everybody, nothing half done."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape import EventBatch, OrderBook
from ordertape._engine import BatchBuilder
from ordertape.errors import MarketBusy, TapeError
from ordertape.events import EventKind, Flag
from ordertape.roles.logs import configure_logs
from ordertape.tape.archive import Archiver, importing
from ordertape.tape.archive_files import ArchiveFile, commit_files, finish_commit, list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader, read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import segments
from ordertape.tape.verify import verify
from support.tape import START, Market, naive_book, rows_of, write_journal

SMALL = {"file_rows_max": 100, "row_group_rows": 40}
"""So that a few hundred events fill several files of several row groups."""
DAY = 86_400 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path, "demo", "X/Y")


def reader(folder: MarketFolder, from_seq: int = 1) -> TapeReader:
    return TapeReader(folder.data, folder.exchange, folder.symbol, from_seq)


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_the_archive_holds_what_the_journal_held(folder: MarketFolder, codec: str) -> None:
    market = Market(codec)
    with JournalWriter(folder, book=market.book, segment_bytes=16384) as writer:
        for nth, batch in enumerate(market.messages(300, clear_every=90)):
            writer.append(batch)
            if nth % 10 == 0:
                writer.snapshot(market.book)
    before, marks = rows_of(reader(folder).batches()), list(reader(folder).marks())
    journal = verify(folder.data, "demo", "X/Y")
    assert Archiver(folder, **SMALL).finish() == market.next_seq - 1
    assert len(list_files(folder.archive)) > 3
    assert len(segments(folder.journal)) == 1
    shutil.rmtree(folder.journal)
    assert rows_of(reader(folder).batches()) == before
    assert list(reader(folder).marks()) == marks
    archive = verify(folder.data, "demo", "X/Y")
    assert archive.equal
    assert archive.faults == journal.faults
    assert (archive.eras, archive.events, archive.gaps) == (
        journal.eras,
        journal.events,
        journal.gaps,
    )
    assert rebuild(folder.data, "demo", "X/Y").digest() == market.book.digest()


def test_there_is_no_seam_wherever_the_archive_ends(folder: MarketFolder) -> None:
    market = Market("intern")
    archiver = Archiver(folder, **SMALL)
    batches: list[EventBatch] = []
    marks: list[Mark] = []
    with JournalWriter(folder, book=market.book, segment_bytes=8192) as writer:
        for nth, batch in enumerate(market.messages(400, clear_every=120)):
            writer.append(batch)
            batches.append(batch)
            marks.append(Mark("state", writer.written_seq, nth, {"from": "LIVE", "to": "STALE"}))
            writer.mark(marks[-1])
            if nth % 7 == 0:
                archiver.step()
            if nth % 50 == 0:
                archived = list_files(folder.archive)
                assert rows_of(reader(folder).batches()) == rows_of(batches)
                found = [mark for mark in reader(folder).marks() if mark.kind == "state"]
                assert found == marks
                book = rebuild(folder.data, "demo", "X/Y")
                assert book.digest() == market.book.digest()
                if archived:
                    middle = archived[-1].last_seq - 3
                    assert rows_of(reader(folder, middle).batches()) == [
                        row for row in rows_of(batches) if row["seq"] >= middle
                    ]
    assert list_files(folder.archive)[-1].last_seq > market.next_seq // 2
    assert len(segments(folder.journal)) < 8


def test_items_stand_in_the_same_order_in_journal_and_archive(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder, segment_bytes=16384) as writer:
        for nth, batch in enumerate(market.messages(150, clear_every=40)):
            writer.mark(Mark("integrity", writer.written_seq, nth, {}))
            writer.append(batch)
            writer.mark(Mark("integrity", writer.written_seq, 1000 + nth, {}))

    def flat() -> list[object]:
        found: list[object] = []
        for item in reader(folder).items():
            found += rows_of([item]) if isinstance(item, EventBatch) else [item]
        return found

    before = flat()
    Archiver(folder, **SMALL).finish()
    assert flat() == before
    shutil.rmtree(folder.journal)
    # Marks behind the last event wait in the journal for the next file.
    assert flat() == before[: len(flat())]
    assert len(flat()) >= len(before) - 1


def test_a_file_closes_at_the_end_of_the_day(folder: MarketFolder) -> None:
    market = Market()
    market.now = (START // DAY + 1) * DAY - 5
    batches = list(market.messages(10, step_ns=1))
    write_journal(folder, batches)
    Archiver(folder).finish()
    first, second = list_files(folder.archive)
    days = [(f.info.first_ts_recv // DAY, f.info.last_ts_recv // DAY) for f in (first, second)]
    assert days == [(START // DAY, START // DAY), (START // DAY + 1, START // DAY + 1)]
    assert rows_of(reader(folder).batches()) == rows_of(batches)


def test_files_and_row_groups_end_with_a_complete_message(folder: MarketFolder) -> None:
    batches = list(Market().messages(300, clear_every=100))
    write_journal(folder, [EventBatch.concat(batches)])
    Archiver(folder, **SMALL).finish()
    for file in list_files(folder.archive):
        assert naive_book(batches).seq >= file.last_seq
        with pq.ParquetFile(file.path) as parquet:
            for group in range(parquet.num_row_groups):
                flags = parquet.read_row_group(group, ["flags"]).column(0).to_numpy()
                kinds = parquet.read_row_group(group, ["kind"]).column(0).to_numpy()
                # Behind a CLEAR its book, which has the flag, stands in a base.
                assert flags[-1] & Flag.LAST or kinds[-1] == EventKind.CLEAR


def test_a_base_stands_behind_every_clear_file_and_hour(folder: MarketFolder) -> None:
    market = Market()
    batches = list(market.messages(100, clear_every=50, step_ns=300 * 10**9))
    write_journal(folder, batches)
    Archiver(folder).finish()
    bases = list_bases(folder.archive)
    clears = [row["seq"] for row in rows_of(batches) if row["kind"] == EventKind.CLEAR]
    assert [base.seq for base in bases if base.info.after_clear] == clears
    assert list_files(folder.archive)[-1].last_seq == bases[-1].seq
    times = [base.info.ts_recv for base in bases]
    assert max(np.diff(times)) <= 3600 * 10**9 + 300 * 10**9
    for base in bases:
        book = rebuild(folder.data, "demo", "X/Y", base.info.ts_recv)
        assert book.digest() == base.info.digest
        assert book.era == base.info.era


def test_polars_and_duckdb_read_exact_numbers(folder: MarketFolder) -> None:
    builder = BatchBuilder("int")
    prices = ["41643.95858045", "0.00000001", "9999999999.99999999"]
    for nth, price in enumerate(prices):
        builder.add(EventKind.OPEN, 0, str(2**64 - 5 + nth), price, "1e-8", START)
    builder.add(EventKind.CLEAR, None, None, None, None, START)
    write_journal(folder, [builder.finish(1)])
    Archiver(folder).finish()
    path = str(list_files(folder.archive)[0].path)
    expected = [Decimal(price) for price in prices]
    table = pl.read_parquet(path)
    assert table["price"].to_list() == [*expected, None]
    assert table["size"].to_list() == [Decimal("0.00000001")] * 3 + [None]
    assert table["order_id"].to_list() == [2**64 - 5, 2**64 - 4, 2**64 - 3, None]
    assert table.schema["price"] == pl.Decimal(18, 8)
    found = duckdb.sql(f"SELECT price, sum(size) OVER (), order_id FROM '{path}' WHERE kind = 1")
    assert found.fetchall() == [
        (price, Decimal("0.00000003"), 2**64 - 5 + nth) for nth, price in enumerate(expected)
    ]


def test_numbers_of_nineteen_digits_and_ids_of_a_dictionary_find_a_file(
    folder: MarketFolder,
) -> None:
    builder = BatchBuilder("int", 0, 0)
    batches = []
    for nth, (order, size) in enumerate(
        [("1", "5"), ("2", "9223372036854775807"), ("007", "6"), ("3", "7")]
    ):
        builder.add(EventKind.OPEN, 1, order, "10", size, START)
        batches.append(builder.finish(nth + 1))
    write_journal(folder, batches)
    Archiver(folder, row_group_rows=1).finish()
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    shutil.rmtree(folder.journal)
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    sizes = [size for f in list_files(folder.archive) for size in pl.read_parquet(f.path)["size"]]
    assert sizes == [5, 9223372036854775807, 6, 7]


def test_uuids_are_uuids_to_duckdb(folder: MarketFolder) -> None:
    market = Market("uuid")
    batches = list(market.messages(20))
    write_journal(folder, batches)
    Archiver(folder).finish()
    path = list_files(folder.archive)[0].path
    found = duckdb.sql(f"SELECT CAST(order_id AS VARCHAR) FROM '{path}' ORDER BY seq").fetchall()
    assert [row[0] for row in found] == [row["order_id"] for row in rows_of(batches)]


def test_a_new_scale_begins_a_new_file_and_nothing_is_rounded(folder: MarketFolder) -> None:
    batches = []
    for nth, price in enumerate(["1", "2.5", "3.125", "4", "5.0625"]):
        builder = BatchBuilder("int")
        builder.add(EventKind.OPEN, 0, str(nth), price, "1", START + nth)
        batches.append(builder.finish(nth + 1))
    write_journal(folder, batches)
    Archiver(folder).finish()
    scales = [file.info.price_scale for file in list_files(folder.archive)]
    assert scales == [0, 1, 3, 4]
    shutil.rmtree(folder.journal)
    found = rows_of(reader(folder).batches())
    assert [row["price"] for row in found] == [row["price"] for row in rows_of(batches)]
    assert verify(folder.data, "demo", "X/Y").equal
    assert rebuild(folder.data, "demo", "X/Y").digest() == naive_book(batches).digest()


def test_a_half_told_message_waits_for_its_end(folder: MarketFolder) -> None:
    batch = EventBatch.concat(list(Market().messages(40)))
    flags = np.asarray(batch.column("flags"))
    inside = next(n for n in range(20, len(batch)) if not flags[n - 1] & Flag.LAST)
    complete = batch[:inside].last_complete()
    with JournalWriter(folder) as writer:
        writer.append(batch[:inside])
        archiver = Archiver(folder)
        archiver.finish()
        assert list_files(folder.archive)[-1].last_seq == complete
        assert rows_of(reader(folder).batches()) == rows_of([batch[:inside]])
        writer.append(batch[inside:])
        archiver.finish()
    assert rows_of(reader(folder).batches()) == rows_of([batch])
    assert list_files(folder.archive)[-1].last_seq == batch.last_seq


def test_an_archiver_that_died_is_taken_over(folder: MarketFolder) -> None:
    market = Market("intern")
    batches = list(market.messages(200, clear_every=60))
    write_journal(folder, batches, segment_bytes=8192)
    first = Archiver(folder, **SMALL)
    first.step()
    closed = list_files(folder.archive)[-1].last_seq
    assert any(path.suffix == ".tmp" for path in folder.archive.iterdir())
    second = Archiver(folder, **SMALL)
    second.finish()
    assert not any(path.suffix == ".tmp" for path in folder.archive.iterdir())
    # The first lives on after all, and notices.
    assert first.step() == first.finish() == 0
    assert closed < list_files(folder.archive)[-1].last_seq == market.next_seq - 1
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").equal


def test_a_step_takes_so_much_at_most_and_the_next_goes_on(
    folder: MarketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = list(Market().messages(300, clear_every=90))
    write_journal(folder, batches, segment_bytes=8192)
    largest = max(sum(batch.counts()) for batch in batches)
    monkeypatch.setattr("ordertape.limits.archive_step_events", 20)
    monkeypatch.setattr("ordertape.limits.journal_run_rows", 1)
    with closing(Archiver(folder, **SMALL)) as archiver:
        steps = [archiver.step()]
        assert archiver.behind
        while archiver.behind:
            steps.append(archiver.step())
        assert max(steps) < 20 + largest
        assert sum(steps) == batches[-1].last_seq
        assert archiver.finish() == 0
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").equal


def test_damage_in_the_journal_is_a_gap_of_the_archive(folder: MarketFolder) -> None:
    market = Market()
    batches = []
    with JournalWriter(folder, sync_ms_max=60_000) as writer:
        for nth in range(9):
            batches.append(market.message(clear=nth in (0, 6), step_ns=10))
            writer.append(batches[-1])
            writer.sync()
    (segment,) = segments(folder.journal)
    content = bytearray(segment.path.read_bytes())
    at = content.find(b"OTF1", content.find(b"OTF1", content.find(b"OTF1", 8) + 8) + 8)
    content[at + 80] ^= 1  # the third batch
    segment.path.write_bytes(content)
    found = rows_of(reader(folder).batches())
    assert found == rows_of([*batches[:2], *batches[3:]])
    marks = list(reader(folder).marks())
    before = verify(folder.data, "demo", "X/Y")
    Archiver(folder).finish()
    shutil.rmtree(folder.journal)
    assert rows_of(reader(folder).batches()) == found
    assert list(reader(folder).marks()) == marks
    after = verify(folder.data, "demo", "X/Y")
    assert (after.equal, after.gaps, after.missing_events) == (True, 1, before.missing_events)
    at_ns = batches[4].last_ts_recv
    held = rebuild(folder.data, "demo", "X/Y", at_ns)
    assert held.digest() == naive_book(batches[:2]).digest()


def test_collecting_goes_on_where_only_an_archive_is_left(folder: MarketFolder) -> None:
    market = Market("intern")
    first = list(market.messages(30, clear_every=10))
    write_journal(folder, first)
    Archiver(folder).finish()
    shutil.rmtree(folder.journal)
    with JournalWriter(folder) as writer:
        assert writer.recovered.last_seq == market.next_seq - 1
        assert writer.recovered.era == 3
        assert writer.recovered.codec.terms == market.codec.terms
        second = list(market.messages(30, clear_every=10))
        for batch in second:
            writer.append(batch)
    assert rows_of(reader(folder).batches()) == rows_of([*first, *second])
    assert verify(folder.data, "demo", "X/Y").eras == 6


# Imports ------------------------------------------------------------------------------------------


def test_an_import_is_whole_or_not_there(folder: MarketFolder) -> None:
    batches = list(Market().messages(200, clear_every=50))

    def broken() -> None:
        with importing(folder, **SMALL) as writer:
            for batch in [*batches[:150], batches[0]]:
                writer.append(batch)

    with pytest.raises(TapeError, match="expected"):
        broken()
    assert list(folder.archive.iterdir()) == []
    assert not folder.exists
    with importing(folder, **SMALL) as writer:
        for batch in batches:
            writer.append(batch)
        assert list_files(folder.archive) == []
        writer.mark(Mark("source", writer.last_seq, 1, {"digest": "d", "name": "n", "rows": 1}))
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert [mark.kind for mark in reader(folder).marks()] == ["source"]
    assert verify(folder.data, "demo", "X/Y").equal


def test_an_import_behind_a_journal_and_a_journal_behind_an_import(folder: MarketFolder) -> None:
    market = Market()
    parts = [list(market.messages(40, clear_every=20)) for _ in range(4)]
    for nth, part in enumerate(parts):
        if nth % 2:
            with importing(folder, **SMALL) as writer:
                for batch in part:
                    writer.append(batch)
        else:
            write_journal(folder, part)
    expected = rows_of([batch for part in parts for batch in part])
    assert rows_of(reader(folder).batches()) == expected
    assert verify(folder.data, "demo", "X/Y").eras == 8


def test_nothing_is_imported_into_a_market_that_is_being_collected(folder: MarketFolder) -> None:
    with JournalWriter(folder), pytest.raises(MarketBusy), importing(folder):
        pass


def test_renames_that_a_crash_interrupted_are_done_later(tmp_path: Path) -> None:
    moves = []
    for nth in range(3):
        source = tmp_path / f"part-{nth}.parquet.tmp"
        source.write_text(str(nth))
        moves.append((source, tmp_path / f"part-{nth}.parquet"))
    (tmp_path / "left.tmp").write_text("nobody's")
    commit_files(tmp_path, moves)
    # As a crash behind the first rename leaves it.
    moves[1][1].rename(moves[1][0])
    moves[2][1].rename(moves[2][0])
    plan = [[source.name, target.name] for source, target in moves]
    (tmp_path / "commit.json").write_text(str(plan).replace("'", '"'))
    finish_commit(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [t.name for _, t in moves]


def test_what_is_no_file_in_an_archive_is_left_alone_and_told(
    folder: MarketFolder, tmp_path: Path
) -> None:
    configure_logs(tmp_path / "logs", console=False)
    strangers = [
        folder.archive / "mine.tmp",
        folder.archive / "commit.json.tmp" / "deeper",
        folder.archive / "events-00000000000000000001.parquet.tmp",
        folder.archive / "base-00000000000000000001.parquet.tmp",
        folder.archive / ArchiveFile.name(5, 9),
        folder.archive / "base-00000000000000000007.parquet",
    ]
    for stranger in strangers:
        stranger.mkdir(parents=True)
    (folder.archive / "left.tmp").write_text("of a crash")
    assert not folder.exists
    market = Market()
    write_journal(folder, market.messages(50, clear_every=50))
    with closing(Archiver(folder, **SMALL)) as archiver:
        assert archiver.finish() == market.book.seq
    assert rebuild(folder.data, "demo", "X/Y").digest() == market.book.digest()
    assert verify(folder.data, "demo", "X/Y").equal
    assert all(stranger.is_dir() for stranger in strangers)
    assert not (folder.archive / "left.tmp").exists()
    log = (tmp_path / "logs" / "app.log").read_text()
    assert f"path={strangers[0]}" in log
    assert "L3_archive_foreign" in log


def test_a_disk_that_is_full_is_one_sentence(folder: MarketFolder) -> None:
    market = Market()
    write_journal(folder, list(market.messages(20)))
    folder.archive.mkdir(parents=True)
    (folder.archive / ArchiveFile.name(1, market.book.seq)).mkdir()
    with pytest.raises(TapeError, match="demo X/Y: can't write the archive"):
        Archiver(folder).finish()


# Beside a writer ----------------------------------------------------------------------------------


def test_readers_follow_while_the_archive_takes_segments_away(folder: MarketFolder) -> None:
    market = Market("intern")
    total = 1500
    done = threading.Event()
    archiver = Archiver(folder, **SMALL)

    def archive() -> None:
        while not done.wait(0.001):
            archiver.step()

    with JournalWriter(folder, book=market.book, segment_bytes=8192) as writer:
        writer.append(market.message(clear=True))
        follower = reader(folder).follow(done)
        worker = threading.Thread(target=archive)
        worker.start()
        book = OrderBook()
        expected, marks = 1, 0
        try:
            for nth in range(total):
                writer.append(market.message(clear=nth % 200 == 199))
                writer.mark(Mark("integrity", writer.written_seq, nth, {}))
                for item in follower:
                    if isinstance(item, EventBatch):
                        assert item.first_seq == expected
                        assert book.apply(item).faults == 0
                        expected = item.last_seq + 1
                    elif item.kind == "integrity":
                        assert item.ts == marks
                        marks += 1
                        if marks == nth + 1:
                            break
        finally:
            done.set()
            worker.join()
    assert book.digest() == market.book.digest()
    assert marks == total
    assert segments(folder.journal)[0].number > 3


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    codec=st.sampled_from(["int", "uuid", "intern"]),
    file_rows=st.integers(1, 60),
    group_rows=st.integers(1, 40),
    clear_every=st.integers(0, 12),
    steps=st.lists(st.integers(1, 30), min_size=1, max_size=6),
)
def test_whatever_the_cuts_the_rows_are_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    codec: str,
    file_rows: int,
    group_rows: int,
    clear_every: int,
    steps: list[int],
) -> None:
    folder = MarketFolder(tmp_path_factory.mktemp("cuts"), "demo", "X/Y")
    market = Market(codec, seed)
    archiver = Archiver(folder, file_rows_max=file_rows, row_group_rows=group_rows)
    batches: list[EventBatch] = []
    with JournalWriter(folder, book=market.book, segment_bytes=8192) as writer:
        for step in steps:
            for batch in market.messages(step, clear_every=clear_every):
                writer.append(batch)
                batches.append(batch)
            archiver.step()
    archiver.finish()
    shutil.rmtree(folder.journal)
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    middle = batches[len(batches) // 2].last_ts_recv
    book = rebuild(folder.data, "demo", "X/Y", middle)
    assert book.digest() == naive_book(batches, middle).digest()
    interval = rows_of(read_tape(folder.data, "demo", "X/Y", START, middle))
    assert interval == [row for row in rows_of(batches) if row["ts_recv"] < middle]
    assert os.listdir(folder.archive) == [p.name for p in folder.archive.iterdir()]
