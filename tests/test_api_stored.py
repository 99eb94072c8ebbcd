"""What PostgreSQL alone has is answered too; who leaves cancels his query; over real HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from ordertape import L3Order, L3Repository, limits
from ordertape.database.address import Address, connect
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.partitions import leaves
from ordertape.models import L3BookOrder, L3Snapshot, L3Statistics, datetime_from_ns, iso_from_ns
from ordertape.tape.folder import MarketFolder
from support.database_faults import follow
from support.interface import interface
from support.processes import slowness, wait_for
from support.served import exact, sentence
from support.tape import Market, write_journal

TS = 1_700_000_000_123_456_789
ELSEWHERE = ("elsewhere", "A-B")
MARKET = "elsewhere/A-B"


@pytest.fixture
def api(tmp_path: Path, database: Address) -> Iterator[httpx.Client]:
    with (
        interface(tmp_path / "data", database) as api,
        httpx.Client(base_url=api.address, timeout=120) as client,
    ):
        yield client


def order(sequence: int, **changes: Any) -> L3Order:
    made: dict[str, Any] = {
        "exchange": ELSEWHERE[0],
        "symbol": ELSEWHERE[1],
        "order_id": f"order {sequence}",
        "sequence": sequence,
        "side": "bid",
        "price": Decimal("1.0000000000001"),
        "size": Decimal("123456.5"),
        "event_type": "open",
        "timestamp": datetime_from_ns(TS),
        "metadata": {"ts_recv_ns": TS + sequence},
    }
    return L3Order(**made | changes)


async def save(database: Address, data: Path, orders: list[L3Order]) -> None:
    async with L3Repository(address=database, data=data) as repository:
        assert await repository.save_orders_batch(orders) == len(orders)


def answer(api: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    response = api.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return exact(response.text)


def refused(api: httpx.Client, path: str, status: int, **parameters: Any) -> str:
    return sentence(api.get(path, params=parameters), status)


def pages(api: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    """The orders of every page."""
    found: list[dict[str, Any]] = []
    for turn in count():
        page = answer(api, f"/orders/{MARKET}", **parameters)
        found += page["orders"]
        if page["next_cursor"] is None:
            return found
        parameters["cursor"] = page["next_cursor"]
        assert turn < 1_000
    raise AssertionError


async def test_saved_events_are_answered_with_every_digit_and_field(
    api: httpx.Client, database: Address, tmp_path: Path
) -> None:
    saved = [
        order(1),
        order(2, event_type="clear", order_id=None, side=None, price=None, size=None),
        order(
            5,
            side="ask",
            event_type="change",
            size=Decimal("3"),
            metadata={
                # Times of saved rows need not follow their sequence.
                "ts_recv_ns": TS - 5,
                "ts_event_ns": TS - 6,
                "reason": "amended",
                "old_price": Decimal("1.5"),
                "old_size": Decimal("2"),
                "venue_seq": 7,
                "era": 3,
                "reentry": True,
            },
            timestamp=datetime_from_ns(TS - 6),
        ),
        order(9, event_type="match", metadata={"ts_recv_ns": TS, "trade_id": "t", "late": True}),
    ]
    await save(database, tmp_path, saved)
    page = answer(api, f"/orders/{MARKET}")
    assert page["orders"] == [exact(row.model_dump_json()) for row in saved]
    assert (page["exchange"], page["symbol"], page["state"]) == (*ELSEWHERE, "STOPPED")
    assert answer(api, "/orders/Elsewhere/a/b")["orders"] == page["orders"]
    newest = answer(api, f"/orders/{MARKET}", order="desc", limit=1)
    assert [row["sequence"] for row in newest["orders"]] == [9]
    since = answer(api, f"/orders/{MARKET}", start_time=iso_from_ns(TS))
    assert [row["sequence"] for row in since["orders"]] == [1, 2, 9]


async def test_pages_of_saved_events_have_no_seam_whatever_their_generations_and_filters(
    api: httpx.Client, database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.page_scan_rows_max", 7)
    # Ever more digits: generations whose sequences lie between each other's.
    saved = [
        order(1_000 * n, price=Decimal(n % 5), side="bid" if n % 3 else "ask") for n in range(1, 41)
    ]
    finer = [order(1_000 * n + 1, price=Decimal("1e-9")) for n in range(1, 41, 2)]
    await save(database, tmp_path, saved)
    await save(database, tmp_path, finer)
    everything = sorted(saved + finer, key=lambda row: row.sequence)
    with connect(database) as opened:
        assert opened.execute("SELECT count(*) FROM generations").fetchone() == (2,)
    for descending in (False, True):
        for limit in (3, 10, 1_000):
            for filters, wanted in (
                ({}, everything),
                ({"side": "ask"}, [row for row in everything if row.side == "ask"]),
                ({"min_price": "4"}, [row for row in everything if row.price and row.price >= 4]),
                ({"order_id": "order 7000"}, [row for row in saved if row.sequence == 7_000]),
            ):
                seqs = [row.sequence for row in wanted]
                direction = "desc" if descending else "asc"
                found = pages(api, limit=limit, order=direction, **filters)
                assert [row["sequence"] for row in found] == seqs[:: -1 if descending else 1]


async def test_the_newest_saved_book_is_the_snapshot_and_a_past_one_is_replayed(
    api: httpx.Client, database: Address, tmp_path: Path
) -> None:
    bids = [
        L3BookOrder(order_id=f"b{n}", price=Decimal(10 - n), size=Decimal("1e-9")) for n in range(3)
    ]
    asks = [L3BookOrder(order_id="a", price=Decimal(11), size=Decimal(2))]
    statistics = L3Statistics.of(3, 1, Decimal("3e-9"), Decimal(2), Decimal(10), Decimal(11))
    book = L3Snapshot(
        exchange=ELSEWHERE[0],
        symbol=ELSEWHERE[1],
        sequence=9,
        timestamp=datetime_from_ns(TS),
        ts_recv_ns=TS,
        era=4,
        bids=bids,
        asks=asks,
        statistics=statistics,
    )
    async with L3Repository(address=database, data=tmp_path) as repository:
        assert await repository.save_snapshot(book)
        await repository.save_order(order(1, metadata={"ts_recv_ns": TS - 100}))
    found = answer(api, f"/snapshot/{MARKET}", depth=2)
    assert found["timestamp"] == iso_from_ns(TS)
    assert (found["sequence"], found["era"]) == (9, 4)
    assert found["statistics"] == exact(statistics.model_dump_json())
    assert [row["order_id"] for row in found["bids"]] == ["b0", "b1"]
    assert found["asks"] == [{"order_id": "a", "price": 11, "size": 2}]
    past = answer(api, f"/snapshot/{MARKET}", at=iso_from_ns(TS - 1))
    assert [row["order_id"] for row in past["bids"]] == ["order 1"]
    told = refused(api, f"/snapshot/{MARKET}", 404, at=iso_from_ns(TS - 101))
    assert "nothing was recorded" in told


async def test_statistics_of_saved_events_add_up(
    api: httpx.Client, database: Address, tmp_path: Path
) -> None:
    await save(database, tmp_path, [order(1), order(2), order(3, event_type="match")])
    found = answer(api, f"/statistics/{MARKET}")
    assert found["total_orders"] == found["unique_orders"] == 3
    assert found["traded_volume"] == Decimal("123456.5")
    assert set(found["events_per_second"]) == {"mean", "peak"}
    assert answer(api, f"/gaps/{MARKET}")["gaps"] == []


def test_what_neither_tape_nor_database_has_is_404(api: httpx.Client) -> None:
    for path in ("orders", "snapshot", "statistics", "gaps"):
        assert "elsewhere A-B" in refused(api, f"/{path}/{MARKET}", 404)


def test_a_database_that_is_away_is_named_where_only_it_could_have_the_market(
    tmp_path: Path,
) -> None:
    away = Address("nobody", url="postgresql://127.0.0.1:1/x")
    with interface(tmp_path, away) as api:
        told = sentence(httpx.get(f"{api.address}/orders/{MARKET}"), 503)
    assert told.endswith("whether the database has it can't be said: it does not answer")


# Leaving ------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_cancels_its_query(
    api: httpx.Client, database: Address, connection: psycopg.Connection, tmp_path: Path
) -> None:
    await save(database, tmp_path, [order(1)])
    # Every row that is read now waits.
    (table,) = connection.execute("SELECT 'events_' || generation FROM generations").fetchone()
    connection.execute(f"""
        ALTER TABLE {table} RENAME TO slow;
        CREATE VIEW {table} AS SELECT slow.* FROM slow, pg_sleep(60)
    """)

    def running() -> int:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ordertape api' "
            "AND state = 'active' AND wait_event = 'PgSleep'"
        ).fetchone()
        assert found is not None
        return int(found[0])

    place = urlsplit(str(api.base_url))
    with socket.create_connection((place.hostname, place.port)) as client:
        path = f"{place.path.rstrip('/')}/orders/{MARKET}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        wait_for(lambda: running() == 1, "the query")
    wait_for(lambda: running() == 0, "its end", 5)
    connection.execute(f"DROP VIEW {table}; ALTER TABLE slow RENAME TO {table}")
    # The connection is good for the next one.
    assert [row["sequence"] for row in answer(api, f"/orders/{MARKET}")["orders"]] == [1]


async def test_a_query_that_takes_too_long_is_canceled_and_said(
    api: httpx.Client,
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await save(database, tmp_path, [order(1)])
    (table,) = connection.execute("SELECT 'events_' || generation FROM generations").fetchone()
    connection.execute(f"""
        ALTER TABLE {table} RENAME TO slow;
        CREATE VIEW {table} AS SELECT slow.* FROM slow, pg_sleep(60)
    """)
    monkeypatch.setattr("ordertape.limits.database_page_ms_max", 50)
    told = refused(api, f"/orders/{MARKET}", 503)
    assert "longer than 50 ms and was canceled" in told


# A tape that is elsewhere ------------------------------------------------------------------------


def test_a_copied_tape_that_this_machine_has_not_is_answered_from_its_rows(
    api: httpx.Client, database: Address, tmp_path: Path
) -> None:
    market, elsewhere = Market(), MarketFolder(tmp_path / "other machine", *ELSEWHERE)
    write_journal(elsewhere, market.messages(300, step_ns=10**9))
    follow(elsewhere, database)
    everything = answer(api, f"/orders/{MARKET}", limit=10_000)["orders"]
    seqs = [row["sequence"] for row in everything]
    assert seqs == list(range(1, market.next_seq))
    start, end = (everything[at]["metadata"]["ts_recv_ns"] for at in (100, 200))
    period = {"start_time": iso_from_ns(start), "end_time": iso_from_ns(end)}
    wanted = [row for row in everything if start <= row["metadata"]["ts_recv_ns"] < end]
    assert pages(api, limit=7, **period) == wanted
    assert pages(api, limit=7, order="desc", side="bid", **period) == [
        row for row in reversed(wanted) if row["side"] == "bid"
    ]


def test_a_client_that_leaves_ends_a_page_that_waits_for_a_lock(
    database: Address,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.api_statement_ms_max", 60_000)
    folder = MarketFolder(tmp_path, *ELSEWHERE)
    write_journal(folder, Market().messages(50))
    follow(folder, database)
    (leaf,) = leaves(connection)

    def waiting() -> int:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ordertape api' "
            "AND state = 'active' AND wait_event_type = 'Lock'"
        ).fetchone()
        assert found is not None
        return int(found[0])

    # A connection of its own: what one transaction sees of the activity stays as it is.
    with (
        interface(tmp_path, database) as api,
        connect(database) as locking,
        locking.transaction(),
    ):
        locking.execute(f"LOCK TABLE {leaf.name} IN ACCESS EXCLUSIVE MODE".encode())
        place = urlsplit(api.address)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(
                f"GET {place.path}/orders/{MARKET} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            )
            wait_for(lambda: waiting() == 1, "the query")
        wait_for(lambda: waiting() == 0, "its end", 5)


async def test_queries_that_read_all_of_a_market_hold_up_no_page_and_refuse_the_next(
    database: Address, tmp_path: Path
) -> None:
    """As many ask for figures as there are threads and connections, and a lock stops them all."""
    folder, market = MarketFolder(tmp_path, "x", "ONE"), Market()
    write_journal(folder, market.messages(50))
    follow(folder, database)
    await save(database, tmp_path, [order(1)])
    limit = {"limit": 1_000, "order": "asc"}

    def waiting() -> int:
        with connect(database) as looking:
            found = looking.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ordertape api' "
                "AND state = 'active' AND wait_event_type = 'Lock'"
            ).fetchone()
        assert found is not None
        return int(found[0])

    with (
        interface(tmp_path, database) as api,
        httpx.Client(base_url=api.address, timeout=120) as client,
        ThreadPoolExecutor(limits.api_threads) as beside,
        connect(database) as locking,
    ):
        figures = f"{api.address}/statistics/{MARKET}"
        before = answer(client, "/orders/x/ONE", **limit)["orders"]
        with locking.transaction():
            locking.execute("LOCK TABLE level3_gaps IN ACCESS EXCLUSIVE MODE")
            asked = [
                beside.submit(httpx.get, figures, timeout=120) for _ in range(limits.api_threads)
            ]
            wait_for(
                lambda: waiting() + sum(one.done() for one in asked) == len(asked),
                "each to wait in PostgreSQL or to be answered",
            )
            held, took = waiting(), []
            began = time.monotonic()
            assert answer(client, "/orders/x/ONE", **limit)["orders"] == before
            took.append(time.monotonic() - began)
            began = time.monotonic()
            assert "ask again" in refused(client, f"/statistics/{MARKET}", 503)
            took.append(time.monotonic() - began)
            assert waiting() == held > 0  # nobody had to end first
        told = sorted(one.result().status_code for one in asked)
    assert told == [200] * held + [503] * (len(asked) - held)
    assert len(before) == market.next_seq - 1
    assert max(took) < 2 * slowness()


def test_a_database_without_tables_has_no_market_and_one_that_is_away_can_t_be_asked(
    tmp_path: Path, embedded_server: EmbeddedServer
) -> None:
    for address, status, ending in (
        (Address("nothing_yet", embedded=embedded_server), 404, f"never collected in {tmp_path}"),
        (Address("any", url="postgresql://127.0.0.1:9/x"), 503, "said: it does not answer"),
    ):
        with interface(tmp_path, address) as api:
            told = sentence(httpx.get(f"{api.address}/orders/bitfinex/LTC/USD"), status)
        assert told.startswith("bitfinex LTC/USD was never collected in")
        assert told.endswith(ending)
