"""Contract, Python: `L3Repository` method by method, on the server's database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest

from ordertape import (
    L3Order,
    L3Orderbook,
    L3Repository,
    L3Snapshot,
    L3StreamStatus,
    StartL3Request,
)
from ordertape.database.address import connect
from ordertape.errors import SaveRefused, UnknownMarket
from ordertape.models import L3BookOrder, L3Statistics, datetime_from_ns, iso_from_ns
from ordertape.tape.rebuild import rebuild
from support.contract import BOTH_DATABASES, METADATA
from support.processes import wait_for
from support.served import EXACT, LIVE, Served, exact

pytestmark = BOTH_DATABASES

_markets = count(1)


@pytest.fixture
async def repository(server: Served) -> AsyncIterator[L3Repository]:
    url = server.environment["DATABASE_URL"] or None
    async with L3Repository(url, schema=server.schema, data=server.data) as opened:
        yield opened


@pytest.fixture
def elsewhere() -> str:
    """A market nobody collects."""
    return f"E{next(_markets)}-USD"


def an_order(symbol: str, sequence: int = 1, **changes: object) -> L3Order:
    made = {
        "exchange": "elsewhere",
        "symbol": symbol,
        "order_id": f"order {sequence}",
        "sequence": sequence,
        "side": "bid",
        "price": Decimal("90071992547.40993"),
        "size": Decimal("0.00000001"),
        "event_type": "open",
        "timestamp": datetime(2026, 11, 22, 7, 0, sequence, tzinfo=UTC),
        "metadata": {},
    }
    return L3Order(**{**made, **changes})


def followed(server: Served, rows: int) -> None:
    """The live market has so many rows."""
    query = "SELECT count(*) FROM level3_orders WHERE exchange = 'bitfinex' AND symbol = %s"

    def there() -> bool:
        found = connection.execute(query, [LIVE]).fetchone()
        return found is not None and found[0] >= rows

    with connect(server.database()) as connection:
        wait_for(there, f"{rows} rows")


# Models -------------------------------------------------------------------------------------------


def test_a_start_request_is_the_body_of_start(server: Served) -> None:
    wish = StartL3Request(symbol=LIVE, exchanges=["bitfinex"], snapshot_interval_seconds=60)
    assert wish.persist is True
    answer = server.post("/start", wish.model_dump())
    status = L3StreamStatus.model_validate_json(answer.text)
    assert (status.symbol, status.is_active) == (LIVE, True)


def test_models_hold_decimals_exact_from_the_interface_and_back(server: Served) -> None:
    text = server.get(f"/orders/bitfinex/{EXACT}", order_id="small").text
    body = text[text.index('"orders":[') + len('"orders":[') : text.index('],"next_cursor"')]
    order = L3Order.model_validate_json(body)
    assert (order.price, order.size) == (Decimal("0.00000001"), Decimal("90071992547.40993001"))
    assert '"price":0.00000001,"size":90071992547.40993001' in order.model_dump_json()


# Reading ------------------------------------------------------------------------------------------


async def test_get_orders_gives_a_list_and_a_cursor(
    server: Served, repository: L3Repository
) -> None:
    followed(server, 300)
    page, cursor = await repository.get_orders("bitfinex", LIVE, None, None, 100, None)
    assert [order.sequence for order in page] == list(range(1, 101))
    assert cursor is not None
    following, _ = await repository.get_orders("bitfinex", LIVE, limit=100, cursor=cursor)
    assert following[0].sequence == 101
    shown = server.answer(f"/orders/bitfinex/{LIVE}", limit=100)["orders"]
    assert [exact(order.model_dump_json()) for order in page] == shown
    assert all(set(order.metadata) <= METADATA for order in page)


async def test_get_orders_starts_inclusive_and_ends_exclusive(
    server: Served, repository: L3Repository
) -> None:
    followed(server, 300)
    everything, _ = await repository.get_orders("bitfinex", LIVE, limit=200)
    times = [order.metadata["ts_recv_ns"] for order in everything]
    start, end = times[50], times[150]
    found, cursor = await repository.get_orders(
        "bitfinex", LIVE, iso_from_ns(start), iso_from_ns(end)
    )
    expected = [o for o, ts in zip(everything, times, strict=True) if start <= ts < end]
    assert (found, cursor) == (expected, None)


async def test_get_latest_snapshot_is_a_whole_book_or_none(
    server: Served, repository: L3Repository
) -> None:
    followed(server, 1)
    assert await repository.get_latest_snapshot("nowhere", "A-B") is None
    found = await repository.get_latest_snapshot("bitfinex", LIVE)
    assert isinstance(found, L3Snapshot)
    assert found.statistics.bid_count == len(found.bids)
    assert found.best_bid == found.bids[0].price


async def test_rebuild_orderbook_is_the_book_as_it_stood(
    server: Served, repository: L3Repository
) -> None:
    followed(server, 300)
    page, _ = await repository.get_orders("bitfinex", LIVE, limit=300)
    at = page[-1].metadata["ts_recv_ns"]
    book = await repository.rebuild_orderbook("bitfinex", LIVE, at=at)
    assert isinstance(book, L3Orderbook)
    expected = rebuild(server.data, "bitfinex", LIVE, at=at)
    assert book.sequence == expected.seq
    shown = [(order.order_id, order.price, order.size) for order in book.bids]
    assert shown == expected.orders(0)
    newest = await repository.rebuild_orderbook("bitfinex", LIVE)
    assert newest.sequence >= book.sequence
    with pytest.raises(UnknownMarket):
        await repository.rebuild_orderbook("nowhere", "A-B")


async def test_get_statistics_is_a_dict(server: Served, repository: L3Repository) -> None:
    followed(server, 300)
    found = await repository.get_statistics("bitfinex", LIVE)
    assert isinstance(found, dict)
    assert set(found) >= {"total_orders", "unique_orders", "by_event_type", "traded_volume"}
    assert sum(found["by_event_type"].values()) == found["total_orders"] >= 300


# Saving -------------------------------------------------------------------------------------------


async def test_save_order_is_a_bool(repository: L3Repository, elsewhere: str) -> None:
    assert await repository.save_order(an_order(elsewhere)) is True
    assert await repository.save_order(an_order(elsewhere)) is False
    page, _ = await repository.get_orders("elsewhere", elsewhere)
    assert [(o.price, o.size) for o in page] == [(Decimal("90071992547.40993"), Decimal("1e-8"))]


async def test_save_orders_batch_is_an_int(repository: L3Repository, elsewhere: str) -> None:
    orders = [an_order(elsewhere, sequence) for sequence in (1, 2, 3)]
    assert await repository.save_orders_batch(orders[:2]) == 2
    assert await repository.save_orders_batch(orders) == 1
    assert await repository.save_orders_batch([]) == 0


async def test_save_snapshot_is_a_bool(repository: L3Repository, elsewhere: str) -> None:
    order = L3BookOrder(order_id="1", price=Decimal("0.10"), size=Decimal(2))
    figures = L3Statistics(
        total_orders=1,
        bid_count=1,
        ask_count=0,
        total_bid_volume=order.size,
        total_ask_volume=Decimal(0),
        best_bid=order.price,
    )
    book = L3Snapshot(
        exchange="elsewhere",
        symbol=elsewhere,
        sequence=4,
        timestamp=datetime_from_ns(1_792_000_000 * 10**9),
        ts_recv_ns=1_792_000_000 * 10**9,
        era=1,
        bids=[order],
        statistics=figures,
    )
    assert await repository.save_snapshot(book) is True
    assert await repository.save_snapshot(book) is False
    assert await repository.get_latest_snapshot("elsewhere", elsewhere) == book


async def test_the_saving_three_refuse_a_market_that_is_being_collected(
    server: Served, repository: L3Repository
) -> None:
    followed(server, 1)
    order = an_order(LIVE, exchange="bitfinex")
    book = await repository.get_latest_snapshot("bitfinex", LIVE)
    assert book is not None
    with pytest.raises(SaveRefused, match="collected"):
        await repository.save_order(order)
    with pytest.raises(SaveRefused, match="collected"):
        await repository.save_orders_batch([order])
    with pytest.raises(SaveRefused, match="collected"):
        await repository.save_snapshot(book)


async def test_what_was_saved_is_answered_by_the_server(
    server: Served, repository: L3Repository, elsewhere: str
) -> None:
    await repository.save_order(an_order(elsewhere))
    answer = server.get(f"/orders/elsewhere/{elsewhere}")
    assert answer.status_code == 200
    assert '"price":90071992547.40993,"size":0.00000001' in answer.text
