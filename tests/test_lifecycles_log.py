"""Lives out of a tape equal those made by hand, from the tape alone and with what is stored."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape import limits
from ordertape._engine import BatchBuilder
from ordertape.errors import MarketBusy, TapeCorrupt
from ordertape.events import EventKind, Reason, Side
from ordertape.lifecycles.files import folder_of, forget_before, forget_damaged, stored_lives
from ordertape.lifecycles.log import LivesLog, Wanted, read_lifecycles, store_next
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from support.recorded_lives import Unexplained, by_hand, write
from support.tape import START, Market
from support.tape_lives import rows_of_tables

NAMES = ("simulated", "A/B")


def told(log: LivesLog, after: int = 0, wanted: Wanted | None = None) -> list[dict[str, Any]]:
    return rows_of_tables(stretch.rows for stretch in log.stretches(after, wanted))


def archive(folder: MarketFolder, **options: Any) -> None:
    archiver = Archiver(folder, **options)
    archiver.finish()
    archiver.close()


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_every_order_of_a_tape_has_the_row_that_is_made_by_hand(codec: str, tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Unexplained(codec, seed=5, orders=25), 1_200)
    plain = by_hand(folder)
    assert {row["ending"] for row in plain.ended} == {1, 2, 3}
    assert any(row["inferred"] for row in plain.ended)
    assert any(row["flags"] & 1 for row in plain.ended)
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == plain.ended
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES, alive=True)) == plain.alive


@pytest.mark.parametrize("codec", ["int", "intern"])
def test_what_is_stored_file_by_file_is_what_the_tape_tells(codec: str, tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, *NAMES), Unexplained(codec, seed=6, orders=25)
    log = LivesLog(folder)
    write(folder, market, 250)
    for _ in range(2):
        plain = by_hand(folder)
        assert told(log) == plain.ended
        archive(folder, file_rows_max=200, row_group_rows=70)
        files = 0
        while store_next(folder) is not None:
            files += 1
            assert told(log) == plain.ended
            assert told(LivesLog(folder)) == plain.ended
            assert rows_of_tables([log.alive()]) == plain.alive
        assert files > 1
        assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == plain.ended
        stored = stored_lives(folder)
        by_file = (table for file in stored.files for table in file.tables())
        assert rows_of_tables(by_file) == plain.ended
        reader = TapeReader(tmp_path, *NAMES)
        market.continue_with(*[(b.codec, b.trade_codec) for b in reader.batches()][-1])
        with JournalWriter(folder) as writer:
            for batch in market.messages(150, clear_every=149):
                writer.append(batch)
    log.close()


def test_a_log_may_be_read_on_from_any_place(tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, *NAMES), Market(seed=7, orders=25)
    write(folder, market, 400)
    archive(folder, file_rows_max=200)
    while store_next(folder) is not None:
        pass
    with JournalWriter(folder) as writer:
        for batch in market.messages(200):
            writer.append(batch)
    plain, log = by_hand(folder), LivesLog(folder)
    last = plain.ended[-1]["told_seq"]
    for after in range(0, last + 2, 37):
        expected = [row for row in plain.ended if row["told_seq"] >= after]
        assert told(log, after) == expected


def test_what_is_not_kept_in_mind_is_read_from_the_tape_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "lives_rows_kept", 100)
    monkeypatch.setattr(limits, "lives_stride_events", 50)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Market(seed=8, orders=25), 400)
    plain, log = by_hand(folder), LivesLog(folder)
    assert len(plain.ended) > 200
    for after in (0, 1, plain.ended[50]["told_seq"], plain.ended[-20]["told_seq"]):
        expected = [row for row in plain.ended if row["told_seq"] >= after]
        assert told(log, after) == expected


def test_rows_are_chosen_by_time_id_size_and_reason(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Market(seed=9, orders=25), 400)
    archive(folder, file_rows_max=300)
    assert store_next(folder) is not None
    plain, log = by_hand(folder).ended, LivesLog(folder)
    middle, later = plain[len(plain) // 3]["ended"], plain[len(plain) // 2]["ended"]
    one = plain[17]["order_id"]
    for wanted, fits in (
        (Wanted(middle, later), lambda row: middle <= row["ended"] < later),
        (Wanted(order_id=one), lambda row: row["order_id"] == one),
        (Wanted(reason=Reason.FILLED), lambda row: row["reason"] == Reason.FILLED),
        (Wanted(min_size=Decimal("50.5")), lambda row: row["size_first"] >= Decimal("50.5")),
    ):
        expected = [row for row in plain if fits(row)]
        assert 0 < len(expected) < len(plain)
        assert told(log, wanted=wanted) == expected


def test_events_that_are_missing_end_what_was_alive(tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, *NAMES), Market(seed=10, orders=25)
    with JournalWriter(folder) as writer:
        for batch in market.messages(200, clear_every=200):
            writer.append(batch)
    archive(folder, file_rows_max=100)
    files = sorted(folder.archive.glob("events-*"))
    assert len(files) > 3
    files[1].unlink()
    with JournalWriter(folder) as writer:
        for batch in market.messages(100, clear_every=50):
            writer.append(batch)
    first = int(files[2].name.split("-")[1])
    rows = rows_of_tables(read_lifecycles(tmp_path, *NAMES))
    cut = [row for row in rows if row["told_seq"] == first]
    assert cut
    assert {row["ending"] for row in cut} <= {2, 3}
    assert all(row["ended_seq"] < int(files[1].name.split("-")[1]) for row in cut)
    assert all(row["opened_seq"] < row["ended_seq"] or row["flags"] & 1 for row in cut)
    while store_next(folder) is not None:
        pass
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == rows


def test_files_of_another_tape_or_damaged_ones_are_made_anew(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Market(seed=11), 200)
    archive(folder)
    plain = by_hand(folder).ended
    assert store_next(folder) is not None
    assert store_next(folder) is None
    state = next(folder_of(folder).glob("state-*"))
    state.write_bytes(state.read_bytes()[:-40])
    assert stored_lives(folder).seq == 0
    assert told(LivesLog(folder)) == plain
    assert store_next(folder) is not None
    assert stored_lives(folder).files
    assert told(LivesLog(folder)) == plain


def test_a_tape_that_was_cut_begins_with_its_book(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Market(seed=12, orders=25), 400)
    archive(folder, file_rows_max=300)
    while store_next(folder) is not None:
        pass
    whole = rows_of_tables(read_lifecycles(tmp_path, *NAMES))
    files = sorted(folder.archive.glob("events-*"))
    files[0].unlink()
    first = int(files[1].name.split("-")[1])
    for base in folder.archive.glob("base-*"):
        if int(base.stem.split("-")[1]) < first - 1:
            base.unlink()
    assert forget_before(folder, first) == 1
    left = [row for row in whole if row["told_seq"] >= first]
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == left
    for path in folder_of(folder).iterdir():
        path.unlink()
    anew = rows_of_tables(read_lifecycles(tmp_path, *NAMES))
    # Who was out of the window's sight before is not in that book: ranks are others.
    later = [{**row, "nth": 0} for row in anew if row["opened_seq"] >= first]
    assert later == [{**row, "nth": 0} for row in left if row["opened_seq"] >= first]
    older = [row for row in anew if row["opened_seq"] < first]
    assert older
    assert all(row["flags"] & 1 and row["opened_seq"] == first - 1 for row in older)


def test_an_answer_waits_for_no_long_archive_that_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "lives_files_walked_max", 1)
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Market(seed=13, orders=25), 150)
    archive(folder, file_rows_max=200)
    with pytest.raises(MarketBusy, match="ask again later"):
        told(LivesLog(folder))
    assert store_next(folder) is not None
    assert told(LivesLog(folder)) == by_hand(folder).ended


def test_numbers_of_every_length_and_scale_come_back(tmp_path: Path) -> None:
    folder, sizes = MarketFolder(tmp_path, *NAMES), ["5.5", "90071992547.40993001", "0.001"]
    builder = BatchBuilder("int", None, None, "int")
    seq = 1
    with JournalWriter(folder) as writer:
        for nth, size in enumerate(sizes):
            for kind, left in ((EventKind.OPEN, size), (EventKind.DONE, size)):
                reason = Reason.CANCELED if kind == EventKind.DONE else Reason.NONE
                builder.add(kind, Side.BID, str(nth), "1.5", left, START + seq, None, 0, reason)
                batch = builder.finish(seq)
                seq = batch.last_seq + 1
                writer.append(batch)
    plain = by_hand(folder).ended
    assert [row["size_first"] for row in plain] == [Decimal(size) for size in sizes]
    assert told(LivesLog(folder)) == plain
    archive(folder)
    while store_next(folder) is not None:
        pass
    stored = stored_lives(folder)
    assert stored.files
    assert rows_of_tables(table for file in stored.files for table in file.tables()) == plain


def test_files_that_are_lost_or_damaged_are_made_anew_and_never_believed(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, *NAMES)
    write(folder, Unexplained("int", seed=8, orders=25), 500)
    archive(folder, file_rows_max=200)
    while store_next(folder) is not None:
        pass
    files = stored_lives(folder).files
    assert len(files) > 2
    files[1].path.unlink()
    assert stored_lives(folder).files == [], "what lies behind a hole is not all"
    while store_next(folder) is not None:
        pass
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == by_hand(folder).ended
    damaged = stored_lives(folder).files[1].path
    whole = bytearray(damaged.read_bytes())
    whole[len(whole) // 3] ^= 4  # in the rows
    damaged.write_bytes(whole)
    with pytest.raises(TapeCorrupt):
        rows_of_tables(read_lifecycles(tmp_path, *NAMES))
    assert forget_damaged(folder) == 1
    while store_next(folder) is not None:
        pass
    assert rows_of_tables(read_lifecycles(tmp_path, *NAMES)) == by_hand(folder).ended
