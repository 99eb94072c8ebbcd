"""Cold files: the same rows, bit for bit, for every reader; told where they are damaged."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest

from ordertape import EventBatch
from ordertape.errors import TapeCorrupt
from ordertape.replay.capture import read_capture
from ordertape.tape.archive import Archiver, ArchiveWriter
from ordertape.tape.archive_files import list_files
from ordertape.tape.backup import back_up
from ordertape.tape.cold import Cooled, cool
from ordertape.tape.databento import read_databento
from ordertape.tape.file_groups import COLD, PLAIN
from ordertape.tape.folder import MarketFolder, markets
from ordertape.tape.imports import import_lobster
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.reader import TapeReader, read_tape
from ordertape.tape.rebuild import rebuild
from ordertape.tape.verify import verify
from support.bitfinex import r0_capture_text, session_text_frames, write_capture
from support.cold import EVER, bitstamp, cool_all, everything, same_rows
from support.tape import Market, write_journal

DAY_NS = 86_400 * 10**9


def archived(
    data: Path, codec: str = "int", *, messages: int = 400, rows: int = 300
) -> tuple[MarketFolder, Market]:
    """A market's archive in several files of several groups, with eras and every kind of event."""
    folder, market = MarketFolder(data, "demo", "X/Y"), Market(codec)
    write_journal(folder, market.messages(messages, clear_every=messages // 3))
    with closing(Archiver(folder, file_rows_max=rows, row_group_rows=rows // 3)) as archiver:
        archiver.finish()
    return folder, market


@pytest.mark.parametrize("codec", ["int", "uuid", "intern"])
def test_every_reader_gets_the_same_from_cold_files(tmp_path: Path, codec: str) -> None:
    folder, market = archived(tmp_path, codec)
    names = [file.path.stem for file in list_files(folder.archive)]
    assert len(names) > 1
    before, report = everything(folder), verify(tmp_path, "demo", "X/Y").as_dict()
    infos = [file.info for file in list_files(folder.archive)]
    moments = [info.first_ts_recv + 10**6 for info in infos]
    books = [rebuild(tmp_path, "demo", "X/Y", at=moment).digest() for moment in moments]
    cooled = cool_all(folder)
    assert [file.path.stem for file in cooled] == names
    assert {file.path.suffix for file in list_files(folder.archive)} == {COLD}
    assert not list(folder.archive.glob(f"events-*{PLAIN}"))
    assert [file.info for file in list_files(folder.archive)] == infos
    assert everything(folder) == before
    assert verify(tmp_path, "demo", "X/Y").as_dict() == report
    assert report["equal"]
    assert report["marks"] > len(infos)
    assert [rebuild(tmp_path, "demo", "X/Y", at=moment).digest() for moment in moments] == books
    assert rebuild(tmp_path, "demo", "X/Y").digest() == market.book.digest()
    assert cool_all(folder) == []


def test_pages_and_spans_come_out_of_cold_files_alone(tmp_path: Path) -> None:
    folder, market = archived(tmp_path)
    plain, last = TapeLookup(folder), market.next_seq - 1
    spans = [(1, 5), (95, 107), (290, 320), (last - 3, last + 9), (1, last)]
    before = [plain.events(*span) for span in spans]
    times = [run[len(run) // 2].last_ts_recv for run in before]
    seqs = [plain.seq_from(time) for time in times]
    cool_all(folder)
    for lookup in (plain, TapeLookup(folder)):
        assert lookup.last_seq() == last
        assert [lookup.seq_from(time) for time in times] == seqs
        for span, rows in zip(spans, before, strict=True):
            assert same_rows(lookup.events(*span), rows)
    for time in times:
        read = list(read_tape(tmp_path, "demo", "X/Y", start=time, end=time + 10**9))
        assert read[0].first_seq == plain.seq_from(time)


def test_a_reader_that_began_before_a_file_became_cold_reads_on(tmp_path: Path) -> None:
    folder, _ = archived(tmp_path)
    before = list(TapeReader(tmp_path, "demo", "X/Y").batches())
    known = list_files(folder.archive)
    reading = TapeReader(tmp_path, "demo", "X/Y").batches()
    begun = [next(reading)]
    cool_all(folder)
    assert same_rows(begun + list(reading), before)
    assert [file.info.last_seq for file in known] == [file.last_seq for file in known]


def test_the_journal_goes_on_behind_cold_files_and_an_archive_behind_them(tmp_path: Path) -> None:
    folder, market = archived(tmp_path)
    cool_all(folder)
    write_journal(folder, market.messages(50))
    digest = market.book.digest()
    assert rebuild(tmp_path, "demo", "X/Y").digest() == digest
    with closing(Archiver(folder)) as archiver:
        archiver.finish()
    assert {file.path.suffix for file in list_files(folder.archive)} == {COLD, PLAIN}
    assert rebuild(tmp_path, "demo", "X/Y").digest() == digest
    assert verify(tmp_path, "demo", "X/Y").equal


def test_a_file_stays_plain_until_its_last_event_is_old_enough(tmp_path: Path) -> None:
    folder, _ = archived(tmp_path)
    files = list_files(folder.archive)
    boundary = files[1].info.last_ts_recv
    assert [cooled.path.stem for cooled in cool(folder, boundary)] == [files[0].path.stem]
    assert [cooled.path.stem for cooled in cool(folder, boundary + 1)] == [files[1].path.stem]
    assert next(iter(cool(folder, 0)), None) is None


def test_a_market_of_cold_files_alone_is_a_market_and_is_backed_up(tmp_path: Path) -> None:
    folder, market = archived(tmp_path / "data")
    back_up(tmp_path / "data", tmp_path / "copy")
    cool_all(folder)
    (copied,) = back_up(tmp_path / "data", tmp_path / "copy")
    copy = MarketFolder(tmp_path / "copy", "demo", "X/Y")
    assert {file.path.suffix for file in list_files(copy.archive)} == {COLD}
    assert not list(copy.archive.glob(f"events-*{PLAIN}"))
    assert copied.sequence == market.next_seq - 1
    for base in folder.archive.glob("base-*"):
        base.unlink()
    assert [found.market for found in markets(tmp_path / "data")] == ["demo X/Y"]


# Real recordings ----------------------------------------------------------------------------------


def comes_back(folder: MarketFolder) -> list[float]:
    """Bytes an event of each cold file, its rows and proofs the same as before."""
    before = everything(folder)
    report = verify(folder.data, folder.exchange, folder.symbol).as_dict()
    cooled = cool_all(folder)
    assert everything(folder) == before
    assert verify(folder.data, folder.exchange, folder.symbol).as_dict() == report
    assert report["equal"]
    return [file.cold_bytes / file.events for file in cooled]


def test_lobster_s_hour_comes_back_and_takes_less_than_six_bytes_an_event(
    tmp_path: Path, shared: Path
) -> None:
    folder = shared / "data" / "lobster_aapl_2012"
    messages = folder / "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz"
    import_lobster(tmp_path, "nasdaq", "AAPL", messages)
    (bytes_an_event,) = comes_back(MarketFolder(tmp_path, "nasdaq", "AAPL"))
    assert bytes_an_event < 6


def test_bitstamp_s_hours_come_back(tmp_path: Path, shared: Path) -> None:
    events = bitstamp(shared, 20_000)
    folder = MarketFolder(tmp_path, "bitstamp", "BTC/USD")
    writer = ArchiveWriter(folder)
    writer.append(events)
    writer.close_file()
    writer.commit()
    before = list(read_tape(tmp_path, "bitstamp", "BTC/USD"))
    (cooled,) = cool_all(folder)
    assert same_rows(list(read_tape(tmp_path, "bitstamp", "BTC/USD")), before)
    assert cooled.cold_bytes < cooled.plain_bytes


def test_bitfinex_s_session_comes_back(tmp_path: Path, shared: Path) -> None:
    frames = session_text_frames(r0_capture_text(shared))
    capture = write_capture(tmp_path / "r0.jsonl", frames, 1_650_000_000 * 10**9, 10**7)
    folder = MarketFolder(tmp_path / "data", "bitfinex", "BTC/USD")
    imported(folder, list(read_capture(capture, exchange="bitfinex", symbol="BTC/USD")))
    comes_back(folder)


def test_databento_s_files_come_back(tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "databento_dbn" / "test_data.mbo.v3.dbn"
    folder = MarketFolder(tmp_path, "glbx", "ES")
    imported(folder, list(read_databento(source)))
    comes_back(folder)


def imported(folder: MarketFolder, batches: list[EventBatch]) -> None:
    writer = ArchiveWriter(folder)
    for batch in batches:
        writer.append(batch)
    writer.close_file()
    writer.commit()


# Damage -------------------------------------------------------------------------------------------


def test_a_flipped_bit_or_a_cut_is_told_in_a_sentence_and_no_event_is_wrong(tmp_path: Path) -> None:
    folder, market = archived(tmp_path, "uuid", messages=150, rows=10_000)
    (cooled,) = cool_all(folder)
    whole, dice = cooled.path.read_bytes(), random.Random(7)
    for nth in range(200):
        if nth % 10 == 0:
            damaged = bytearray(whole[: dice.randrange(len(whole))])
        else:
            damaged = bytearray(whole)
            damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        cooled.path.write_bytes(damaged)
        with pytest.raises(TapeCorrupt, match="expected a file of our archive") as told:
            list(read_tape(tmp_path, "demo", "X/Y"))
        assert str(cooled.path) in str(told.value)
        assert "\n" not in str(told.value)
    assert not verify(tmp_path, "demo", "X/Y").equal
    cooled.path.write_bytes(whole)
    assert rebuild(tmp_path, "demo", "X/Y").digest() == market.book.digest()


def test_a_plain_file_that_is_damaged_stays_and_those_behind_it_become_cold(tmp_path: Path) -> None:
    folder, _ = archived(tmp_path)
    first, *others = list_files(folder.archive)
    whole = first.path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 16
    first.path.write_bytes(damaged)
    cooled: list[Cooled] = []
    with pytest.raises(TapeCorrupt, match=first.path.name):
        cooled.extend(cool(folder, EVER))
    assert [file.path.stem for file in cooled] == [file.path.stem for file in others]
    assert first.path.read_bytes() == damaged
    assert not list(folder.archive.glob("*.tmp"))
    first.path.write_bytes(whole)
    assert [file.path.stem for file in cool_all(folder)] == [first.path.stem]


def test_of_two_forms_the_one_that_is_whole_stays(tmp_path: Path) -> None:
    folder, market = archived(tmp_path)
    first = list_files(folder.archive)[0].path
    plain = first.read_bytes()
    cool_all(folder)
    cold = first.with_suffix(COLD).read_bytes()
    for damaged in (True, False):
        first.write_bytes(plain)
        content = bytearray(cold)
        content[len(cold) // 3] ^= damaged
        first.with_suffix(COLD).write_bytes(content)
        assert [file.path.stem for file in cool_all(folder)] == [first.stem]
        assert not first.exists()
        assert first.with_suffix(COLD).read_bytes() == cold
    assert rebuild(tmp_path, "demo", "X/Y").digest() == market.book.digest()
