"""A venue that sends twenty times as much for a while; `make torture` has a minute of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape.database.address import Address, connect
from ordertape.database.embedded import EmbeddedServer
from ordertape.roles.status import read_report
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from support.burst import RATE, TIMES, bursting_venue
from support.database_faults import following, limited
from support.processes import SYMBOL, start_collector, wait_for

SECONDS = 1.5
MARKET = ("bitfinex", SYMBOL)
COUNTED = "SELECT count(*), count(DISTINCT sequence), max(sequence) FROM level3_orders"


@pytest.fixture
def address(embedded_server: EmbeddedServer) -> Iterator[Address]:
    """Where nothing is yet."""
    found = Address("burst", embedded=embedded_server)
    yield found
    with connect(found) as connection:
        connection.execute("DROP SCHEMA IF EXISTS burst CASCADE")


def test_a_burst_is_recorded_whole_and_drained(tmp_path: Path, address: Address) -> None:
    data = tmp_path / "data"
    folder = MarketFolder(data, *MARKET)
    behind = [0]

    def events() -> int:
        report = read_report(folder.root)
        if report is None or report.state != "LIVE":
            return 0
        behind.append(report.sequence - follower.persisted(*MARKET))
        return report.events

    with (
        bursting_venue(3, SECONDS) as (venue, clock),
        limited(),
        following(data, address) as follower,
    ):
        environment = {
            "ORDERTAPE_BITFINEX_WS_URL": venue.url,
            "ORDERTAPE_BITFINEX_REST_URL": venue.rest_url,
        }
        collector = start_collector(data, environment)
        try:
            wait_for(lambda: events() > 0, "a LIVE stream")
            before = events()
            clock.burst(SECONDS)
            wait_for(
                lambda: events() - before > RATE * TIMES * SECONDS / 2, "what was sent", 60, 0.02
            )
            assert collector.stop() == 0, collector.ending()
        finally:
            collector.stop()
        report = verify(data, *MARKET)
        assert report.equal
        assert report.gaps == 0
        assert report.marks > 0
        assert max(behind) > 0, "how far the database is behind is not told"
        wait_for(lambda: follower.persisted(*MARKET) >= report.last_seq, "every event")
    with connect(address) as opened:
        assert opened.execute(COUNTED).fetchone() == (report.events,) * 2 + (report.last_seq,)
