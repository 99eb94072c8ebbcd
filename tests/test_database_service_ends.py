"""What can't be read is told and tried again; what nobody expected ends the keeper, not a thread.

Both with real files: a journal that is a link to itself, and a mark with a text for a number.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from ordertape import limits
from ordertape.database.address import Address
from ordertape.database.service import DatabaseFollower
from ordertape.database.told import (
    Copied,
    DatabaseTold,
    read_told,
    touch_told,
    write_copied,
    write_told,
)
from ordertape.roles.children import Child
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import gap_mark
from ordertape.times import NS_PER_MILLISECOND
from support.postgres import InstalledServer
from support.processes import wait_for
from support.tape import START, Market, write_journal


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "database_backoff_ms_min", 10)
    monkeypatch.setattr(limits, "database_backoff_ms_max", 100)
    monkeypatch.setattr(limits, "keeper_pause_ms", 10)
    monkeypatch.setattr(limits, "database_flush_ms", 10)


def state(data: Path) -> str | None:
    told = read_told(data)
    return None if told is None else told.state


def write_what_nobody_expects(folder: MarketFolder) -> None:
    """A tape that is whole, every frame with its sum, and says nonsense in a mark."""
    market = Market()
    with JournalWriter(folder) as journal:
        journal.append(market.message())
        nonsense = gap_mark(market.next_seq - 1, START, None, "x", era=1, missing_to="soon")
        journal.mark(nonsense)
        journal.append(market.message())


def test_a_market_that_can_t_be_read_is_told_and_tried_again_and_stops_no_other(
    database: Address, tmp_path: Path
) -> None:
    market = Market()
    first = JournalWriter(MarketFolder(tmp_path, "x", "ONE"))
    follower, stop = DatabaseFollower(tmp_path, database, days=36_500), threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()

    def refused() -> dict[str, str]:
        told = read_told(tmp_path)
        return {} if told is None else told.refused

    try:
        loop = MarketFolder(tmp_path, "x", "TWO").journal
        loop.parent.mkdir()
        loop.symlink_to(loop)
        wait_for(lambda: list(refused()) == ["x TWO"], "it is told")
        assert os.fspath(loop) in refused()["x TWO"]
        for batch in market.messages(10):
            first.append(batch)
        wait_for(lambda: follower.persisted("x", "ONE") == market.next_seq - 1, "the market")
        loop.unlink()
        second = Market(seed=2)
        write_journal(MarketFolder(tmp_path, "x", "TWO"), second.messages(10))
        wait_for(lambda: follower.persisted("x", "TWO") == second.next_seq - 1, "the other one")
        wait_for(lambda: refused() == {}, "that it is told no more")
        assert state(tmp_path) == "following"
    finally:
        stop.set()
        thread.join()
        first.close()


def test_what_is_told_is_taken_back_as_it_ends(database: Address, tmp_path: Path) -> None:
    """Its process may go on, and its number may be another's soon."""
    follower, stop = DatabaseFollower(tmp_path, database, days=36_500), threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    wait_for(lambda: state(tmp_path) == "following", "its word")
    stop.set()
    thread.join()
    assert read_told(tmp_path) is None


def test_a_keeper_that_says_no_more_how_far_it_is_does_not_count_as_following(
    tmp_path: Path,
) -> None:
    """Stopped, or hanging: its process is there, and so is the last that it told."""
    pid, silent_ns = os.getpid(), 2 * limits.database_silent_ms_max * NS_PER_MILLISECOND
    long_ago = time.time_ns() - silent_ns
    write_told(tmp_path, DatabaseTold(state="following", database="a database", pid=pid))
    assert state(tmp_path) == "following"
    os.utime(tmp_path / "database.json", ns=(long_ago, long_ago))
    assert str(read_told(tmp_path)) == "silent (its keeper tells nothing any more)"
    touch_told(tmp_path)  # no file can be written, and it goes on
    assert state(tmp_path) == "following"
    os.utime(tmp_path / "database.json", ns=(long_ago, long_ago))
    for written_at, process, found in (
        (long_ago, pid, "silent"),
        (time.time_ns(), pid + 1, "silent"),  # what another keeper told
        (time.time_ns(), pid, "following"),
    ):
        write_copied(tmp_path, Copied(markets=[], written_at=written_at, pid=process))
        assert state(tmp_path) == found


def test_what_nobody_expected_ends_the_follower_and_all_that_runs_beside_it(
    database: Address, tmp_path: Path
) -> None:
    write_what_nobody_expects(MarketFolder(tmp_path, "x", "ONE"))
    follower, stop = DatabaseFollower(tmp_path, database, days=36_500), threading.Event()
    raised: list[str] = []

    def run() -> None:
        try:
            follower.run(stop)
        except TypeError as error:
            raised.append(str(error))

    before = set(threading.enumerate())
    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: not thread.is_alive(), "its end")
    assert len(raised) == 1
    assert stop.is_set()
    assert set(threading.enumerate()) <= before
    assert read_told(tmp_path) is None


def test_what_nobody_expected_of_a_walk_ends_it_too(database: Address, tmp_path: Path) -> None:
    """Lives of orders are told in a thread of their own: a defect there stops them as quietly."""
    write_journal(MarketFolder(tmp_path, "x", "ONE"), Market().messages(10))
    follower, stop = DatabaseFollower(tmp_path, database, days=36_500), threading.Event()

    def fails(*_: object) -> None:
        raise ValueError("nobody expected this")

    follower._walks[0]._begin = fails  # type: ignore[assignment]
    with pytest.raises(ValueError, match="nobody expected this"):
        follower.run(stop)
    assert stop.is_set()
    assert read_told(tmp_path) is None


def test_a_keeper_whose_follower_ended_ends_too_and_says_why(
    installed: InstalledServer, tmp_path: Path
) -> None:
    data, logs = tmp_path / "data", tmp_path / "logs"
    write_what_nobody_expects(MarketFolder(data, "bitfinex", "A/B"))
    # What an earlier keeper told, under a number that a process of today has.
    write_told(data, DatabaseTold(state="following", database="a database", pid=os.getpid()))
    keeper = Child(
        "the keeper",
        "ordertape.roles.keeper",
        ["--data", str(data), "--database"],
        {"DATABASE_URL": installed.url, "OTC_SCHEMA": "ends", "ORDERTAPE_LOGS": str(logs)},
    )
    try:
        wait_for(lambda: keeper.status is not None, "its end")
        assert keeper.status == 1
        assert "keeper: unexpected TypeError: " in keeper.ending()
    finally:
        keeper.stop()
    assert read_told(data) is None
    assert not (data / "database.json").exists()
    told = (logs / "app.log").read_text()
    assert "L3_unexpected_error" in told
    assert "Traceback" in told
