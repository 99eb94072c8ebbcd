from __future__ import annotations

from decimal import Decimal

import pytest

from ordertape.simulator.bitfinex_window import Window, checksum, number_text, top_orders
from ordertape.simulator.matcher import Matcher

BID, ASK = 0, 1
ONE = 10**8


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0, 8, "0"),
        (1, 0, "1"),
        (-120, 0, "-120"),
        (41_643_95858045, 8, "41643.95858045"),
        (41_652 * ONE, 8, "41652"),
        (6_183, 8, "0.00006183"),
        (100, 8, "0.000001"),
        (110, 8, "0.0000011"),
        (99, 8, "9.9e-7"),
        (70, 8, "7e-7"),
        (66, 8, "6.6e-7"),
        (1, 8, "1e-8"),
        (-1, 8, "-1e-8"),
        (8_712_300, 13, "8.7123e-7"),
        (-ONE // 20, 8, "-0.05"),
        (12_000 * ONE, 8, "12000"),
    ],
)
def test_numbers_are_printed_as_javascript_prints_them(value: int, scale: int, text: str) -> None:
    assert number_text(value, scale) == text
    assert Decimal(text) == Decimal(value).scaleb(-scale)


def test_the_checksum_of_a_short_book_leaves_missing_places_out() -> None:
    # The text is 100:1:102:-3:101:2:103:-4, as in the venue's own library's test.
    assert checksum(["100:1", "101:2"], ["102:-3", "103:-4"]) == 1841538801
    assert checksum([], []) == 0


class Shown:
    """A market and its window of so many orders a side."""

    def __init__(self, length: int) -> None:
        self.matcher = Matcher()
        self.window = Window(8, length, keep=10)
        for order_id in range(1, 5):
            self.matcher.limit(order_id, BID, (100 - order_id) * ONE, ONE)
            self.matcher.limit(order_id + 10, ASK, (100 + order_id) * ONE, ONE)
        assert self.publish(1)

    def publish(self, time_ms: int) -> list[str]:
        """The frames of one iteration."""
        top = top_orders(self.matcher, self.window.length)
        news = self.window.publish(top, time_ms)
        return [] if news is None else news[0]


def test_a_window_shows_the_best_orders_in_book_order() -> None:
    window = Shown(2).window
    assert window.snapshot() == "[[1,99,1],[2,98,1],[11,101,-1],[12,102,-1]]"
    assert window.rows(1) == ([(1, "99", "1")], [(11, "101", "-1")])


def test_a_better_order_pushes_the_worst_out_and_room_brings_it_back() -> None:
    shown = Shown(2)
    shown.matcher.limit(5, BID, 100 * ONE, ONE // 2)
    assert shown.publish(2) == ["[2,0,1]", "[5,100,0.5]"]
    shown.matcher.cancel(1)
    assert shown.publish(3) == ["[1,0,1]", "[2,98,1]"]


def test_deletes_come_before_changes_and_bids_before_asks() -> None:
    shown = Shown(4)
    matcher = shown.matcher
    matcher.cancel(2)
    matcher.cancel(12)
    matcher.limit(21, ASK, 109 * ONE, 3)
    matcher.limit(22, BID, 98 * ONE, 3)
    matcher.amend(1, 97 * ONE, 5 * ONE)
    matcher.amend(3, 97 * ONE, 2 * ONE)
    assert shown.publish(2) == [
        "[2,0,1]",
        "[12,0,-1]",
        "[22,98,3e-8]",
        "[1,97,5]",
        "[3,97,2]",
        "[21,109,-3e-8]",
    ]


def test_what_came_and_went_within_one_iteration_never_shows() -> None:
    shown = Shown(4)
    matcher = shown.matcher
    matcher.limit(5, BID, 100 * ONE, ONE)
    matcher.amend(1, 98 * ONE, ONE)
    matcher.amend(1, 99 * ONE, ONE)
    matcher.amend(2, 98 * ONE, 7)
    matcher.amend(2, 98 * ONE, ONE)
    matcher.cancel(5)
    assert shown.publish(2) == []
    assert shown.window.iteration == 1
    assert [state.time_ms for state in shown.window.states] == [1]


def test_a_state_tells_the_queues_a_client_can_know() -> None:
    shown = Shown(4)
    matcher = shown.matcher
    snapshot = shown.window.states[-1].last_place
    matcher.amend(4, 99 * ONE, ONE)
    matcher.limit(30, BID, 99 * ONE, ONE)
    shown.publish(2)
    matcher.amend(2, 99 * ONE, ONE)
    shown.publish(3)
    matcher.amend(4, 99 * ONE, 2 * ONE)
    matcher.amend(30, 99 * ONE, ONE // 2)
    shown.publish(4)
    state = shown.window.states[-1]
    bids, asks = state.queues(snapshot)
    assert [row[0] for row in bids] == [1, 30, 2, 4]
    assert [row[0] for row in state.queues(state.last_place)[0]] == [1, 2, 4, 30]
    assert asks == state.asks
