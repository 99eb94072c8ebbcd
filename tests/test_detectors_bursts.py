"""Bursts of messages and of trades: quote stuffing and momentum ignition, on tapes by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ordertape.events import EventKind, Flag
from support.detecting import Hand, found


def quiet() -> Hand:
    hand = Hand()
    hand.usual(60)
    return hand


def stuffing(
    hand: Hand,
    *,
    seconds: float = 2,
    rate: int = 1_500,
    cancels: bool = True,
    many: bool = False,
    trades: bool = False,
) -> list[str]:
    names, waiting = [], []
    life = 60 if many else 4
    for nth in range(int(rate * seconds / 2)):
        price, size = (9_990 - nth % 3, 2) if not many else (9_990 - nth * 7 % 25, 1 + nth % 20)
        names.append(hand.add(0, price, size))
        waiting.append(names[-1])
        hand.wait(1_000 / rate)
        if cancels and len(waiting) > life:
            if trades and nth % 5 == 0:
                hand.meet(waiting[-1], 1)
                waiting = [name for name in waiting if name in hand._stands]
            hand.cancel(waiting.pop(0))
        hand.wait(1_000 / rate)
    hand.usual(4)
    return names


def test_many_short_orders_of_few_prices_are_quote_stuffing() -> None:
    hand = quiet()
    began = hand.now
    names = stuffing(hand)
    (one,) = found(hand)
    assert (one["kind"], one["side"]) == ("quote stuffing", 0)
    assert set(one["order_ids"]) <= set(names)
    assert 100 < len(one["order_ids"]) <= 200
    assert (one["told"] - one["began"]) / 1e9 < 1.3
    assert one["orders"] > 400
    assert one["began"] < one["ended"] < one["told"], "with its last message"
    assert began < hand.now


def test_two_bursts_close_to_each_other_are_one() -> None:
    hand = quiet()
    stuffing(hand, seconds=1.5)
    hand.now -= 3_000
    hand.rows = [row for row in hand.rows if row.ts <= hand.rows[-1].ts]
    told = found(hand)
    assert len(told) == 1


@pytest.mark.parametrize(
    "case", [{"seconds": 0.5}, {"rate": 150}, {"cancels": False}, {"many": True}, {"trades": True}]
)
def test_what_only_is_much_is_no_quote_stuffing(case: dict[str, Any]) -> None:
    hand = quiet()
    stuffing(hand, **case)
    assert [one for one in found(hand) if one["kind"] == "quote stuffing"] == []


def test_a_snapshot_and_a_book_that_is_emptied_are_no_quote_stuffing() -> None:
    hand = quiet()
    names = [
        hand.add(nth % 2, 9_900 - nth if nth % 2 == 0 else 10_100 + nth, 3) for nth in range(900)
    ]
    hand.wait(2_000)
    for name in names:
        hand.cancel(name)
        hand.wait(1.5)
    hand.write(EventKind.CLEAR, 255, None, -(2**63), -(2**63))
    for nth in range(2_000):
        hand.write(EventKind.OPEN, 0, f"s{nth}", 9_000 + nth % 900, 2, flags=Flag.SNAPSHOT)
        hand.wait(0.7)
    assert found(hand) == []


def ignite(hand: Hand, *, back: bool = True, size: int = 45, pushes: int = 7) -> list[str]:
    """Buys level after level, and sells into what has followed."""
    takers = [f"push{nth}" for nth in range(pushes)]
    for nth, taker in enumerate(takers):
        price = 10_001 + nth
        levels = [name for name, (s, p, _) in hand._stands.items() if (s, p) == (1, price)]
        for name in levels:
            hand.meet(name, hand._stands[name][2], taker)
        hand.add(0, price, size)
        hand.wait(120)
    hand.wait(700)
    if back:
        for nth in range(3):
            takers.append(f"back{nth}")
            best = max(p for s, p, _ in hand._stands.values() if s == 0)
            name = next(n for n, (s, p, _) in hand._stands.items() if (s, p) == (0, best))
            hand.meet(name, min(size, hand._stands[name][2]), takers[-1])
            hand.wait(70)
    hand.wait(5_000)
    hand.usual(2)
    return takers


def test_a_burst_of_trades_that_moves_the_price_and_goes_back_is_momentum_ignition() -> None:
    hand = quiet()
    takers = ignite(hand)
    (one,) = [one for one in found(hand) if one["kind"] == "momentum ignition"]
    assert one["side"] == 0, "the taker's"
    assert len(set(one["order_ids"]) & set(takers)) >= 6
    assert one["evidence"]["traded back"] > 0


@pytest.mark.parametrize("case", [{"back": False}, {"pushes": 2}])
def test_a_mere_rise_is_no_momentum_ignition(case: dict[str, Any]) -> None:
    hand = quiet()
    ignite(hand, **case)
    assert [one for one in found(hand) if one["kind"] == "momentum ignition"] == []
