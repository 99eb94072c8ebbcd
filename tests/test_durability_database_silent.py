"""A PostgreSQL that takes questions and gives no answer keeps no reader waiting."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from ordertape.database import schema
from ordertape.database.address import Address, connect
from ordertape.database.connections import Connections
from ordertape.database.follower import MarketFollower
from ordertape.errors import DatabaseUnavailable
from ordertape.tape.folder import MarketFolder
from support.interface import interface
from support.postgres import InstalledServer, installed_cluster
from support.processes import wait_for
from support.soak import postgres_of
from support.tape import Market, write_journal

MARKET = ("bitfinex", "BTC/USD")


@contextmanager
def stopped(server: InstalledServer) -> Iterator[None]:
    """Inside, every process of it stands still."""
    pids = postgres_of(server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    with installed_cluster() as server:
        yield server


def test_a_stopped_server_is_given_up_in_time_and_asked_again_when_it_goes_on(
    own_server: InstalledServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.api_database_retry_ms", 300)
    connections = Connections(Address("public", url=own_server.url))
    with connections.use(500) as opened:
        opened.execute("SELECT 1")
    with stopped(own_server):
        began = time.monotonic()
        with (  # the connection that is kept
            pytest.raises(DatabaseUnavailable, match=r"no answer within 1\.5 s"),
            connections.use(500) as opened,
        ):
            opened.execute("SELECT 1")
        assert 1.4 < time.monotonic() - began < 6
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable), connections.use(500):
            pass
        assert time.monotonic() - began < 0.2, "the next is told at once"

    def answers() -> bool:
        with suppress(DatabaseUnavailable), connections.use(500) as opened:
            return opened.execute("SELECT 1").fetchone() == (1,)
        return False

    wait_for(answers, "the server that goes on")
    connections.close()


def test_the_tape_answers_for_a_stopped_server_within_two_seconds(
    own_server: InstalledServer, tmp_path: Path
) -> None:
    database, folder = Address("otc_analysis", url=own_server.url), MarketFolder(tmp_path, *MARKET)
    write_journal(folder, Market().messages(300))
    with connect(database) as opened:
        schema.create(opened, database.schema)
        follower = MarketFollower(folder, opened, database, days=None)
        while follower.step(final=True):
            pass
        follower.close()
    routes = [f"/{noun}/{'/'.join(MARKET)}" for noun in ("statistics", "orders", "gaps")]

    with (
        interface(tmp_path, database) as api,
        httpx.Client(base_url=api.address, timeout=120) as client,
    ):

        def asked(route: str) -> tuple[object, float]:
            began = time.monotonic()
            found = client.get(route).raise_for_status().json()
            return found.get("orders", found.get("gaps")), time.monotonic() - began

        before = [asked(route)[0] for route in routes]
        with stopped(own_server):
            during = [asked(route) for route in routes]
    assert [found for found, _ in during] == before
    assert len(before[1]) > 100
    in_statistics, in_orders, in_gaps = (seconds for _, seconds in during)
    assert max(in_statistics, in_gaps) < 1, "PostgreSQL is not asked"
    assert in_orders < 3, "it is given up after two seconds"
