"""The keeper archives what is durable, alone in its folder, and the demonstration's forgets."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

from ordertape import limits
from ordertape.lifecycles.files import stored_lives
from ordertape.roles.children import Child
from ordertape.roles.keeper import Keeper, prune
from ordertape.roles.logs import configure_logs
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.verify import verify
from support.processes import wait_for
from support.tape import Market

DAY_NS = 86_400 * 10**9


def record(folder: MarketFolder, market: Market, messages: int) -> None:
    """A journal whose messages lie on two days, so that the first can be archived."""
    with JournalWriter(folder) as journal:
        for batch in market.messages(messages, clear_every=messages):
            journal.append(batch)
        market.now += DAY_NS
        journal.append(market.message())
        journal.snapshot(market.book)


def test_a_keeper_archives_every_market_and_one_market_s_fault_stops_no_other(
    tmp_path: Path,
) -> None:
    broken, whole = (MarketFolder(tmp_path, "bitfinex", name) for name in ("A/B", "C/D"))
    for folder in (broken, whole):
        record(folder, Market(), 50)
    broken.archive.mkdir()
    (broken.archive / f"events-{1:020d}-{9:020d}.parquet").write_text("no Parquet")
    for nth, name in enumerate(("journal", "archive")):
        circle = tmp_path / "bitfinex" / f"CIRCLE{nth}" / name
        circle.parent.mkdir()
        circle.symlink_to(circle)
    keeper = Keeper(tmp_path)
    assert keeper.round() > 50
    assert len(list_files(whole.archive)) == 1
    assert verify(tmp_path, "bitfinex", "C/D").equal


def test_a_keeper_leaves_when_asked_and_does_a_last_round(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path / "data", "bitfinex", "A/B")
    record(folder, Market(), 50)
    keeper = Child(
        "the keeper",
        "ordertape.roles.keeper",
        ["--data", str(tmp_path / "data")],
        {"ORDERTAPE_LOGS": str(tmp_path / "logs")},
    )
    wait_for(lambda: len(list_files(folder.archive)) == 1, "the first file")
    assert keeper.stop() == 0, keeper.ending()
    assert not list(folder.archive.glob("*.tmp"))


def test_a_keeper_leaves_with_its_parent(tmp_path: Path) -> None:
    keeper = Child(
        "the keeper",
        "ordertape.roles.keeper",
        ["--data", str(tmp_path / "data"), "--watch-parent"],
        {"ORDERTAPE_LOGS": str(tmp_path / "logs")},
    )
    wait_for((tmp_path / "data" / "keeper.lock").exists, "its start")
    assert keeper._process.stdin is not None
    keeper._process.stdin.close()
    wait_for(lambda: keeper.status is not None, "its end")
    assert keeper.stop() == 0


def test_a_second_keeper_waits_for_the_first(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "A/B")
    first_stop, second_stop = threading.Event(), threading.Event()
    first = threading.Thread(target=Keeper(tmp_path).run, args=(first_stop,))
    second = threading.Thread(target=Keeper(tmp_path).run, args=(second_stop,))
    first.start()
    wait_for((tmp_path / "keeper.lock").exists, "the first one")
    second.start()
    first_stop.set()
    first.join(10)
    record(folder, Market(), 50)
    wait_for(lambda: len(list_files(folder.archive)) == 1, "the second one's work")
    second_stop.set()
    second.join(10)
    assert not first.is_alive()
    assert not second.is_alive()


def archived(tmp_path: Path) -> tuple[MarketFolder, Market]:
    """A market with an archive of several small files and a journal behind it."""
    folder, market = MarketFolder(tmp_path, "bitfinex", "A/B"), Market()
    with JournalWriter(folder) as journal:
        for batch in market.messages(600, clear_every=250):
            journal.append(batch)
            journal.snapshot(market.book)
    archiver = Archiver(folder, file_rows_max=200)
    archiver.step()
    archiver.close()
    assert len(list_files(folder.archive)) > 3
    return folder, market


def size_of(folder: MarketFolder) -> int:
    return sum(path.stat().st_size for path in folder.archive.iterdir())


def test_the_oldest_files_are_forgotten_and_the_rest_is_a_tape(tmp_path: Path) -> None:
    folder, market = archived(tmp_path)
    before = list_files(folder.archive)
    half = size_of(folder) // 2
    gone = prune(folder, half)
    left = list_files(folder.archive)
    assert left == before[-len(left) :]
    assert gone == left[0].first_seq - 1 > 0
    assert size_of(folder) <= half
    report = verify(tmp_path, "bitfinex", "A/B")
    assert report.equal, str(report)
    assert report.faults == 0
    assert report.marks_equal > 0
    assert rebuild(tmp_path, "bitfinex", "A/B").digest() == market.book.digest()
    first = next(TapeReader(tmp_path, "bitfinex", "A/B").batches())
    assert first.first_seq == left[0].first_seq


def test_archiving_and_recording_go_on_after_forgetting(tmp_path: Path) -> None:
    folder, market = archived(tmp_path)
    prune(folder, 0)
    assert len(list_files(folder.archive)) == 1
    with JournalWriter(folder, book=market.book) as journal:
        assert journal.recovered.last_seq == market.next_seq - 1
        for batch in market.messages(300):
            journal.append(batch)
        journal.snapshot(market.book)
    archiver = Archiver(folder, file_rows_max=200)
    archiver.step()
    archiver.close()
    assert verify(tmp_path, "bitfinex", "A/B").equal
    assert rebuild(tmp_path, "bitfinex", "A/B").digest() == market.book.digest()


def test_what_a_follower_has_not_read_is_kept_until_the_archive_is_far_too_large(
    tmp_path: Path,
) -> None:
    configure_logs(tmp_path / "logs", console=False)
    folder, _ = archived(tmp_path / "data")
    before = list_files(folder.archive)
    enough = size_of(folder) // 3
    assert prune(folder, enough, lambda: 0) == 0
    assert prune(folder, enough, lambda: before[1].last_seq) == before[1].last_seq
    assert list_files(folder.archive) == before[2:]
    gone = prune(folder, 1, lambda: before[2].last_seq)
    assert gone == before[-2].last_seq - before[1].last_seq
    [told] = (tmp_path / "logs" / "app.log").read_text().splitlines()
    assert f"first_seq={before[3].first_seq} last_seq={before[-2].last_seq}" in told


def test_books_that_a_crash_left_before_the_oldest_file_are_no_gap(tmp_path: Path) -> None:
    folder, _ = archived(tmp_path)
    list_files(folder.archive)[0].path.unlink()
    assert verify(tmp_path, "bitfinex", "A/B").gaps == 1
    assert prune(folder, limits.demo_archive_bytes_max) == 0
    report = verify(tmp_path, "bitfinex", "A/B")
    assert (report.equal, report.gaps) == (True, 0)


def test_a_small_archive_is_left_alone(tmp_path: Path) -> None:
    folder, _ = archived(tmp_path)
    before = list_files(folder.archive)
    assert prune(folder, limits.demo_archive_bytes_max) == 0
    assert list_files(folder.archive) == before


def test_a_keeper_stores_the_lives_of_orders_a_file_a_round_and_forgets_them_too(
    tmp_path: Path,
) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "A/B")
    record(folder, Market(orders=30), 200)
    with closing(Archiver(folder, file_rows_max=100)) as archiver:
        archiver.finish()
    files = list_files(folder.archive)
    assert len(files) > 2
    keeper = Keeper(tmp_path)
    for nth in range(len(files)):
        keeper.round()
        assert stored_lives(folder).seq == files[nth].last_seq
    keeper.round()
    assert len(stored_lives(folder).files) == len(files)
    assert prune(folder, 0) > 0
    left = list_files(folder.archive)
    assert [file.first_seq for file in stored_lives(folder).files] == [left[0].first_seq]
