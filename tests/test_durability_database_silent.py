"""A PostgreSQL that takes questions and gives no answer keeps no reader waiting."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ordertape.database.address import Address
from ordertape.database.connections import Connections
from ordertape.errors import DatabaseUnavailable
from support.postgres import InstalledServer, installed_cluster
from support.soak import postgres_of


@pytest.fixture
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
    pids = postgres_of(own_server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
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
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    time.sleep(0.3)
    with connections.use(500) as opened:
        assert opened.execute("SELECT 1").fetchone() == (1,)
    connections.close()
