"""Large orders that are withdrawn: spoof-like and layering, on tapes written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ordertape.events import EventKind, Flag, Reason
from support.detecting import Hand, found


def quiet() -> Hand:
    hand = Hand()
    hand.usual(60)
    return hand


def spoof(
    hand: Hand,
    *,
    size: int = 400,
    level: int = 3,
    fill: bool = True,
    filled: int = 0,
    again: bool = False,
    reason: Reason = Reason.CANCELED,
    life: float = 1_500,
    rest: float = 80,
) -> str:
    """A large bid, a small ask that is met, and the bid is withdrawn."""
    name = hand.add(0, 10_000 - level, size)
    hand.wait(life / 2)
    true_one = hand.add(1, 10_001, 7)
    hand.wait(life / 2)
    if fill:
        first = hand.add(1, 10_001, 45)
        for met, amount in ((first, 45), (true_one, 7)):
            hand.meet(met, amount, "taker")
        hand.wait(rest)
    if filled:
        hand.meet(name, filled)
    hand.cancel(name, reason=reason)
    if again:
        hand.wait(30)
        hand.cancel(hand.add(0, 10_000 - level - 1, size))
    hand.wait(60)
    hand.usual(2)
    return name


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in told]


def test_a_large_order_withdrawn_behind_a_fill_on_the_other_side_is_spoof_like() -> None:
    hand = quiet()
    name = spoof(hand)
    (one,) = found(hand)
    assert (one["kind"], one["phase"], one["side"]) == ("spoof-like", "detected", 0)
    assert (one["order_ids"], one["orders"]) == ([name], 1)
    assert (one["size"], one["filled"], one["price_low"]) == (400, 0, 9_997)
    assert 0 < one["told"] - one["ended"] <= 250_000_000
    assert one["evidence"]["a fill on the other side"] > 0.4
    assert one["against"]["quoted anew"] == 0


@pytest.mark.parametrize(
    "case",
    [
        {"fill": False},
        {"size": 30},
        {"filled": 60},
        {"again": True},
        {"life": 20, "rest": 10},
        {"life": 70_000},
        {"reason": Reason.FILLED},
        {"level": 2_000},
    ],
)
def test_a_near_miss_is_not_spoof_like(case: dict[str, Any]) -> None:
    hand = quiet()
    spoof(hand, **case)
    assert found(hand) == []


def test_a_late_trade_explains_an_end_whose_reason_was_unknown() -> None:
    for explained in (False, True):
        hand = quiet()
        name = hand.add(0, 9_997, 400)
        hand.wait(700)
        true_one = hand.add(1, 10_001, 7)
        first = hand.add(1, 10_001, 45)
        hand.wait(700)
        hand.meet(first, 45, "t")
        hand.meet(true_one, 7, "t")
        hand.wait(50)
        hand.cancel(name, reason=Reason.UNKNOWN)
        hand.wait(400)
        if explained:
            hand.write(EventKind.MATCH, 0, name, 9_997, 400, flags=Flag.LATE, taker="x")
        hand.wait(2_000)
        hand.usual(1)
        assert kinds(found(hand, spoof_threshold=0.3)) == ([] if explained else ["spoof-like"])


def test_an_order_that_leaves_the_window_was_not_withdrawn() -> None:
    hand = quiet()
    name = hand.add(0, 9_997, 400)
    hand.wait(700)
    true_one = hand.add(1, 10_001, 7)
    hand.wait(700)
    hand.meet(true_one, 7, "t")
    hand.wait(50)
    hand.write(EventKind.EVICT, 0, name, 9_997, 400)
    hand.wait(2_000)
    hand.usual(1)
    assert found(hand, spoof_threshold=0.01) == []


def test_an_order_is_as_large_as_its_owner_makes_it() -> None:
    """Grown to a large one and withdrawn; withdrawn by an amendment; what is left is small."""
    for case in ("grown", "to dust", "dust first"):
        hand = quiet()
        name = hand.add(0, 9_997, 3 if case == "grown" else 400)
        hand.wait(300)
        if case == "grown":
            hand.amend(name, 9_997, 400)
        if case == "dust first":
            hand.amend(name, 9_997, 1)
        hand.wait(700)
        true_one = hand.add(1, 10_001, 45)
        hand.wait(700)
        hand.meet(true_one, 45, "t")
        hand.wait(60)
        if case == "to dust":
            hand.amend(name, 9_997, 1)
            hand.wait(3_000)
        hand.cancel(name)
        hand.usual(1)
        told = found(hand)
        assert kinds(told) == ([] if case == "dust first" else ["spoof-like"]), case
        assert all(one["order_ids"] == [name] and one["size"] == 400 for one in told)


def layers(
    hand: Hand,
    count: int = 5,
    *,
    both: bool = False,
    again: bool = False,
    apart: float = 4,
    rounds: int = 1,
) -> list[str]:
    """Large bids on successive levels, a sale while they stand, and all are withdrawn."""
    names: list[str] = []
    for nth in range(rounds):
        names, others = [], []
        for level in range(count):
            names.append(hand.add(0, 9_999 - level, 60))
            if both:
                others.append(hand.add(1, 10_002 + level, 60))
            hand.wait(20 if nth == 0 else 1)
        hand.wait(1_200)
        hand.meet(hand.add(0, 10_000, 3), 3, "seller")
        hand.wait(100)
        for name in (*names, *others):
            hand.cancel(name)
            hand.wait(apart)
    if again:
        hand.wait(20)
        hand.cancel(*[hand.add(0, 9_998 - level, 60) for level in range(count)])
    hand.wait(500)
    hand.usual(3)
    return names


def test_large_orders_on_several_levels_that_go_together_are_layering() -> None:
    hand = quiet()
    names = layers(hand)
    (one,) = found(hand)
    assert (one["kind"], one["side"], one["orders"]) == ("layering", 0, 5)
    assert one["order_ids"] == names
    assert (one["price_low"], one["price_high"], one["size"]) == (9_995, 9_999, 300)


@pytest.mark.parametrize(
    "case",
    [{"count": 2}, {"both": True}, {"again": True}, {"apart": 1_500}, {"rounds": 3}],
)
def test_honest_ladders_are_no_layering(case: dict[str, Any]) -> None:
    hand = quiet()
    layers(hand, **case)
    told = kinds(found(hand))
    # The first round of a maker that quotes anew is no more layering than the last.
    assert "layering" not in told
