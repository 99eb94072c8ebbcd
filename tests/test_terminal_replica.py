"""The terminal's replica follows a tape that is being written, and shows what stands on it."""

from __future__ import annotations

import io
import os
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from ordertape.errors import TapeCorrupt
from ordertape.roles.status import StreamReport, write_report
from ordertape.stream.integrity import Integrity
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, gap_mark
from ordertape.terminal.replica import Replica
from ordertape.terminal.tables import line, screen
from ordertape.terminal.view import show, view_of
from support.processes import wait_for
from support.tape import Market


def following(replica: Replica, market: Market) -> bool:
    with replica.lock:
        return replica.book is not None and replica.book.digest() == market.book.digest()


def test_a_replica_waits_for_a_tape_and_then_follows_it(tmp_path: Path) -> None:
    replica, market = Replica(tmp_path, "bitfinex", "A/B"), Market()
    replica.start()
    try:
        assert view_of(replica).state == ""
        with JournalWriter(MarketFolder(tmp_path, "bitfinex", "A/B")) as journal:
            journal.mark(Mark("simulated", 0, 0, {"simulated": True}))
            for batch in market.messages(20, clear_every=100):
                journal.append(batch)
            wait_for(lambda: following(replica, market), "the first book")
            journal.mark(Mark("state", market.book.seq, 0, {"from": "SYNCING", "to": "LIVE"}))
            for batch in market.messages(200):
                journal.append(batch)
            wait_for(lambda: following(replica, market), "the last book")
            journal.mark(gap_mark(market.book.seq, 5, None, "lost", era=1))
            journal.mark(gap_mark(market.book.seq, 5, 9, "lost", era=1, healed_by=7))
            wait_for(lambda: replica.history.gap_count > 0, "the gap")
        shown = view_of(replica)
    finally:
        replica.stop()
    assert shown.simulated
    assert (replica.history.state, shown.state) == ("LIVE", "STOPPED")
    assert shown.sequence == market.book.seq
    assert shown.gaps == 1
    assert shown.faults == 0
    assert shown.bids == market.book.depth(20)[0]
    assert [row["seq"] for row in shown.events[:3]] == [market.book.seq - n for n in range(3)]
    assert replica.failure is None


def test_beside_a_collector_that_can_not_connect_the_view_says_so(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "A/B")
    folder.root.mkdir(parents=True)
    waiting = StreamReport(
        exchange="bitfinex",
        symbol="A/B",
        pid=os.getpid(),
        simulated=False,
        state="CONNECTING",
        reason="can't connect: refused",
        written_at=time.time_ns(),
        integrity=Integrity().as_dict(),
    )
    write_report(folder.root, waiting)
    replica = Replica(tmp_path, "bitfinex", "A/B")
    shown = view_of(replica)
    assert (shown.state, shown.reason) == ("CONNECTING", "can't connect: refused")
    text = line(shown)
    assert "CONNECTING" in text
    assert "(can't connect: refused)" in text
    assert "– events/s  age –" in text
    for wrong in ("WAITING", "pending", "unproven"):
        assert wrong not in text
    written = io.StringIO()
    Console(file=written, width=100).print(screen(shown, width=100, height=30))
    assert "CONNECTING (can't connect: refused)" in written.getvalue()
    assert "events/s –" in written.getvalue()


def test_a_rate_is_told_of_whole_seconds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000 * 10**9]
    monkeypatch.setattr("ordertape.terminal.replica.time.time_ns", lambda: now[0])
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", "A/B")) as journal:
        for batch in market.messages(20, clear_every=20):
            journal.append(batch)
    replica = Replica(tmp_path, "bitfinex", "A/B")
    assert replica.rates() == {}
    assert replica._begin() is not None
    now[0] += 10**9
    assert replica.rates() == {}
    now[0] += 10**9
    assert set(replica.rates().values()) == {0.0}


def test_a_replica_starts_in_the_middle_of_a_long_tape(tmp_path: Path) -> None:
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", "A/B")) as journal:
        for batch in market.messages(300, clear_every=100):
            journal.append(batch)
        journal.snapshot(market.book)
    replica = Replica(tmp_path, "bitfinex", "A/B")
    replica.start()
    wait_for(lambda: following(replica, market), "the book")
    replica.stop()


def test_what_breaks_a_replica_ends_the_view(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path, "bitfinex", "A/B")
    folder.archive.mkdir(parents=True)
    (folder.archive / f"events-{1:020d}-{9:020d}.parquet").write_text("no Parquet")
    replica = Replica(tmp_path, "bitfinex", "A/B")
    replica.start()
    wait_for(lambda: replica.failure is not None, "its failure")
    with pytest.raises(TapeCorrupt, match="expected a"):
        show(replica, threading.Event(), console=Console(file=io.StringIO(), force_terminal=True))
    replica.stop()


def test_a_pipe_gets_lines_and_a_terminal_panels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.view_line_ms", 1)
    replica, stop = Replica(tmp_path, "bitfinex", "A/B"), threading.Event()
    for terminal in (False, True):
        pictures = 0

        def stop_after_two() -> None:
            nonlocal pictures
            pictures += 1
            if pictures > 2:
                stop.set()

        stop.clear()
        written = io.StringIO()
        console = Console(file=written, force_terminal=terminal, width=120, height=30)
        show(replica, stop, check=stop_after_two, console=console)
        assert "bitfinex A/B" in written.getvalue()
        assert ("╭" in written.getvalue()) is terminal
