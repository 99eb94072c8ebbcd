"""The `full` channel to events to the book: what each message means, and what a loss leads to."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from ordertape.events import EventKind, Flag, Reason
from ordertape.venues.session import Action
from support.coinbase import BUY, PRODUCT, SELL, START_NS, PlainCoinbase
from support.coinbase_life import Life, fault

T = START_NS


# What messages mean -------------------------------------------------------------------------------
def test_an_open_appends_an_order_with_the_venues_time_and_sequence() -> None:
    life = Life(orders=4).synced()
    life.send(*life.venue.open(BUY, "19999.5", "0.25"))
    (event,) = life.events
    assert event["kind"] == EventKind.OPEN
    assert (event["price"], event["size"]) == (Decimal("19999.5"), Decimal("0.25"))
    assert event["venue_seq"] == life.venue.sequence
    assert event["ts_event"] == life.venue.ns
    assert event["flags"] == Flag.LAST
    assert life.equal


def test_a_received_order_touches_no_book_and_is_no_event() -> None:
    life = Life(orders=4).synced()
    life.send(life.venue.received(life.venue.new_id(), BUY, "1", "1"))
    assert life.events == []
    assert life.session.feed.counters["received"] == 1


def test_a_match_names_maker_and_taker_and_its_done_touches_nothing() -> None:
    life = Life(orders=4).synced()
    maker = life.venue.rows()[0][2]
    taker = life.venue.new_id()
    life.send(*life.venue.trade(maker, taker, Decimal("1.5")))
    match, done = life.events
    assert (match["kind"], match["order_id"], match["taker_order_id"]) == (
        EventKind.MATCH,
        maker,
        taker,
    )
    assert (match["side"], match["taker_side"], match["trade_id"]) == (0, 1, "7001")
    assert (done["kind"], done["reason"]) == (EventKind.DONE, Reason.FILLED)
    assert (done["size"], done["price"]) == (Decimal(0), Decimal("19999.99"))
    assert life.equal


def test_a_partly_filled_maker_keeps_its_place() -> None:
    life = Life(orders=2)
    first = life.venue.add(SELL, "20000.01", "1")
    life.synced()
    maker = life.venue.levels[SELL][Decimal("20000.01")][0][0]
    life.send(*life.venue.trade(maker, life.venue.new_id(), Decimal("0.5")))
    assert [order for order, _ in life.session.book.queue("20000.01")] == [maker, first]
    assert life.equal


def test_a_cancel_tells_what_was_left() -> None:
    life = Life(orders=4).synced()
    life.send(*life.venue.cancel(life.venue.rows()[0][2]))
    (event,) = life.events
    assert (event["kind"], event["reason"]) == (EventKind.DONE, Reason.CANCELED)
    assert event["size"] == Decimal("1.5")
    assert life.equal


def test_the_end_of_an_order_that_never_rested_is_counted_only() -> None:
    life = Life(orders=4).synced()
    life.send(life.venue.say("done", order_id=life.venue.new_id(), reason="canceled", side=BUY))
    assert life.events == []
    assert life.session.feed.counters["never_rested"] == 1


def test_a_market_order_without_price_eats_through_levels() -> None:
    life = Life(orders=8).synced()
    life.send(*life.venue.market(BUY, "4"))
    assert [event["kind"] for event in life.events].count(EventKind.MATCH) == 3
    assert life.session.feed.counters["never_rested"] == 1
    assert life.equal


@pytest.mark.parametrize(
    ("price", "size", "keeps"),
    [
        ("20000.01", "1", True),
        ("20000.01", "1.5", True),
        ("20000.01", "2", False),
        ("20000.02", "1.5", False),
    ],
)
def test_an_amended_order_keeps_its_place_only_where_its_size_falls(
    price: str, size: str, keeps: bool
) -> None:
    life = Life(orders=4)
    behind = life.venue.add(SELL, price, "1")
    life.synced()
    order = life.venue.levels[SELL][Decimal("20000.01")][0][0]
    life.send(life.venue.modify(order, price, size))
    (event,) = life.events
    assert (event["kind"], event["reason"]) == (EventKind.CHANGE, Reason.AMENDED)
    assert (event["price_before"], event["size_before"]) == (Decimal("20000.01"), Decimal("1.5"))
    queue = [found for found, _ in life.session.book.queue(price)]
    assert (queue.index(order) < queue.index(behind)) is keeps
    assert life.equal


def test_a_prevented_self_trade_reduces_in_place() -> None:
    life = Life(orders=4).synced()
    life.send(life.venue.self_trade(life.venue.rows()[0][2], "0.5"))
    (event,) = life.events
    assert (event["reason"], event["size"]) == (Reason.SELF_TRADE, Decimal("0.5"))
    assert life.equal


def test_a_change_of_funds_or_of_an_order_that_does_not_rest_is_counted_only() -> None:
    life = Life(orders=4).synced()
    funds = {"old_funds": "10", "new_funds": "5", "reason": "STP", "price": None}
    life.send(life.venue.say("change", order_id=life.venue.new_id(), side=BUY, **funds))
    sizes = {"old_size": "10", "new_size": "5", "reason": "modify_order"}
    life.send(life.venue.say("change", order_id=life.venue.new_id(), side=BUY, **sizes))
    assert life.events == []
    assert life.session.feed.counters["changes_of_others"] == 2
    assert life.equal


def test_a_resting_order_that_takes_gets_a_change_of_its_own() -> None:
    """It was amended across the spread: matches at the new price, then what remains of it."""
    life = Life(orders=4).synced()
    venue = life.venue
    buyer, seller = venue.levels[BUY][Decimal("19999.99")][0][0], venue.rows()[2][2]
    venue.entry(buyer)[1] -= Decimal("1")
    life.send(*venue.trade(seller, buyer, Decimal("1")))
    taken = life.events[1]
    assert (taken["kind"], taken["reason"]) == (EventKind.CHANGE, Reason.TRADED_AS_TAKER)
    assert (taken["order_id"], taken["size"], taken["price"]) == (
        buyer,
        Decimal("0.5"),
        Decimal("19999.99"),
    )
    venue.take_out(buyer)
    venue._put(buyer, BUY, Decimal("20000"), Decimal("0.5"))
    sizes = {"old_size": "1.5", "new_size": "0.5", "old_price": "19999.99", "new_price": "20000"}
    reason = "remainder_after_modification"
    life.send(venue.say("change", order_id=buyer, side=BUY, reason=reason, **sizes))
    assert life.events[-1]["reason"] == Reason.AMENDED
    assert life.equal


def test_a_resting_order_that_takes_until_it_is_empty_ends_as_filled() -> None:
    life = Life(orders=4).synced()
    venue = life.venue
    buyer, seller = venue.rows()[0][2], venue.rows()[2][2]
    venue.take_out(buyer)
    life.send(*venue.trade(seller, buyer, Decimal("1.5")))
    done = {"order_id": buyer, "reason": "filled", "side": BUY, "price": "20000.01"}
    life.send(venue.say("done", **done, remaining_size="0"))
    assert [event["kind"] for event in life.events] == [
        EventKind.MATCH,
        EventKind.CHANGE,
        EventKind.DONE,
        EventKind.DONE,
    ]
    assert life.events[-1]["price"] == Decimal("19999.99"), "where it rested"
    assert life.equal


def test_an_unknown_type_consumes_its_sequence() -> None:
    life = Life(orders=4).synced()
    life.send(life.venue.say("noop"), *life.venue.open(SELL, "20001", "1"))
    assert life.session.feed.counters["unknown_types"] == 1
    assert life.equal


def test_messages_of_our_own_orders_without_a_sequence_stay_away_from_the_book() -> None:
    life = Life(orders=4).synced()
    own = {"type": "change", "product_id": PRODUCT, "order_id": life.venue.rows()[0][2]}
    life.send(json.dumps({**own, "side": BUY, "reason": "tpsl_triggered", "new_size": "9"}))
    stop = {"type": "activate", "product_id": PRODUCT, "timestamp": "1483736448.299000"}
    life.send(json.dumps({**stop, "order_id": life.venue.new_id(), "private": True}))
    assert life.session.feed.counters["without_sequence"] == 2
    assert life.equal


def test_a_message_of_another_product_stays_away_from_the_book() -> None:
    life = Life(orders=4).synced()
    other = PlainCoinbase(product="ETH-USD", sequence=life.venue.sequence)
    life.send(*other.open(BUY, "1", "1"))
    assert life.session.feed.counters["other_products"] == 2
    assert life.equal


def test_a_number_of_more_digits_grows_the_scales() -> None:
    life = Life(orders=4).synced()
    life.send(*life.venue.open(BUY, "19999.12345678", "0.123456789012"))
    life.send(*life.venue.cancel(life.venue.rows()[0][2]))
    assert life.equal


def test_a_message_alone_takes_no_digits_that_other_numbers_need() -> None:
    life = Life(orders=4).synced()
    scales = life.book_scales
    odd = life.venue.open(BUY, "19999", "1")
    told = life.send(odd[-1].replace('"1"', '"1e-17"').replace("1002", "1001"))
    assert "more digits than leave the book room" in fault(told)[1]
    assert life.book_scales == scales
    life.send(life.venue.heartbeat())
    life.answer(life.asked(), life.venue.rest())
    assert life.equal


def test_thousands_of_steps_leave_the_venues_book() -> None:
    life = Life(seed=7, orders=50).synced()
    for _ in range(3000):
        life.send(*life.venue.step())
    assert [outcome for outcome in life.outcomes if outcome.fault] == []
    assert life.equal
    assert life.session.feed.counters["crossed"] == 0


# Losses -------------------------------------------------------------------------------------------
def test_a_gap_is_found_on_the_next_message_and_heals() -> None:
    life = Life(orders=4).synced()
    life.venue.open(BUY, "19999", "1")
    texts = life.venue.open(BUY, "19998", "1")
    action, reason = fault(life.send(texts[0]))
    assert action is Action.RESYNC
    assert reason == f"sequence {life.venue.sequence - 1}, expected {life.venue.sequence - 3}"
    life.session.resync()
    life.send(texts[1])
    stale = life.asked()
    life.answer(stale, life.venue.rest())
    assert life.equal
    life.send(*life.venue.step())
    assert life.equal


def test_a_heartbeat_shows_a_loss_at_once() -> None:
    life = Life(orders=4).synced()
    life.send(life.venue.heartbeat())
    life.venue.open(BUY, "19999", "1")
    action, _ = fault(life.send(life.venue.heartbeat()))
    assert action is Action.RESYNC
    life.session.resync()
    life.answer(life.asked(), life.venue.rest())
    assert life.equal


def test_a_repeat_changes_nothing() -> None:
    life = Life(orders=4).synced()
    texts = [text for _ in range(20) for text in life.venue.step()]
    life.send(*texts)
    before = len(life.events)
    life.send(*texts)
    assert len(life.events) == before
    assert life.session.feed.counters["late"] == len(texts)
    assert life.equal


def test_a_count_that_begins_anew_is_found() -> None:
    life = Life(orders=4).synced()
    life.send(*life.venue.open(BUY, "19999", "1"))
    life.venue.sequence = 10
    action, reason = fault(life.send(life.venue.open(BUY, "19998", "1")[0]))
    assert action is Action.RESYNC
    assert "counts anew" in reason


@pytest.mark.parametrize("lie", ["maker", "price", "size", "side", "left", "old_size", "twin"])
def test_a_message_that_contradicts_the_book_is_a_desync(lie: str) -> None:
    life = Life(orders=4).synced()
    venue = life.venue
    order = venue.rows()[0][2]
    match = {"maker_order_id": order, "taker_order_id": venue.new_id(), "trade_id": 1}
    match |= {"side": BUY, "size": "1", "price": "19999.99"}
    done = {"order_id": order, "reason": "canceled", "side": BUY, "remaining_size": "1.4"}
    change = {"order_id": order, "reason": "modify_order", "old_size": "1.4", "new_size": "1"}
    text = {
        "maker": lambda: venue.say("match", **match | {"maker_order_id": venue.new_id()}),
        "price": lambda: venue.say("match", **match | {"price": "19999.98"}),
        "size": lambda: venue.say("match", **match | {"size": "1.6"}),
        "side": lambda: venue.say("match", **match | {"side": SELL}),
        "twin": lambda: venue.say("match", **match | {"taker_order_id": order}),
        "left": lambda: venue.say("done", **done),
        "old_size": lambda: venue.say("change", **change),
    }[lie]()
    before = life.session.book.digest()
    action, reason = fault(life.send(text))
    assert action is Action.RESYNC
    assert order in reason or lie == "maker"
    assert life.session.book.digest() == before
    assert life.events == []
