"""L3Repository gives rows as models, page by page, and takes rows from elsewhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ordertape import L3EventType, L3Order, L3Repository, L3Side, L3Snapshot, limits
from ordertape.database.address import Address, connect
from ordertape.database.cursor import encode_cursor
from ordertape.database.follower import MarketFollower
from ordertape.errors import (
    DatabaseError,
    DatabaseUnavailable,
    NumberRefused,
    SaveRefused,
    SchemaRefused,
    SettingRefused,
    UnknownMarket,
)
from ordertape.models import L3BookOrder, L3Statistics, datetime_from_ns, iso_from_ns
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.processes import wait_for
from support.tape import START, Market, write_journal

MARKET = ("bitfinex", "BTC/USDT")
TS = START + 123_456_789


@pytest.fixture
async def repository(database: Address, tmp_path: Path) -> AsyncIterator[L3Repository]:
    async with L3Repository(address=database, data=tmp_path / "data") as opened:
        yield opened


def copied(database: Address, data: Path, messages: int, **options: int) -> Market:
    """A market whose tape is in the database."""
    folder, market = MarketFolder(data, *MARKET), Market()
    write_journal(folder, market.messages(messages, **options))
    with connect(database) as connection:
        follower = MarketFollower(folder, connection, database, days=None)
        while follower.step(final=True):
            pass
        follower.close()
    return market


def an_order(sequence: int = 1, **changes: object) -> L3Order:
    made = {
        "exchange": "elsewhere",
        "symbol": "A-B",
        "order_id": f"order {sequence}",
        "sequence": sequence,
        "side": "bid",
        "price": Decimal("1.0000000000001"),
        "size": Decimal("123456.5"),
        "event_type": "open",
        "timestamp": datetime_from_ns(TS),
        "metadata": {"ts_recv_ns": TS},
    }
    return L3Order(**{**made, **changes})


async def pages(repository: L3Repository, limit: int, **more: object) -> list[list[L3Order]]:
    found, cursor = [], None
    while True:
        page, cursor = await repository.get_orders(*MARKET, limit=limit, cursor=cursor, **more)
        found.append(page)
        if cursor is None:
            return found
        assert set(cursor) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        )


# Pages --------------------------------------------------------------------------------------------


async def test_pages_meet_without_a_seam_in_both_orders(
    repository: L3Repository, database: Address, tmp_path: Path
) -> None:
    market = copied(database, tmp_path / "data", 120)
    everything = list(range(1, market.next_seq))
    for order in ("asc", "desc"):
        found = await pages(repository, 50, order=order)
        assert [len(page) for page in found[:-1]] == [50] * (len(found) - 1)
        seqs = [row.sequence for page in found for row in page]
        assert seqs == (everything if order == "asc" else everything[::-1])


async def test_times_are_inclusive_at_the_start_and_exclusive_at_the_end(
    repository: L3Repository, database: Address, tmp_path: Path
) -> None:
    copied(database, tmp_path / "data", 300)
    everything = (await repository.get_orders(*MARKET, limit=10_000))[0]
    times = [order.metadata["ts_recv_ns"] for order in everything]
    choice = random.Random(5)
    for _ in range(20):
        start, end = sorted((choice.choice(times), choice.choice(times) + choice.choice((0, 1))))
        wanted = [o for o, ts in zip(everything, times, strict=True) if start <= ts < end]
        for order in ("asc", "desc"):
            found = (
                await repository.get_orders(*MARKET, start, iso_from_ns(end), 10_000, order=order)
            )[0]
            assert found == (wanted if order == "asc" else wanted[::-1])
    assert await repository.get_orders(*MARKET, start_time=times[-1] + 1) == ([], None)
    assert (await repository.get_orders(*MARKET, end_time=times[0]))[0] == []


async def test_filters_find_the_same_rows_however_little_a_page_reads(
    repository: L3Repository, database: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(database, tmp_path / "data", 300)
    everything = (await repository.get_orders(*MARKET, limit=10_000))[0]
    prices = sorted(order.price for order in everything if order.price is not None)
    low, high = prices[len(prices) // 3], prices[2 * len(prices) // 3]
    filters: list[tuple[dict[str, object], list[L3Order]]] = [
        ({"side": "ask"}, [o for o in everything if o.side == "ask"]),
        ({"event_type": L3EventType.MATCH}, [o for o in everything if o.event_type == "match"]),
        (
            {"min_price": low, "max_price": high, "side": L3Side.BID},
            [o for o in everything if o.side == "bid" and o.price and low <= o.price <= high],
        ),
        (
            {"min_size": Decimal("99.5")},
            [o for o in everything if o.size is not None and o.size >= Decimal("99.5")],
        ),
    ]
    for scanned in (7, 100, 200_000):
        monkeypatch.setattr(limits, "page_scan_rows_max", scanned)
        for wanted, rows in filters:
            for order in ("asc", "desc"):
                found = [
                    o for page in await pages(repository, 40, order=order, **wanted) for o in page
                ]
                assert found == (rows if order == "asc" else rows[::-1])


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"limit": 0}, "limit is 0: expected 1 to 10000"),
        ({"limit": 10_001}, "limit is 10001"),
        ({"order": "up"}, "order is 'up': expected asc or desc"),
        ({"side": "left"}, "side is 'left': expected one of bid, ask"),
        ({"event_type": "fill"}, "event_type is 'fill': expected one of open"),
        ({"cursor": "garbage!"}, "expected a next_cursor of ours"),
        ({"cursor": encode_cursor(7, "another query")}, "expected the query that the cursor came"),
        ({"start_time": "yesterday"}, "expected a time like"),
    ],
)
async def test_what_can_not_be_asked_is_said_in_one_sentence(
    repository: L3Repository, wrong: dict[str, object], expected: str
) -> None:
    with pytest.raises(SettingRefused, match=expected):
        await repository.get_orders(*MARKET, **wrong)


async def test_a_query_that_takes_too_long_is_canceled_and_said(
    repository: L3Repository, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        monkeypatch.context() as hasty,
        connect(database) as opened,
        opened.transaction(),
    ):
        hasty.setattr(limits, "database_page_ms_max", 20)
        opened.execute("LOCK TABLE markets IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match="was canceled: ask for less"):
            await repository.get_orders(*MARKET)
    assert await repository.get_orders(*MARKET) == ([], None)


async def test_who_stops_waiting_ends_the_query(
    repository: L3Repository, database: Address, connection: psycopg.Connection
) -> None:
    def waiting() -> int:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND application_name = 'ordertape repository'"
        ).fetchone()
        assert found is not None
        return int(found[0])

    with connect(database) as opened, opened.transaction():
        opened.execute("LOCK TABLE markets IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(repository.get_orders(*MARKET))
        await asyncio.to_thread(wait_for, lambda: waiting() == 1, "the query")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert waiting() == 0


# Figures ------------------------------------------------------------------------------------------


async def test_statistics_count_what_is_there(
    repository: L3Repository, database: Address, tmp_path: Path
) -> None:
    copied(database, tmp_path / "data", 200, clear_every=90)
    everything = (await repository.get_orders(*MARKET, limit=10_000))[0]
    found = await repository.get_statistics(*MARKET)
    assert found["total_orders"] == len(everything)
    assert found["unique_orders"] == len({o.order_id for o in everything if o.order_id})
    for kind in L3EventType:
        counted = sum(o.event_type == kind for o in everything)
        assert found["by_event_type"][kind.value] == counted
    assert found["by_side"]["bid"] == sum(o.side == "bid" for o in everything)
    traded = sum(o.size for o in everything if o.event_type in ("match", "trade") and o.size)
    assert found["traded_volume"] == traded
    assert found["first_order"] == iso_from_ns(everything[0].metadata["ts_recv_ns"])
    assert found["events_per_second"]["peak"] <= len(everything)
    assert found["gaps"] == {"count": 0, "seconds": 0}
    assert found["snapshots"] == 3
    assert found["live"]["total_orders"] >= 0
    with pytest.raises(UnknownMarket):
        await repository.get_statistics("nowhere", "X")


async def test_a_market_that_is_not_there_has_no_rows(repository: L3Repository) -> None:
    assert await repository.get_orders("nowhere", "X") == ([], None)
    assert await repository.get_latest_snapshot("nowhere", "X") is None
    with pytest.raises(UnknownMarket):
        await repository.rebuild_orderbook("nowhere", "X")


# Saving -------------------------------------------------------------------------------------------


async def test_what_was_saved_comes_back_as_it_was(repository: L3Repository) -> None:
    orders = [
        an_order(1),
        an_order(2, side="ask", price=Decimal("2"), size=Decimal("0.00000001")),
        an_order(
            5,
            order_id="order 1",
            event_type="change",
            size=Decimal("3"),
            metadata={
                "ts_recv_ns": TS + 5,
                "ts_event_ns": TS + 1,
                "reason": "amended",
                "old_price": Decimal("1.0000000000001"),
                "old_size": Decimal("123456.5"),
                "era": 3,
                "venue_seq": 77,
            },
            timestamp=datetime_from_ns(TS + 1),
        ),
        an_order(
            6,
            event_type="match",
            order_id="order 1",
            metadata={
                "ts_recv_ns": TS - 9,
                "trade_id": "t",
                "taker_order_id": "x",
                "taker_side": "ask",
                "inferred": True,
                "late": True,
            },
        ),
        an_order(7, event_type="clear", order_id=None, side=None, price=None, size=None),
    ]
    assert await repository.save_order(orders[0]) is True
    assert await repository.save_order(orders[0]) is False
    assert await repository.save_orders_batch(orders) == 4
    assert await repository.save_orders_batch([*orders, *orders]) == 0
    found, cursor = await repository.get_orders("elsewhere", "A-B")
    assert cursor is None
    for before, after in zip(orders, found, strict=True):
        assert after == before
    only = (await repository.get_orders("elsewhere", "A-B", start_time=TS))[0]
    assert [order.sequence for order in only] == [1, 2, 5, 7]


async def test_a_book_of_saved_rows_is_rebuilt(repository: L3Repository) -> None:
    await repository.save_orders_batch(
        [
            an_order(1),
            an_order(2, size=Decimal(7), metadata={"ts_recv_ns": TS + 1}),
            an_order(3, order_id="order 1", event_type="done", metadata={"ts_recv_ns": TS + 2}),
        ]
    )
    book = await repository.rebuild_orderbook("elsewhere", "A-B", TS + 1)
    assert [order.order_id for order in book.bids] == ["order 1", "order 2"]
    book = await repository.rebuild_orderbook("elsewhere", "A-B")
    assert [(order.order_id, order.size) for order in book.bids] == [("order 2", Decimal(7))]


async def test_a_saved_book_comes_back_with_every_digit(repository: L3Repository) -> None:
    bids = [L3BookOrder(order_id='a "b"', price=Decimal("1e-10"), size=Decimal("12345678901.5"))]
    asks = [L3BookOrder(order_id="2", price=Decimal(3), size=Decimal(4))]
    figures = L3Statistics(
        total_orders=2,
        bid_count=1,
        ask_count=1,
        total_bid_volume=bids[0].size,
        total_ask_volume=asks[0].size,
        best_bid=bids[0].price,
        best_ask=asks[0].price,
        spread=asks[0].price - bids[0].price,
        mid_price=(asks[0].price + bids[0].price) / 2,
    )
    book = L3Snapshot(
        exchange="elsewhere",
        symbol="A-B",
        sequence=9,
        timestamp=datetime_from_ns(TS),
        ts_recv_ns=TS,
        era=1,
        bids=bids,
        asks=asks,
        statistics=figures,
    )
    assert await repository.save_snapshot(book) is True
    assert await repository.save_snapshot(book) is False
    assert await repository.get_latest_snapshot("elsewhere", "A-B") == book


async def test_a_market_that_is_collected_is_refused(
    repository: L3Repository, database: Address, tmp_path: Path
) -> None:
    order = an_order(1, exchange=MARKET[0], symbol=MARKET[1])
    folder = MarketFolder(tmp_path / "data", *MARKET)
    with JournalWriter(folder), pytest.raises(SaveRefused, match="is being collected"):
        await repository.save_order(order)
    copied(database, tmp_path / "data", 5)
    with pytest.raises(SaveRefused, match="its rows come from its tape"):
        await repository.save_order(order)


@pytest.mark.parametrize(
    ("changes", "error", "expected"),
    [
        ({"metadata": {"colour": "red"}}, SaveRefused, "metadata has 'colour'"),
        ({"metadata": {"reason": "bored"}}, SaveRefused, "reason is 'bored'"),
        ({"sequence": 0}, SaveRefused, "sequence is 0"),
        ({"price": Decimal("123456789012345678901")}, NumberRefused, "price"),
        ({"size": Decimal("1e-20")}, NumberRefused, "size .* has 20 digits after the point"),
    ],
)
async def test_what_no_column_holds_is_refused_and_nothing_is_saved(
    repository: L3Repository, changes: dict[str, object], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        await repository.save_orders_batch([an_order(1), an_order(**{"sequence": 2, **changes})])
    assert await repository.get_orders("elsewhere", "A-B") == ([], None)


# Opening ------------------------------------------------------------------------------------------


async def test_a_server_without_our_tables_is_named(
    database: Address, connection: psycopg.Connection, tmp_path: Path
) -> None:
    elsewhere = Address("nothing_here", url=database.conninfo())
    with pytest.raises(SchemaRefused, match="run `ordertape db create`"):
        async with L3Repository(address=elsewhere, data=tmp_path):
            pass


async def test_a_server_that_is_away_is_said() -> None:
    with pytest.raises(DatabaseUnavailable):
        async with L3Repository("postgresql://127.0.0.1:1/x"):
            pass


async def test_it_is_used_as_a_context() -> None:
    with pytest.raises(DatabaseError, match="async with"):
        await L3Repository("postgresql://127.0.0.1:1/x").get_orders(*MARKET)
