"""The simulated exchange's matching, against rules stated one by one and a naive model."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import OrderBook
from ordertape.simulator.matcher import Matcher, clearing_price
from ordertape.simulator.occurrences import (
    Changed,
    Ended,
    Occurrence,
    Opened,
    Received,
    Traded,
    to_batch,
)
from ordertape.simulator.oracle import true_book
from ordertape.simulator.queues import Order

BID, ASK = 0, 1


def short(log: list[Occurrence]) -> list[tuple[Any, ...]]:
    """What matters of each occurrence, without sequence and time."""
    out: list[tuple[Any, ...]] = []
    for item in log:
        match item:
            case Received():
                out.append(("received", item.order_id, item.size))
            case Opened():
                out.append(("opened", item.order_id, item.price, item.size))
            case Traded():
                out.append(
                    ("traded", item.maker_id, item.taker_id, item.price, item.size, item.maker_left)
                )
            case Changed():
                out.append(
                    (item.reason, item.order_id, item.new_price, item.old_size, item.new_size)
                )
            case Ended():
                out.append((item.reason, item.order_id, item.left, item.rested))
    return out


def taken(matcher: Matcher) -> list[tuple[Any, ...]]:
    log, matcher.log = matcher.log, []
    return short(log)


def queue(matcher: Matcher, side: int) -> list[tuple[int, int, int]]:
    return [(order.order_id, order.price, order.size) for order in matcher.rows(side)]


@pytest.fixture
def matcher() -> Matcher:
    """Bids 1 and 2 at 99, 3 at 98; asks 4 at 101, 5 at 102; sizes 10."""
    matcher = Matcher()
    for order_id, side, price in ((1, 0, 99), (2, 0, 99), (3, 0, 98), (4, 1, 101), (5, 1, 102)):
        matcher.limit(order_id, side, price, 10, owner=order_id)
    matcher.log.clear()
    return matcher


def test_the_older_of_two_orders_at_a_price_trades_first_and_the_better_price_before_both(
    matcher: Matcher,
) -> None:
    assert matcher.market(9, ASK, 25) == 0
    assert taken(matcher) == [
        ("received", 9, 25),
        ("traded", 1, 9, 99, 10, 0),
        ("traded", 2, 9, 99, 10, 0),
        ("traded", 3, 9, 98, 5, 5),
        ("filled", 1, 0, True),
        ("filled", 2, 0, True),
        ("filled", 9, 0, False),
    ]
    assert queue(matcher, BID) == [(3, 98, 5)]


def test_a_limit_order_trades_as_far_as_it_reaches_and_rests_with_what_is_left(
    matcher: Matcher,
) -> None:
    order = matcher.limit(9, BID, 101, 15)
    assert order is not None
    assert order.size == 5
    assert taken(matcher) == [
        ("received", 9, 15),
        ("traded", 4, 9, 101, 10, 0),
        ("filled", 4, 0, True),
        ("opened", 9, 101, 5),
    ]


def test_a_limit_order_that_is_filled_at_once_never_rests(matcher: Matcher) -> None:
    assert matcher.limit(9, BID, 101, 4) is None
    assert taken(matcher)[-1] == ("filled", 9, 0, False)


def test_what_a_market_or_ioc_order_does_not_find_is_canceled(matcher: Matcher) -> None:
    assert matcher.market(9, BID, 100) == 80
    assert taken(matcher)[-1] == ("canceled", 9, 80, False)
    assert matcher.ioc(10, ASK, 99, 30) == 10
    assert taken(matcher)[-1] == ("canceled", 10, 10, False)
    assert queue(matcher, BID) == [(3, 98, 10)]


def test_a_post_only_order_that_would_trade_is_rejected(matcher: Matcher) -> None:
    assert matcher.post_only(9, BID, 101, 5) is None
    assert taken(matcher) == [("received", 9, 5), ("canceled", 9, 5, False)]
    assert matcher.post_only(10, BID, 100, 5) is not None


def test_a_published_reject_is_opened_and_ended_at_one_time(matcher: Matcher) -> None:
    matcher.rejects_published, matcher.time_ns = True, 77
    assert matcher.post_only(9, BID, 105, 5) is None
    assert {item.time_ns for item in matcher.log} == {77}
    assert taken(matcher)[1:] == [("opened", 9, 105, 5), ("canceled", 9, 5, True)]
    assert matcher.best(BID) == 99


def test_only_a_smaller_size_keeps_the_place_in_the_queue(matcher: Matcher) -> None:
    matcher.amend(1, 99, 4)
    assert queue(matcher, BID)[:2] == [(1, 99, 4), (2, 99, 10)]
    matcher.amend(1, 99, 5)
    assert queue(matcher, BID)[:2] == [(2, 99, 10), (1, 99, 5)]
    matcher.amend(2, 98, 10)
    assert queue(matcher, BID) == [(1, 99, 5), (3, 98, 10), (2, 98, 10)]
    kept = [item.kept_place for item in matcher.log if isinstance(item, Changed)]
    assert kept == [True, False, False]


def test_an_amended_price_that_meets_the_other_side_trades_from_where_it_stood(
    matcher: Matcher,
) -> None:
    matcher.amend(1, 101, 15)
    assert taken(matcher) == [
        ("amended", 1, 99, 10, 15),
        ("traded", 4, 1, 101, 10, 0),
        ("filled", 4, 0, True),
        ("remainder", 1, 101, 5, 5),
    ]
    matcher.amend(1, 102, 5)
    assert taken(matcher) == [("traded", 5, 1, 102, 5, 5), ("filled", 1, 0, True)]


def test_an_icebergs_next_peak_goes_to_the_end_of_the_queue(matcher: Matcher) -> None:
    matcher.limit(6, BID, 100, 25, peaks=(10, 10, 5))
    matcher.limit(7, BID, 100, 3)
    matcher.log.clear()
    matcher.market(9, ASK, 18)
    assert taken(matcher) == [
        ("received", 9, 18),
        ("traded", 6, 9, 100, 10, 0),
        ("refreshed", 6, 100, 0, 10),
        ("traded", 7, 9, 100, 3, 0),
        ("traded", 6, 9, 100, 5, 5),
        ("filled", 7, 0, True),
        ("filled", 9, 0, False),
    ]
    assert matcher.orders[6].reserve == 5


def test_an_iceberg_that_trades_when_it_comes_shows_what_is_left_of_its_peaks(
    matcher: Matcher,
) -> None:
    order = matcher.limit(6, BID, 101, 25, peaks=(8, 8, 9))
    assert order is not None
    assert (order.size, order.peaks) == (6, [9])


def test_peaks_that_do_not_add_up_are_refused(matcher: Matcher) -> None:
    with pytest.raises(ValueError, match="expected peaks that add up to 25, found 20"):
        matcher.limit(6, BID, 100, 25, peaks=(10, 10))


def test_shown_orders_trade_before_hidden_ones_at_their_price_and_after_better_hidden_ones(
    matcher: Matcher,
) -> None:
    matcher.limit(6, BID, 99, 10, hidden=True)
    matcher.limit(7, BID, 100, 1, hidden=True)
    assert matcher.best(BID) == 99
    matcher.log.clear()
    matcher.market(9, ASK, 22)
    traded = [item for item in matcher.log if isinstance(item, Traded)]
    assert [(item.maker_id, item.maker_hidden) for item in traded] == [
        (7, True),
        (1, False),
        (2, False),
        (6, True),
    ]
    assert matcher.post_only(10, ASK, 99, 1) is None, "a hidden order still stands at 99"


@pytest.mark.parametrize(
    ("rule", "told", "left"),
    [
        ("decrement", [("self_trade", 4, 0, True), ("self_trade", 9, 102, 12, 2)], 2),
        ("cancel_oldest", [("self_trade", 4, 10, True)], 12),
        ("cancel_newest", [("self_trade", 9, 12, False)], None),
        ("cancel_both", [("self_trade", 4, 10, True), ("self_trade", 9, 12, False)], None),
    ],
)
def test_nobody_trades_with_itself(
    matcher: Matcher,
    rule: Literal["decrement", "cancel_oldest", "cancel_newest", "cancel_both"],
    told: list[tuple[Any, ...]],
    left: int | None,
) -> None:
    matcher.self_trade = rule
    matcher.cancel(5)
    matcher.log.clear()
    order = matcher.limit(9, BID, 102, 12, owner=4)
    log = taken(matcher)
    assert log[1 : 1 + len(told)] == told
    assert not [entry for entry in log if entry[0] == "traded"]
    assert (None if order is None else order.size) == left


def test_an_auction_gathers_crossing_orders_and_trades_them_at_one_price(matcher: Matcher) -> None:
    matcher.limit(6, BID, 100, 9, hidden=True)
    matcher.limit(7, ASK, 103, 9, peaks=(3, 3, 3))
    matcher.open_auction()
    assert queue(matcher, ASK)[-1] == (7, 103, 9)
    assert 6 not in matcher.orders
    matcher.limit(8, BID, 103, 14)
    matcher.post_only(9, ASK, 98, 3)
    assert matcher.market(10, BID, 4) == 4
    assert matcher.limit(11, BID, 99, 1, hidden=True) is None
    matcher.log.clear()
    assert matcher.close_auction() == 102
    assert taken(matcher) == [
        ("traded", 8, 9, 102, 3, 11),
        ("traded", 4, 8, 102, 10, 0),
        ("traded", 5, 8, 102, 1, 9),
        ("filled", 9, 0, True),
        ("filled", 4, 0, True),
        ("filled", 8, 0, True),
    ]
    assert matcher.close_auction() is None


def test_the_clearing_price_trades_most_and_leaves_least() -> None:
    def side(*rows: tuple[int, int]) -> list[Order]:
        return [Order(at, 0, price, size, 0, 0) for at, (price, size) in enumerate(rows)]

    assert clearing_price(side((102, 5), (101, 5)), side((100, 6), (101, 4))) == 101
    assert clearing_price(side((99, 5)), side((100, 6))) is None
    assert clearing_price([], side((100, 6))) is None


# A naive model: one list of orders, searched whole for whoever is next ----------------------------


class NaiveMarket:
    """``orders``: [id, side, price, size, owner, hidden, later peaks], oldest place first."""

    def __init__(self) -> None:
        self.orders: list[list[Any]] = []
        self.traded = 0

    def find(self, order_id: int) -> list[Any] | None:
        return next((order for order in self.orders if order[0] == order_id), None)

    def next_maker(self, side: int, limit: int | None) -> list[Any] | None:
        makers = [order for order in self.orders if order[1] == side]
        if limit is not None:
            makers = [o for o in makers if (o[2] <= limit if side else o[2] >= limit)]
        sign = 1 if side else -1
        return min(makers, key=lambda order: (sign * order[2], order[5]), default=None)

    def take(self, order: list[Any], limit: int | None) -> bool:
        while order[3]:
            maker = self.next_maker(1 - order[1], limit)
            if maker is None:
                break
            size = min(order[3], maker[3])
            order[3] -= size
            maker[3] -= size
            alike = order[4] and order[4] == maker[4]
            if not alike:
                self.traded += size
            if not maker[3]:
                self.orders.remove(maker)
                if maker[6] and not alike:
                    maker[3] = maker[6].pop(0)
                    self.orders.append(maker)
            if alike and not order[3]:
                return False
        return True

    def amend(self, order: list[Any], price: int, size: int) -> None:
        if price == order[2]:
            if size > order[3]:
                self.orders.remove(order)
                self.orders.append(order)
            order[3] = size
            return
        self.orders.remove(order)
        order[3] = size
        while True:
            if not self.take(order, price):
                return
            if order[3]:
                break
            if not order[6]:
                return
            order[3] = order[6].pop(0)
        order[2] = price
        self.orders.append(order)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ("limit " * 3 + "post_only ioc market cancel amend amend iceberg hidden").split()
        ),
        st.integers(0, 1),
        st.integers(95, 105),
        st.integers(1, 9),
        st.integers(0, 3),
        st.integers(0, 40),
    ),
    min_size=5,
    max_size=60,
)


def act(matcher: Matcher, naive: NaiveMarket, order_id: int, what: tuple[Any, ...]) -> None:
    kind, side, price, size, owner, pick = what
    new = [order_id, side, price, size, owner, kind == "hidden", []]
    if kind in ("cancel", "amend"):
        ids = sorted(matcher.orders)
        if not ids:
            return
        target = ids[pick % len(ids)]
        found = naive.find(target)
        assert found is not None
        if kind == "cancel":
            assert matcher.cancel(target)
            naive.orders.remove(found)
        else:
            assert matcher.amend(target, price, size)
            naive.amend(found, price, size)
        return
    if kind == "post_only":
        matcher.post_only(order_id, side, price, size, owner)
        if naive.next_maker(1 - side, price) is None:
            naive.orders.append(new)
        return
    if kind in ("ioc", "market"):
        limit = price if kind == "ioc" else None
        if kind == "ioc":
            left = matcher.ioc(order_id, side, price, size, owner)
        else:
            left = matcher.market(order_id, side, size, owner)
        naive.take(new, limit)
        assert left == new[3]
        return
    peaks = (size,) * 3 if kind == "iceberg" else ()
    total = size * max(1, len(peaks))
    matcher.limit(order_id, side, price, total, owner, hidden=kind == "hidden", peaks=peaks)
    new[3] = total
    if naive.take(new, price) and new[3]:
        if peaks:
            full, part = divmod(new[3], size)
            new[3], new[6] = (part, [size] * full) if part else (size, [size] * (full - 1))
        naive.orders.append(new)


@settings(max_examples=500, deadline=None)
@given(ACTS, st.booleans())
def test_any_orders_leave_the_book_a_naive_model_has_and_our_book_follows_the_log(
    acts: list[tuple[Any, ...]], published: bool
) -> None:
    matcher, naive, book = Matcher(rejects_published=published), NaiveMarket(), OrderBook(2, 2)
    traded = 0
    for order_id, what in enumerate(acts, start=1):
        matcher.time_ns = order_id
        act(matcher, naive, order_id, what)
        sequences = [item.sequence for item in matcher.log]
        assert sequences == list(range(matcher.sequence - len(sequences) + 1, matcher.sequence + 1))
        traded += sum(item.size for item in matcher.log if isinstance(item, Traded))
        batch = to_batch(matcher.log, 2, 2)
        matcher.log = []
        if batch is not None:
            counters = book.apply(batch)
            assert counters.faults == counters.crossed
        best = matcher.best(BID), matcher.best(ASK)
        assert best[0] is None or best[1] is None or best[0] < best[1]
        for side in (BID, ASK):
            assert queue(matcher, side) == [
                (order[0], order[2], order[3])
                for order in sorted(
                    (o for o in naive.orders if o[1] == side and not o[5]),
                    key=lambda order: order[2] if side else -order[2],
                )
            ]
        true = true_book((*matcher.rows(BID), *matcher.rows(ASK)), 2, 2, str, "int")
        assert book.digest() == true.digest()
        book.check()
    assert traded == naive.traded
    reserves = {order[0]: sum(order[6]) for order in naive.orders}
    assert {order_id: order.reserve for order_id, order in matcher.orders.items()} == reserves


@settings(max_examples=200, deadline=None)
@given(ACTS)
def test_no_size_is_lost_or_made(acts: list[tuple[Any, ...]]) -> None:
    """What an order asked (amendments counted) is what it traded, was prevented from, left at its
    end or still has."""
    matcher, naive = Matcher(self_trade="cancel_both"), NaiveMarket()
    asked: dict[int, int] = {}
    for order_id, what in enumerate(acts, start=1):
        kind, side, price, size, owner, pick = what
        if kind == "amend" and matcher.orders:
            target = sorted(matcher.orders)[pick % len(matcher.orders)]
            asked[target] += size - matcher.orders[target].size
            matcher.amend(target, price, size)
        elif kind == "cancel" and matcher.orders:
            matcher.cancel(sorted(matcher.orders)[pick % len(matcher.orders)])
        elif kind not in ("amend", "cancel"):
            asked[order_id] = 3 * size if kind == "iceberg" else size
            if kind == "iceberg":
                matcher.limit(order_id, side, price, 3 * size, owner, peaks=(size,) * 3)
            elif kind == "market":
                matcher.market(order_id, side, size, owner)
            elif kind == "hidden":
                matcher.limit(order_id, side, price, size, owner, hidden=True)
            else:
                getattr(matcher, kind)(order_id, side, price, size, owner)
    spent = dict.fromkeys(asked, 0)
    reserve_at_end = dict.fromkeys(asked, 0)
    for item in matcher.log:
        if isinstance(item, Traded):
            spent[item.maker_id] += item.size
            spent[item.taker_id] += item.size
        elif isinstance(item, Ended):
            spent[item.order_id] += item.left
            reserve_at_end[item.order_id] = asked[item.order_id] - spent[item.order_id]
    for order in matcher.orders.values():
        spent[order.order_id] += order.size + order.reserve
    icebergs = {n for n, what in enumerate(acts, start=1) if what[0] == "iceberg"}
    assert naive.traded == 0
    for order_id, size in asked.items():
        hidden_loss = reserve_at_end[order_id]
        assert hidden_loss == 0 or (order_id in icebergs and hidden_loss > 0)
        assert spent[order_id] + hidden_loss == size
