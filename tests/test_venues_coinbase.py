"""The `full` channel to events to the book: what each message means, and the sync rule."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind, Flag, Reason
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.session import Action, Fetch, Outcome, chained
from support.coinbase import BUY, PRODUCT, SELL, START_NS, PlainCoinbase

T = START_NS
MS = 1_000_000
SECOND = 1_000 * MS
ASKED = Fetch("/products/BTC-USD/book?level=3", "book")


class Life:
    """A session against a plain venue, with a clock of its own."""

    def __init__(self, seed: int = 1, orders: int = 0) -> None:
        self.venue = PlainCoinbase(seed)
        for nth in range(orders):
            side = (BUY, SELL)[nth % 2]
            away = Decimal(1 + nth // 2) / 100
            self.venue.add(side, Decimal(20_000) + (away if side == SELL else -away), "1.5")
        self.session = CoinbaseSession(PRODUCT, OrderBook(codec="uuid"))
        self.now = T
        self.session.opened(self.now)
        self.events: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []

    def took(self, outcome: Outcome | None) -> Outcome | None:
        first = outcome
        while outcome is not None:
            self.outcomes.append(outcome)
            if outcome.batch is not None:
                self.events += rows(outcome.batch)
            outcome = outcome.then
        return first

    def send(self, *texts: str) -> Outcome | None:
        """What the last frame led to."""
        outcome = None
        for text in texts:
            self.now += MS
            frame = self.session.frame(text.encode(), self.now)
            outcome = self.took(chained(frame, self.session.flush()))
        return outcome

    def tick(self, milliseconds: int = 10) -> Outcome | None:
        self.now += milliseconds * MS
        return self.took(self.session.tick(self.now))

    def asked(self) -> Fetch:
        """The request that is due."""
        outcome = self.tick()
        assert outcome is not None
        assert outcome.fetch is not None
        return outcome.fetch

    def answer(self, fetch: Fetch, body: Any, status: int = 200, **headers: str) -> Outcome | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        outcome = self.took(self.session.answer(fetch, status, named, body, self.now))
        while self.session.busy:
            self.tick()
        return outcome

    def synced(self) -> Life:
        self.send(self.venue.subscriptions(), self.venue.heartbeat())
        self.answer(self.asked(), self.venue.rest())
        assert self.equal
        self.events.clear()
        self.outcomes.clear()
        return self

    @property
    def book_scales(self) -> tuple[int | None, int | None]:
        return self.session.book.price_scale, self.session.book.size_scale

    @property
    def equal(self) -> bool:
        self.session.book.check()
        book = self.session.book
        ours = [
            (name, price, order_id, size)
            for side, name in ((0, BUY), (1, SELL))
            for order_id, price, size in book.orders(side)
        ]
        return ours == self.venue.rows()


def rows(batch: EventBatch) -> list[dict[str, Any]]:
    return [batch[index] for index in range(len(batch))]


def fault(outcome: Outcome | None) -> tuple[Action, str]:
    while outcome is not None and outcome.fault is None:
        outcome = outcome.then
    assert outcome is not None
    assert outcome.fault is not None
    return outcome.fault.action, outcome.fault.reason


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


# Syncing ------------------------------------------------------------------------------------------
def test_what_came_while_the_snapshot_was_on_its_way_is_replayed() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.subscriptions(), *venue.open(BUY, "19999", "1"))
    fetch = life.asked()
    for _ in range(50):
        life.send(*venue.step())
    body = venue.rest()
    for _ in range(3000):
        life.send(*venue.step())
    outcome = life.answer(fetch, body)
    assert outcome is not None
    assert (outcome.synced, outcome.behind) == (True, True)
    assert life.outcomes[-1].caught_up
    assert life.equal
    assert life.events[0]["kind"] == EventKind.CLEAR


def test_a_snapshot_that_is_ahead_of_the_stream_waits_for_it() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch = life.asked()
    ahead = [text for _ in range(30) for text in venue.step()]
    life.answer(fetch, venue.rest())
    life.send(*ahead[:-1])
    life.tick()
    assert life.events == []
    life.send(ahead[-1])
    life.tick()
    while life.session.busy:
        life.tick()
    assert life.equal
    life.send(*venue.step())
    assert life.equal
    assert [outcome for outcome in life.outcomes if outcome.fault] == []


def test_a_snapshot_does_not_cover_an_unreadable_message_of_unknown_number() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch = life.asked()
    lost, unreadable = (venue.rows()[at][2] for at in (0, 1))
    venue.cancel(lost)
    life.answer(fetch, venue.rest())
    assert life.events == []
    life.send(venue.cancel(unreadable)[0][:-20])
    assert life.tick() is None
    life.send(*venue.open(BUY, "19997", "1"))
    assert life.events == [], "the snapshot is older than what could not be read"
    outcome = life.tick(limits.snapshot_retry_ms_min)
    while outcome is None or outcome.fetch is None:
        outcome = life.tick(limits.snapshot_retry_ms_min)
    life.answer(outcome.fetch, venue.rest())
    assert life.equal


def test_a_snapshot_older_than_the_first_message_is_asked_for_again() -> None:
    life = Life(orders=20)
    venue = life.venue
    old = venue.rest()
    venue.open(BUY, "19999", "1")
    life.send(*venue.open(BUY, "19998", "1"))
    assert life.answer(life.asked(), old) is None
    assert life.tick() is None, "not at once"
    assert life.tick(limits.snapshot_retry_ms_min) is not None
    assert life.session.counters["snapshots too old"] == 1
    life.answer(life.outcomes[-1].fetch or ASKED, venue.rest())
    assert life.equal


def test_a_gap_while_syncing_asks_for_a_newer_snapshot() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(*venue.open(BUY, "19999", "1"))
    fetch, body = life.asked(), venue.rest()
    venue.open(BUY, "19998", "1")
    life.send(*venue.open(BUY, "19997", "1"))
    life.answer(fetch, body)
    assert life.session.counters["snapshots too old"] == 1
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


@pytest.mark.parametrize("shown_by", ["a message", "a heartbeat"])
def test_a_number_that_the_venue_never_gave_holds_a_snapshot_up_once_only(shown_by: str) -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.open(BUY, "19999", "1")[0].replace('"sequence": 1', '"sequence": 91'))
    fetch = life.asked()
    life.send(*venue.open(BUY, "19998", "1") if shown_by == "a message" else [venue.heartbeat()])
    assert life.answer(fetch, venue.rest()) is None, "no book reaches that number"
    life.send(venue.heartbeat())
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


def test_an_auction_is_waited_for() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    life.answer(life.asked(), life.venue.rest(auction_mode=True))
    assert len(life.session.book) == 0
    assert life.session.waits_until >= life.now + limits.auction_retry_ms * MS
    outcome = life.tick(limits.auction_retry_ms)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, life.venue.rest())
    assert life.equal


def test_a_429_waits_as_long_as_it_asks() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    life.answer(life.asked(), b"{}", 429, retry_after="7")
    assert life.tick(6_900) is None
    assert life.tick(100) is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (0, "no answer"),
        (200, b""),
        (200, b"{}"),
        (200, b'{"bids":[],"asks":[]}'),
        (200, b'{"bids":[["1","1","a"]],"asks":[["1","1","b"]],"sequence":5000}'),
        (200, b'{"bids":[["1","1","a"],["1","2","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["1","0","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["x","1","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["1","1","a"]],"asks":[],"sequence":5000} more'),
    ],
)
def test_an_answer_without_a_book_is_asked_for_again(status: int, body: Any) -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    action, reason = fault(life.answer(life.asked(), body, status))
    assert action is Action.NOTE
    assert reason.startswith("no snapshot: ")
    assert life.tick(limits.snapshot_retry_ms_min) is not None


def test_a_snapshot_of_another_count_never_becomes_the_book() -> None:
    """The venue counts anew and answers with a book of before: every message would be late."""
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    was = life.venue.sequence
    life.venue.sequence = was + 1_000_000
    before = life.venue.rest()
    life.venue.sequence = was
    life.answer(life.asked(), before)
    for _ in range(50):
        life.send(*life.venue.step(), life.venue.heartbeat())
        life.tick(limits.snapshot_ahead_ms_max // 20)
    assert life.events == []
    assert life.session.counters["snapshots that no message reached"] == 1
    life.answer(ASKED, life.venue.rest())
    assert life.equal


def test_answers_that_keep_failing_end_the_connection() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    actions = []
    for _ in range(limits.snapshot_failures_max):
        outcome = life.tick(limits.snapshot_retry_ms_max)
        assert outcome is not None
        actions.append(fault(life.answer(outcome.fetch or ASKED, b"", 503))[0])
    assert actions == [Action.NOTE] * (limits.snapshot_failures_max - 1) + [Action.RECONNECT]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_would_come_again_fails_the_stream(status: int) -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    assert fault(life.answer(life.asked(), b"{}", status))[0] is Action.FAIL


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "sync_queue_messages_max", 10)
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch, body = life.asked(), venue.rest()
    for nth in range(20):
        life.send(*venue.open(BUY, f"{19_000 + nth}", "1"))
    assert len(life.session._queue.messages) <= 10
    life.answer(fetch, body)
    assert life.session.counters["snapshots too old"] == 1
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


def test_a_large_snapshot_is_handed_out_in_slices() -> None:
    life = Life(orders=3 * limits.sync_slice_rows)
    life.send(life.venue.heartbeat())
    outcome = life.answer(life.asked(), life.venue.rest())
    assert outcome is not None
    assert outcome.partial
    sizes = [len(found.batch) for found in life.outcomes if found.batch is not None]
    assert max(sizes) == limits.sync_slice_rows
    assert sum(sizes) == 3 * limits.sync_slice_rows + 1
    assert [found.synced for found in life.outcomes].count(True) == 1
    last = [event["flags"] & Flag.LAST for event in life.events]
    assert [bool(flag) for flag in last] == [False] * (len(last) - 1) + [True]


def test_a_clock_that_is_refused_is_asked_about_again_but_seldom() -> None:
    """It may be set right: only what is wrong with the key itself stays so."""
    expired = '{"type":"error","message":"Authentication Failed","reason":"%s"}'
    life = Life(orders=20)
    told = life.send(expired % "request timestamp expired")
    over_rest = Life(orders=20)
    over_rest.send(over_rest.venue.heartbeat())
    answer = over_rest.answer(over_rest.asked(), b'{"message":"request timestamp expired"}', 401)
    for outcome in (told, answer):
        assert fault(outcome)[0] is Action.RECONNECT
        assert outcome is not None
        assert outcome.fault is not None
        assert outcome.fault.wait_ms == 30_000


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('{"type":"error","message":"Failed to subscribe","reason":"level2, level3, and full '
         'channels now require authentication."}', Action.FAIL),
        ('{"type":"error","message":"authentication failure"}', Action.FAIL),
        ('{"type":"error","message":"Failed to subscribe","reason":"X-Y is not a valid product"}',
         Action.FAIL),
        ('{"type":"error","message":"ErrSlowConsume"}', Action.RECONNECT),
        ('{"type":"subscriptions","channels":[]}', Action.FAIL),
    ],
)  # fmt: skip
def test_what_the_venue_refuses_ends_or_renews_the_connection(text: str, action: Action) -> None:
    assert fault(Life().send(text))[0] is action
