"""The book at any moment equals a naive replay; what differs is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape import EventBatch, OrderBook
from ordertape.errors import SettingRefused, UnknownMarket
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import digest_mark
from ordertape.tape.reader import TapeReader, read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.tape.seal import seal
from ordertape.tape.segment import segments
from ordertape.tape.verify import verify
from ordertape.times import iso_from_ns
from support.tape import START, Market, naive_book, rows_of, write_journal

SMALL = {"file_rows_max": 150, "row_group_rows": 60}


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path, "demo", "X/Y")


def recorded(folder: MarketFolder, codec: str, messages: int = 300) -> list[EventBatch]:
    """A tape whose first half is archived, with a snapshot and a digest now and then."""
    market = Market(codec)
    batches = []
    archiver = Archiver(folder, **SMALL)
    with JournalWriter(folder, book=market.book, segment_bytes=16384) as writer:
        for nth, batch in enumerate(market.messages(messages, clear_every=messages // 3)):
            writer.append(batch)
            batches.append(batch)
            if nth % 29 == 0:
                writer.snapshot(market.book)
            if nth % 17 == 0:
                writer.mark(digest_mark(market.book, nth))
            if nth == messages // 2:
                archiver.step()
    return batches


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_the_book_at_every_moment_is_that_of_a_naive_replay(
    folder: MarketFolder, codec: str
) -> None:
    batches = recorded(folder, codec)
    everything = EventBatch.concat(batches)
    times = sorted(set(np.asarray(everything.column("ts_recv")).tolist()))
    for at in [*times[::7], times[-1]]:
        for moment in (at - 1, at):
            if moment < times[0]:
                continue
            book, naive = rebuild(folder.data, "demo", "X/Y", moment), naive_book(batches, moment)
            assert (book.seq, book.ts_recv, book.era) == (naive.seq, naive.ts_recv, naive.era)
            assert book.digest() == naive.digest()
            assert book.orders(0) == naive.orders(0)
            book.check()
    assert rebuild(folder.data, "demo", "X/Y").digest() == naive_book(batches).digest()


def test_a_moment_is_given_as_text_datetime_or_nanoseconds(folder: MarketFolder) -> None:
    batches = recorded(folder, "int", 30)
    at = batches[20].last_ts_recv
    expected = naive_book(batches, at).digest()
    assert rebuild(folder.data, "demo", "X/Y", at).digest() == expected
    assert rebuild(str(folder.data), "demo", "X/Y", iso_from_ns(at)).digest() == expected
    with pytest.raises(SettingRefused):
        rebuild(folder.data, "demo", "X/Y", "noon")


def test_before_the_first_event_there_is_no_book(folder: MarketFolder) -> None:
    with pytest.raises(UnknownMarket, match="no tape of demo X/Y"):
        rebuild(folder.data, "demo", "X/Y")
    with JournalWriter(folder) as writer:
        with pytest.raises(UnknownMarket, match="nothing was recorded yet"):
            rebuild(folder.data, "demo", "X/Y")
        writer.append(Market().message(clear=True))
    moment = iso_from_ns(START - 1)
    with pytest.raises(UnknownMarket, match=f"nothing was recorded by {moment}"):
        rebuild(folder.data, "demo", "X/Y", START - 1)


def test_a_message_that_is_half_told_is_not_in_the_book(folder: MarketFolder) -> None:
    batches = list(Market().messages(30))
    longest = max(range(10, 30), key=lambda nth: len(batches[nth]))
    assert len(batches[longest]) > 1
    with JournalWriter(folder) as writer:
        for batch in [*batches[:longest], batches[longest][:-1]]:
            writer.append(batch)
        book = rebuild(folder.data, "demo", "X/Y")
        assert book.digest() == naive_book(batches[:longest]).digest()
        assert book.seq == batches[longest - 1].last_seq


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_an_interval_holds_its_start_and_not_its_end(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = MarketFolder(tmp_path_factory.mktemp("interval"), "demo", "X/Y")
    batches = recorded(folder, "int", 40)
    rows = rows_of(batches)
    moments = st.sampled_from([row["ts_recv"] + step for row in rows for step in (-1, 0, 1)])
    start, end = data.draw(st.none() | moments), data.draw(st.none() | moments)
    found = rows_of(read_tape(folder.data, "demo", "X/Y", start, end))
    assert found == [
        row
        for row in rows
        if (start is None or row["ts_recv"] >= start) and (end is None or row["ts_recv"] < end)
    ]


# Verify -------------------------------------------------------------------------------------------


def test_a_true_tape_verifies_and_says_what_was_compared(folder: MarketFolder) -> None:
    batches = recorded(folder, "uuid")
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    assert report.marks == report.marks_equal > 300 // 17 + 300 // 29
    assert report.events == sum(sum(batch.counts()) for batch in batches) == report.last_seq
    assert report.eras == 3
    assert report.as_dict()["first_difference"] is None
    assert "3 eras, 0 gaps" in str(report)


def tampered(path: Path, column: str, row: int) -> None:
    """Moves one value of a file by one unit; everything else stays as it was."""
    with pq.ParquetFile(path) as file:
        table = file.read()
        metadata = file.metadata.metadata[b"ordertape"].decode()
    values = table.column(column).to_pylist()
    values[row] = values[row] + type(values[row])(1)
    index = table.schema.get_field_index(column)
    changed = table.set_column(
        index, table.schema.field(index), pa.array(values, table.schema.field(index).type)
    )
    with pq.ParquetWriter(path, changed.schema, store_decimal_as_integer=True) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata({"ordertape": metadata})
    seal(path)  # whoever tampers on purpose would do that, too


@pytest.mark.parametrize("column", ["price", "size", "order_id", "ts_event", "reason"])
def test_any_tampered_value_is_found(folder: MarketFolder, column: str) -> None:
    recorded(folder, "int")
    file = list_files(folder.archive)[0]
    with pq.ParquetFile(file.path) as parquet:
        kinds = parquet.read(["kind"]).column(0).to_pylist()
    for row in (nth for nth in range(20, len(kinds), 11) if kinds[nth] == 1):
        content = file.path.read_bytes()
        tampered(file.path, column, row)
        report = verify(folder.data, "demo", "X/Y")
        assert report.marks_equal < report.marks
        assert report.difference is not None
        assert file.path.name in str(report)
        assert report.as_dict()["first_difference"].startswith(report.difference.what)
        file.path.write_bytes(content)
    assert verify(folder.data, "demo", "X/Y").equal


def test_a_tampered_base_is_found(folder: MarketFolder) -> None:
    recorded(folder, "int")
    base = list_bases(folder.archive)[-1]
    tampered(base.path, "size", 0)
    report = verify(folder.data, "demo", "X/Y")
    assert report.difference is not None
    assert report.difference.seq == base.seq
    assert report.difference.what == "a whole book"


def test_a_missing_base_of_a_clear_is_a_difference_and_no_traceback(folder: MarketFolder) -> None:
    recorded(folder, "int")
    base = next(base for base in list_bases(folder.archive) if base.info.after_clear)
    base.path.unlink()
    report = verify(folder.data, "demo", "X/Y")
    assert report.difference is not None
    assert f"expected a base for the CLEAR {base.seq}" in report.difference.found


def test_a_missing_file_is_a_gap_and_the_rest_is_still_proven(folder: MarketFolder) -> None:
    batches = recorded(folder, "int", 600)
    files = list_files(folder.archive)
    assert len(files) > 2
    files[1].path.unlink()
    rows = rows_of(TapeReader(folder.data, "demo", "X/Y").batches())
    assert [row["seq"] for row in rows] == [
        row["seq"]
        for row in rows_of(batches)
        if not files[1].first_seq <= row["seq"] <= files[1].last_seq
    ]
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    assert report.missing_events == files[1].last_seq - files[1].first_seq + 1
    assert rebuild(folder.data, "demo", "X/Y").digest() == naive_book(batches).digest()


def test_faults_of_the_events_are_counted(folder: MarketFolder) -> None:
    market = Market()
    batches = list(market.messages(20))
    done = next(row for row in rows_of(batches) if row["kind"] == 4)
    again = EventBatch.from_arrays(
        kind=[4],
        side=[done["side"]],
        order_id=[done["order_id"]],
        price=[int(done["price"] * 100)],
        size=[1],
        seq=[market.next_seq],
        ts_recv=[market.now],
        price_scale=2,
        size_scale=8,
        codec="int",
    )
    write_journal(folder, [*batches, again])
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    book = OrderBook()
    expected = sum(book.apply(batch).faults for batch in [*batches, again])
    assert report.faults == expected >= 1


def test_the_newest_snapshot_spares_the_way_there(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder) as writer:
        for batch in market.messages(50):
            writer.append(batch)
        writer.snapshot(market.book)
    (segment,) = segments(folder.journal)
    content = bytearray(segment.path.read_bytes())
    content[400] ^= 1  # an event that nobody needs any more
    segment.path.write_bytes(content)
    assert rebuild(folder.data, "demo", "X/Y").digest() == market.book.digest()
