from __future__ import annotations

from random import Random

from ordertape.simulator.matching import Fill, Matching, key_price

BID, ASK = 0, 1


def _check(matching: Matching) -> None:
    """Every structure says the same, and nothing that could trade rests."""
    for side in (BID, ASK):
        shown = sorted(o.key for o in matching.orders.values() if o.side == side and not o.hidden)
        assert matching.keys[side] == shown
        levels = {p: list(level) for p, level in matching.levels[side].items()}
        assert sum(map(len, levels.values())) == len(shown)
        assert all(matching.orders[i].price == p for p, ids in levels.items() for i in ids)
    bids = [o.price for o in matching.orders.values() if o.side == BID]
    asks = [o.price for o in matching.orders.values() if o.side == ASK]
    assert not bids or not asks or max(bids) < min(asks)
    assert all(order.size > 0 for order in matching.orders.values())


def test_the_better_price_trades_first_and_then_the_earlier_order() -> None:
    matching = Matching()
    matching.limit(1, ASK, 102, 5)
    matching.limit(2, ASK, 101, 5)
    matching.limit(3, ASK, 101, 5)
    assert matching.market(BID, 12) == [
        Fill(2, ASK, 101, 5, 0),
        Fill(3, ASK, 101, 5, 0),
        Fill(1, ASK, 102, 2, 3),
    ]
    assert matching.resized == {1}
    _check(matching)


def test_a_limit_order_rests_with_what_its_price_did_not_reach() -> None:
    matching = Matching()
    matching.limit(1, BID, 100, 4)
    matching.limit(2, BID, 99, 4)
    assert matching.limit(3, ASK, 100, 10) == [Fill(1, BID, 100, 4, 0)]
    assert matching.orders[3].size == 6
    assert (matching.best(BID), matching.best(ASK)) == (99, 100)
    _check(matching)


def test_an_amended_price_keeps_the_id_and_loses_the_place() -> None:
    matching = Matching()
    for order_id in (1, 2, 3):
        matching.limit(order_id, BID, 100, 1)
    matching.amend(1, 99, 1)
    matching.amend(1, 100, 1)
    assert [fill.order_id for fill in matching.market(ASK, 3)] == [2, 3, 1]


def test_a_smaller_size_keeps_the_place_and_a_larger_loses_it() -> None:
    matching = Matching()
    for order_id in (1, 2, 3):
        matching.limit(order_id, BID, 100, 5)
    matching.amend(1, 100, 2)
    matching.amend(2, 100, 9)
    assert [fill.order_id for fill in matching.market(ASK, 16)] == [1, 3, 2]


def test_an_amendment_across_the_spread_trades() -> None:
    matching = Matching()
    matching.limit(1, ASK, 101, 3)
    matching.limit(2, BID, 100, 5)
    assert matching.amend(2, 101, 5) == [Fill(1, ASK, 101, 3, 0)]
    assert (matching.orders[2].price, matching.orders[2].size) == (101, 2)
    assert matching.resized == {2}
    _check(matching)


def test_hidden_orders_trade_after_shown_ones_of_their_price() -> None:
    matching = Matching()
    matching.limit(1, ASK, 101, 3, hidden=True)
    matching.limit(2, ASK, 101, 3)
    matching.limit(3, ASK, 100, 3, hidden=True)
    assert [key_price(key) for key in matching.keys[ASK]] == [101]
    assert [fill.order_id for fill in matching.market(BID, 9)] == [3, 2, 1]
    assert not matching.orders


def test_a_cancel_of_nothing_says_so() -> None:
    matching = Matching()
    assert matching.cancel(7) is False
    assert matching.operations == 0


def test_random_operations_conserve_size_and_never_leave_a_crossed_book() -> None:
    random = Random(3)
    matching = Matching()
    for order_id in range(4_000):
        side, price, size = random.randrange(2), random.randrange(90, 111), random.randrange(1, 50)
        known = list(matching.orders)[:50]
        before = sum(order.size for order in matching.orders.values())
        choice = random.randrange(10)
        if choice < 6 or not known:
            fills = matching.limit(order_id, side, price, size, hidden=choice == 0)
            added = size
        elif choice == 6:
            fills, added = matching.market(side, size), None
        elif choice == 7:
            victim = random.choice(known)
            fills, added = [], -matching.orders[victim].size
            matching.cancel(victim)
        else:
            victim = matching.orders[random.choice(known)]
            added = size - victim.size
            fills = matching.amend(victim.order_id, price, size)
        traded = sum(fill.size for fill in fills)
        after = sum(order.size for order in matching.orders.values())
        assert after == (before - traded if added is None else before + added - 2 * traded)
        if order_id % 20 == 0:
            _check(matching)
    _check(matching)
