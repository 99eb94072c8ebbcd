"""docs/troubleshooting.md against what there is: its sentences, its limits, its SQL."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape import limits
from ordertape.database.address import Address, connect
from ordertape.database.dropping import drop
from ordertape.database.schema import check, create
from ordertape.errors import DatabaseError, DatabaseUnavailable, SchemaRefused
from ordertape.roles.connection import MarketConnection
from ordertape.roles.pacing import Backoff, Pacer
from ordertape.stream.market import MarketStream
from ordertape.venues.registry import venue_of

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "troubleshooting.md").read_text()


def quoted(section: str) -> Iterator[str]:
    """What a section's tables quote in their first column; `…` stands for anything."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (.*?) \| .* \|$", text, re.MULTILINE):
        yield from re.findall(r"`([^`]*…[^`]*)`", row)


def stands_in(section: str, sentence: str) -> bool:
    return any(
        re.search(".*".join(re.escape(part.strip()) for part in shown.split("…")), sentence)
        for shown in quoted(section)
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_every_limit_that_the_page_names_is_one() -> None:
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE)) - {"age_ms", "end_time", "start_time"}
    named = {name for name in named if name not in ("orders_received", "ts_recv", "read_tape")}
    assert len(named) > 10
    assert [name for name in sorted(named) if not hasattr(limits, name)] == []


async def test_a_venue_out_of_reach_is_said_as_the_page_shows_it() -> None:
    stream, stop = MarketStream(venue_of("bitfinex"), "BTC/USDT"), asyncio.Event()
    backoff = Backoff(1, 10)
    address = f"ws://127.0.0.1:{free_port()}/ws/2"
    running = asyncio.create_task(
        MarketConnection(stream, address, Pacer(1000), backoff=backoff).run(stop)
    )
    async with asyncio.timeout(60):
        while not stream.errors:  # noqa: ASYNC110 - a stream has no event for its errors
            await asyncio.sleep(0.005)
    assert stands_in("No orders received", stream.reason)
    stop.set()
    await running


def test_a_database_out_of_reach_is_said_as_the_page_shows_it() -> None:
    away = Address("otc_analysis", url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable) as refused, connect(away):
        pass
    assert stands_in("Database errors", str(refused.value))


def test_tables_that_are_missing_or_not_ours_are_said_as_the_page_shows_it(
    database: Address,
) -> None:
    with connect(database) as opened:
        opened.execute("DROP VIEW level3_orders")
        (missing,) = check(opened, database.schema)
        assert stands_in("Database errors", missing)
        create(opened, database.schema)
        drop(opened, database.schema)
        opened.execute(f"CREATE SCHEMA {database.schema}".encode())
        opened.execute("CREATE TABLE level3_gaps (mine int)")
        with pytest.raises(SchemaRefused) as refused:
            create(opened, database.schema)
        assert stands_in("Database errors", str(refused.value))
        opened.execute("DROP TABLE level3_gaps")


def test_the_sql_of_the_page_runs(database: Address) -> None:
    (query,) = re.findall(r'db psql -c "(SELECT[^"]*)"', PAGE)
    with connect(database) as opened:
        assert opened.execute(query.encode()).fetchall() == []


async def test_a_query_that_takes_too_long_is_said_as_the_page_shows_it(
    database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ordertape import L3Repository

    monkeypatch.setattr(limits, "database_page_ms_max", 50)
    async with L3Repository(address=database, data="nowhere") as repository:
        with connect(database) as opened, opened.transaction():
            opened.execute("LOCK TABLE markets IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DatabaseError) as refused:
                await repository.get_orders("nowhere", "X")
    assert stands_in("Database errors", str(refused.value))
