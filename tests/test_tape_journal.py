"""The journal: what is written is read, from wherever and whoever writes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ordertape import EventBatch
from ordertape.errors import MarketBusy, TapeError
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import segments
from ordertape.tape.verify import verify
from support.tape import Market, arrays_of, naive_book, rows_of, write_journal

SMALL = 16 * 1024
"""Bytes of a segment: so that a few hundred messages fill several."""


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path, "demo", "X/Y")


def reader(folder: MarketFolder, from_seq: int = 1) -> TapeReader:
    return TapeReader(folder.data, folder.exchange, folder.symbol, from_seq)


@pytest.mark.parametrize("codec", ["int", "uuid", "intern", "auto"])
def test_every_row_comes_back_as_it_was(folder: MarketFolder, codec: str) -> None:
    market = Market(codec)
    batches = list(market.messages(300, clear_every=120))
    write_journal(folder, batches, segment_bytes=SMALL)
    assert len(segments(folder.journal)) > 3
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").events == market.next_seq - 1


def test_reading_can_begin_at_every_event(folder: MarketFolder) -> None:
    batches = list(Market().messages(60, clear_every=25))
    write_journal(folder, batches, segment_bytes=4096)
    everything = rows_of(batches)
    for seq in range(1, batches[-1].last_seq + 2):
        found = rows_of(reader(folder, seq).batches())
        assert found == [row for row in everything if row["seq"] >= seq]


def test_writing_goes_on_after_a_clean_end(folder: MarketFolder) -> None:
    market = Market("intern")
    batches = []
    for _ in range(5):
        with JournalWriter(folder, segment_bytes=SMALL) as writer:
            assert writer.written_seq == writer.recovered.last_seq == market.next_seq - 1
            assert writer.recovered.last_ts_recv == (market.now if batches else 0)
            assert writer.recovered.cut_bytes == 0
            market.continue_with(writer.recovered.codec, writer.recovered.codecs.trade)
            for batch in market.messages(20, clear_every=20):
                writer.append(batch)
                batches.append(batch)
    with JournalWriter(folder) as writer:
        assert writer.recovered.era == 5
        assert (writer.recovered.price_scale, writer.recovered.size_scale) == (2, 8)
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert verify(folder.data, "demo", "X/Y").eras == 5


def test_batches_that_bring_their_own_dictionary_are_written_in_the_markets_keys(
    folder: MarketFolder,
) -> None:
    one, other = Market("intern", 1), Market("intern", 2)
    first = list(one.messages(10, step_ns=0))
    second = list(other.messages(10, step_ns=0))
    with JournalWriter(folder) as writer:
        for batch in first:
            writer.append(batch)
        for batch in second:
            rows = arrays_of(batch)
            rows["seq"] = rows["seq"] + writer.written_seq - batch.first_seq + 1
            codecs = {"codec": other.codec, "trade_codec": other.trade_codec}
            writer.append(EventBatch.from_arrays(**rows, **codecs, price_scale=2, size_scale=8))
    ids = [row["order_id"] for row in rows_of(reader(folder).batches())]
    assert ids == [row["order_id"] for row in rows_of([*first, *second])]


def test_marks_stand_between_the_events_they_were_written_between(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder, segment_bytes=SMALL) as writer:
        expected: list[object] = []
        for nth, batch in enumerate(market.messages(100)):
            mark = Mark("state", writer.written_seq, nth, {"from": "LIVE", "to": "STALE"})
            writer.mark(mark)
            writer.append(batch)
            expected += [mark, *rows_of([batch])]
    found: list[object] = []
    for item in reader(folder).items():
        found += [item] if isinstance(item, Mark) else rows_of([item])
    assert found == expected
    assert list(reader(folder).marks()) == [item for item in expected if isinstance(item, Mark)]


def test_a_snapshot_begins_every_segment_and_is_proven(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder, book=market.book, segment_bytes=SMALL) as writer:
        for batch in market.messages(300):
            writer.append(batch)
        writer.snapshot(market.book)
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    assert report.marks >= 2 * len(segments(folder.journal)) - 1
    assert rebuild(folder.data, "demo", "X/Y").digest() == market.book.digest()


def test_a_rebuild_needs_nothing_before_the_snapshot_of_a_segment(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder, book=market.book, segment_bytes=SMALL) as writer:
        for batch in market.messages(300):
            writer.append(batch)
    there = segments(folder.journal)
    # Not what anybody does; but what a snapshot promises.
    for segment in there[1:-1]:
        segment.path.unlink()
    book = rebuild(folder.data, "demo", "X/Y")
    assert book.digest() == market.book.digest()
    (gap,) = (mark for mark in reader(folder).marks() if mark.kind == "gap")
    assert gap.fields["missing_from"] == there[1].first_seq
    assert gap.fields["missing_to"] == there[-1].first_seq - 1
    report = verify(folder.data, "demo", "X/Y")
    assert report.equal
    assert report.missing_events == there[-1].first_seq - there[1].first_seq


@pytest.mark.parametrize("wrong", ["hole", "again", "time"])
def test_what_does_not_follow_is_refused_and_changes_nothing(
    folder: MarketFolder, wrong: str
) -> None:
    first, second, third = Market().messages(3, step_ns=5)
    back = arrays_of(second) | {"ts_recv": [0] * len(second)}
    refused = {
        "hole": third,
        "again": first,
        "time": EventBatch.from_arrays(**back, price_scale=2, size_scale=8, codec="int"),
    }[wrong]
    with JournalWriter(folder) as writer:
        writer.append(first)
        with pytest.raises(TapeError, match="demo X/Y: expected"):
            writer.append(refused)
        writer.append(second)
        writer.append(third)
    assert rows_of(reader(folder).batches()) == rows_of([first, second, third])


def test_a_snapshot_of_another_moment_is_refused(folder: MarketFolder) -> None:
    market = Market()
    first, _ = market.messages(2)
    with JournalWriter(folder) as writer:
        writer.append(first)
        with pytest.raises(TapeError, match="expected the book after event"):
            writer.snapshot(market.book)


def test_a_market_has_one_writer(folder: MarketFolder) -> None:
    with JournalWriter(folder), pytest.raises(MarketBusy, match="is being written by process"):
        JournalWriter(folder)
    with JournalWriter(folder):
        pass


def test_a_closed_journal_says_so(folder: MarketFolder) -> None:
    writer = JournalWriter(folder)
    writer.close()
    writer.close()
    with pytest.raises(TapeError, match="the journal is closed"):
        writer.append(Market().message())


def test_everything_is_durable_after_sync(folder: MarketFolder) -> None:
    market = Market()
    with JournalWriter(folder, segment_bytes=SMALL, sync_ms_max=60_000) as writer:
        for batch in market.messages(200):
            writer.append(batch)
        assert writer.synced_seq < writer.written_seq
        writer.sync()
        assert writer.synced_seq == writer.written_seq == market.next_seq - 1


def test_a_sync_comes_by_itself(folder: MarketFolder) -> None:
    with JournalWriter(folder, sync_ms_max=20) as writer:
        batch = Market().message()
        writer.append(batch)
        done = threading.Event()
        deadline = 5.0
        while writer.synced_seq < batch.last_seq and deadline > 0:
            done.wait(0.005)
            deadline -= 0.005
        assert writer.synced_seq == batch.last_seq


def test_a_large_batch_becomes_several_frames(folder: MarketFolder) -> None:
    market = Market()
    batches = list(market.messages(400, clear_every=150))
    whole = EventBatch.concat(batches)
    with JournalWriter(folder, segment_bytes=SMALL) as writer:
        writer.append(whole)
        assert writer.written_seq == whole.last_seq
    assert rows_of(reader(folder).batches()) == rows_of(batches)
    assert rebuild(folder.data, "demo", "X/Y").digest() == naive_book(batches).digest()
