"""What is told as settled outlives a crash of the database; connections that end lose nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from ordertape import limits
from ordertape.database.address import Address, connect
from ordertape.database.lifecycles import LivesFollower
from ordertape.database.service import DatabaseFollower
from ordertape.database.settled import Settled
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.processes import wait_for
from support.recorded_lives import Unexplained, by_hand

ONE = ("x", "ONE")


def commit(connection: psycopg.Connection, *, durable: bool) -> None:
    """One row, in a transaction whose answer waits for the disk, or doesn't."""
    with connection.transaction():
        connection.execute(f"SET LOCAL synchronous_commit = {'on' if durable else 'off'}".encode())
        connection.execute("INSERT INTO looked_at DEFAULT VALUES")


def test_it_is_settled_once_the_log_of_the_server_is_on_its_disk_up_to_there(
    database: Address, connection: psycopg.Connection
) -> None:
    settled = Settled()
    connection.execute("CREATE TABLE looked_at (nth serial)")
    commit(connection, durable=False)
    settled.look(connection, {ONE: 10})
    assert settled.passed(*ONE) == 0, "nobody knows yet whether it is on the disk"
    commit(connection, durable=True)
    settled.look(connection, {ONE: 20})
    assert settled.passed(*ONE) == 10, "what was reached by then, not what is reached by now"
    commit(connection, durable=True)
    settled.look(connection, {ONE: 30})
    assert settled.passed(*ONE) == 20
    assert settled.passed("x", "ANOTHER") == 0
    settled.forget()
    assert settled.passed(*ONE) == 0


def test_everything_goes_on_over_another_connection_and_is_there_once(
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "database_backoff_ms_min": 10,
        "database_backoff_ms_max": 20,
        "database_flush_ms": 10,
        "keeper_pause_ms": 10,
        "lives_pause_ms": 10,
    }.items():
        monkeypatch.setattr(limits, name, value)
    went_on: list[bool] = []
    resume = LivesFollower.resume

    def watched(self: LivesFollower, connection: psycopg.Connection, market: int) -> bool:
        went_on.append(resume(self, connection, market))
        return went_on[-1]

    class Counted(Settled):
        """What is settled, and how often it was forgotten: once a connection of the follower."""

        forgotten = 0

        def forget(self) -> None:
            super().forget()
            self.forgotten += 1

        def wait_until(self, seq: int) -> None:
            wait_for(lambda: self.passed(*ONE) >= seq, f"event {seq}")

        def wait_for_another(self, end: Callable[[], int]) -> None:
            before = self.forgotten
            assert end() >= 2
            wait_for(lambda: self.forgotten > before, "another connection")

    monkeypatch.setattr(LivesFollower, "resume", watched)
    folder, market = MarketFolder(tmp_path, *ONE), Unexplained(seed=5, orders=25)
    settled = Counted()
    follower = DatabaseFollower(tmp_path, database, days=36_500, settled=settled)
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        with JournalWriter(folder) as writer:
            for _ in range(4):
                for batch in market.messages(60):
                    writer.append(batch)
                settled.wait_until(market.next_seq - 1)
                settled.wait_for_another(lambda: end_connections(connection))
        settled.wait_until(market.next_seq - 1)
    finally:
        stop.set()
        thread.join()
    assert any(went_on)
    with connect(database) as opened:
        found = opened.execute("SELECT sequence FROM level3_orders ORDER BY sequence").fetchall()
        lives = opened.execute("SELECT told_seq, nth FROM lifecycle_rows ORDER BY 1, 2").fetchall()
    assert [row[0] for row in found] == list(range(1, market.next_seq))
    assert lives == [(life["told_seq"], life["nth"]) for life in by_hand(folder).ended]


def end_connections(connection: psycopg.Connection) -> int:
    """Of the follower and its walks; how many were ended."""
    return connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name IN ('ordertape follower', 'ordertape lives') "
        "AND datname = current_database()"
    ).rowcount
