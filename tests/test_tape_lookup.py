"""Any stretch of a tape by seq or time, beside its writer and across archive and journal."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from ordertape import EventBatch
from ordertape.events import Flag
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.segment import SegmentReader
from support.tape import Market, rows_of, write_journal


def events_of(batches: list[EventBatch]) -> list[dict[str, Any]]:
    return [row for row in rows_of(batches) if not row["flags"] & Flag.SNAPSHOT]


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_what_is_looked_up_is_what_was_written(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.lookup_index_bytes", 4_096)
    folder, market = MarketFolder(tmp_path, "x", "A/B"), Market(codec)
    lookup, chance = TapeLookup(folder), random.Random(5)
    batches: list[EventBatch] = []
    with JournalWriter(folder, segment_bytes=2**18) as journal:
        for part in range(3):
            for message in market.messages(600, clear_every=170):
                journal.append(message)
                batches.append(message)
            journal.sync()
            rows = events_of(batches)
            assert (lookup.first_seq(), lookup.last_seq()) == (1, len(rows))
            for _ in range(40):
                first = chance.randint(1, len(rows))
                last = first + chance.choice((0, 1, 30, 900))
                assert rows_of(lookup.events(first, last)) == rows[first - 1 : last]
                ts = chance.choice(rows)["ts_recv"] + chance.choice((-1, 0, 1))
                expected = next((r["seq"] for r in rows if r["ts_recv"] >= ts), len(rows) + 1)
                assert lookup.seq_from(ts) == expected
            if part == 0:
                Archiver(folder).finish()
    assert lookup.last_ts() == rows[-1]["ts_recv"]


def test_an_empty_tape_has_no_events(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "x", "A/B")
    with JournalWriter(folder):
        lookup = TapeLookup(folder)
        assert (lookup.last_seq(), lookup.last_ts(), lookup.seq_from(5)) == (0, None, 1)
        assert lookup.events(1, 10) == []


def test_ids_of_a_dictionary_are_found_without_reading_the_journal_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.lookup_index_bytes", 4_096)
    folder, market = MarketFolder(tmp_path, "x", "A/B"), Market("intern")
    write_journal(folder, market.messages(800, clear_every=300))
    lookup = TapeLookup(folder)
    last = lookup.last_seq()
    read: list[int] = []
    frame = SegmentReader.frame

    def counted(reader: SegmentReader, offset: int, *codecs: Any) -> Any:
        read.append(offset)
        return frame(reader, offset, *codecs)

    monkeypatch.setattr(SegmentReader, "frame", counted)
    (row,) = rows_of(lookup.events(last, last))
    assert row["seq"] == last
    assert len(read) < 60
    assert min(offset for offset in read if offset) > 100_000


def test_ids_that_took_the_place_of_others_after_a_crash_are_the_right_ones(
    tmp_path: Path,
) -> None:
    folder, before = MarketFolder(tmp_path, "x", "A/B"), Market("intern", seed=1)
    write_journal(folder, before.messages(200))
    lookup = TapeLookup(folder)
    assert rows_of(lookup.events(1, 10**6))
    for path in folder.journal.glob("segment-*"):
        path.unlink()
    after = Market("intern", seed=2)
    after.ids = 5_000
    batches = list(after.messages(300))
    write_journal(folder, batches)
    for path in folder.journal.glob("segment-*"):
        path.rename(path.with_name(path.name.replace("segment-00000001", "segment-00000002")))
    assert rows_of(lookup.events(1, 10**6)) == events_of(batches)
