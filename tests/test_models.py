"""The public models: exact numbers, times to the nanosecond, contract's fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pydantic import ValidationError

from ordertape._engine import OrderBook
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.models import (
    L3EventType,
    L3Order,
    L3Orderbook,
    L3Side,
    L3Snapshot,
    datetime_from_ns,
    iso_from_ns,
    orders_of,
)
from support.events import TS, batch

ORDER = {
    "exchange": "bitfinex",
    "symbol": "BTC/USDT",
    "order_id": "17",
    "sequence": 3,
    "side": "bid",
    "price": Decimal("41643.95858045"),
    "size": "0.10",
    "event_type": "open",
    "timestamp": datetime(2026, 11, 22, 7, tzinfo=UTC),
}


def test_a_price_keeps_every_digit_and_is_a_plain_json_number() -> None:
    order = L3Order(**{**ORDER, "price": "1234567890123456789.123456789012345678", "size": "1e-7"})
    text = order.model_dump_json()
    assert '"price":1234567890123456789.123456789012345678' in text
    assert '"size":0.0000001' in text
    again = L3Order.model_validate_json(text)
    assert again == order
    assert isinstance(again.price, Decimal)


def test_trailing_zeros_are_not_shown() -> None:
    order = L3Order(**{**ORDER, "price": "100.00"})
    assert '"price":100,"size":0.1,' in order.model_dump_json()


def test_a_float_is_refused() -> None:
    with pytest.raises(ValidationError, match="is a float, expected a Decimal"):
        L3Order(**{**ORDER, "price": 0.1})
    with pytest.raises(ValidationError, match="finite"):
        L3Order(**{**ORDER, "price": "NaN"})


def test_times_are_utc_and_naive_ones_are_taken_as_utc() -> None:
    seven = datetime(2026, 11, 22, 7, tzinfo=UTC)
    west = timezone(timedelta(hours=-5))
    for given in (
        datetime(2026, 11, 22, 7),  # noqa: DTZ001 - naive on purpose
        "2026-11-22T07:00:00",
        "2026-11-22T07:00:00.000000000Z",
        datetime(2026, 11, 22, 2, tzinfo=west),
    ):
        order = L3Order(**{**ORDER, "timestamp": given})
        assert order.timestamp == seven
        assert order.timestamp.utcoffset() == timedelta()
        assert json.loads(order.model_dump_json())["timestamp"] == "2026-11-22T07:00:00Z"
    with pytest.raises(ValidationError, match="timestamp"):
        L3Order(**{**ORDER, "timestamp": "yesterday"})


def test_nanoseconds_are_shown_where_they_are_known() -> None:
    order = L3Order(**{**ORDER, "timestamp": datetime_from_ns(TS), "metadata": {"ts_event_ns": TS}})
    assert json.loads(order.model_dump_json())["timestamp"] == iso_from_ns(TS)
    assert iso_from_ns(TS).endswith(".123456789Z")
    assert iso_from_ns(TS - 789).endswith(".123456Z")
    assert iso_from_ns(TS - 123_456_789).endswith(":40Z")


def test_the_fields_are_those_of_the_contract() -> None:
    assert list(L3Order.model_fields) == [
        "exchange",
        "symbol",
        "order_id",
        "sequence",
        "side",
        "price",
        "size",
        "event_type",
        "timestamp",
        "metadata",
    ]
    assert [kind.value for kind in L3EventType] == [kind.name.lower() for kind in EventKind]
    assert [kind.kind for kind in L3EventType] == list(EventKind)
    assert [(side.value, side.code) for side in L3Side] == [("bid", Side.BID), ("ask", Side.ASK)]


def test_events_of_a_batch_become_orders_and_its_snapshot_does_not() -> None:
    orders = list(orders_of(batch(), "bitfinex", "BTC/USDT", era=1))
    assert [order.event_type for order in orders] == [
        "clear",
        "open",
        "change",
        "match",
        "done",
        "trade",
    ]
    clear, opened, changed, match, done, trade = orders
    assert (clear.order_id, clear.side, clear.price, clear.size) == (None, None, None, None)
    assert (opened.price, opened.size, opened.side) == (99, Decimal("0.7"), L3Side.BID)
    assert opened.timestamp == datetime_from_ns(TS)
    assert clear.timestamp == datetime_from_ns(TS + 1000)
    assert clear.metadata == {"ts_recv_ns": TS + 1000, "era": 1}
    assert opened.metadata == {
        "venue_seq": 70,
        "ts_event_ns": TS,
        "ts_recv_ns": TS + 1000,
        "era": 1,
    }
    assert changed.metadata["reason"] == "amended"
    assert match.metadata["trade_id"] == "t9"
    assert (match.metadata["taker_side"], match.metadata["inferred"]) == ("bid", True)
    assert done.metadata["reason"] == "canceled"
    assert (trade.order_id, trade.metadata["trade_id"]) == (None, "t10")
    assert json.loads(clear.model_dump_json())["price"] is None


def test_a_change_tells_what_was_before_it_once_the_book_has_seen_it() -> None:
    events = batch()
    OrderBook().apply(events)
    changed = next(order for order in orders_of(events, "x", "y") if order.event_type == "change")
    assert changed.metadata["old_price"] == 99
    assert changed.metadata["old_size"] == Decimal("0.7")
    assert '"old_size":0.7' in changed.model_dump_json()


def test_a_snapshot_has_statistics_over_all_orders_and_depth_cuts_only_the_lists() -> None:
    book = OrderBook(price_scale=2, size_scale=1)
    for side, order_id, price, size in [
        (Side.BID, 1, "100.5", "2"),
        (Side.BID, 2, "100.5", "3"),
        (Side.BID, 3, "99", "0.5"),
        (Side.ASK, 4, "101", "7"),
    ]:
        book.apply_one(EventKind.OPEN, side, order_id, price, size)
    snapshot = L3Snapshot.from_book("bitfinex", "BTC/USDT", book, depth=2)
    assert [(bid.order_id, bid.price, bid.size) for bid in snapshot.bids] == [
        ("1", Decimal("100.5"), 2),
        ("2", Decimal("100.5"), 3),
    ]
    answer = json.loads(snapshot.model_dump_json())
    assert answer["statistics"] == {
        "total_orders": 4,
        "bid_count": 3,
        "ask_count": 1,
        "total_bid_volume": 5.5,
        "total_ask_volume": 7,
        "best_bid": 100.5,
        "best_ask": 101,
        "spread": 0.5,
        "mid_price": 100.75,
    }
    assert answer["asks"] == [{"order_id": "4", "price": 101, "size": 7}]
    whole = L3Orderbook.from_book("bitfinex", "BTC/USDT", book)
    assert (len(whole.bids), whole.best_bid, whole.best_ask) == (3, Decimal("100.5"), 101)
    assert L3Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_an_empty_book_has_no_best_prices() -> None:
    snapshot = L3Snapshot.from_book("x", "y", OrderBook(price_scale=2, size_scale=1))
    assert snapshot.statistics.best_bid is snapshot.statistics.mid_price is None
    assert (snapshot.best_ask, snapshot.bids) == (None, [])


def test_flags_and_reasons_have_their_documented_codes() -> None:
    assert (Flag.LAST, Flag.INFERRED, Reason.AMENDED) == (2, 4, 4)
