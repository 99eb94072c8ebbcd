from __future__ import annotations

from decimal import Decimal

import pytest

from ordertape.simulator.bitfinex_window import Window, checksum, number_text
from ordertape.simulator.matching import Matching

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


def _window(length: int) -> tuple[Matching, Window]:
    matching = Matching()
    for order_id in range(1, 5):
        matching.limit(order_id, BID, (100 - order_id) * ONE, ONE)
        matching.limit(order_id + 10, ASK, (100 + order_id) * ONE, ONE)
    window = Window(matching, 8, length, keep=10)
    assert window.publish(set(), 1) is not None
    return matching, window


def test_a_window_shows_the_best_orders_in_book_order() -> None:
    _, window = _window(2)
    assert window.snapshot() == "[[1,99,1],[2,98,1],[11,101,-1],[12,102,-1]]"
    assert window.rows(1) == ([(1, "99", "1")], [(11, "101", "-1")])


def test_a_better_order_pushes_the_worst_out_and_room_brings_it_back() -> None:
    matching, window = _window(2)
    matching.limit(5, BID, 100 * ONE, ONE // 2)
    news = window.publish(set(), 2)
    assert news is not None
    assert news[0] == ["[2,0,1]", "[5,100,0.5]"]
    matching.cancel(1)
    news = window.publish(set(), 3)
    assert news is not None
    assert news[0] == ["[1,0,1]", "[2,98,1]"]


def test_deletes_come_before_changes_and_bids_before_asks() -> None:
    matching, window = _window(4)
    matching.cancel(2)
    matching.cancel(12)
    matching.limit(21, ASK, 109 * ONE, 3)
    matching.limit(22, BID, 98 * ONE, 3)
    matching.amend(1, 97 * ONE, 5 * ONE)
    matching.amend(3, 97 * ONE, 2 * ONE)
    news = window.publish(matching.resized, 2)
    assert news is not None
    assert news[0] == [
        "[2,0,1]",
        "[12,0,-1]",
        "[22,98,3e-8]",
        "[1,97,5]",
        "[3,97,2]",
        "[21,109,-3e-8]",
    ]


def test_what_came_and_went_within_one_iteration_never_shows() -> None:
    matching, window = _window(4)
    matching.limit(5, BID, 100 * ONE, ONE)
    matching.amend(1, 98 * ONE, ONE)
    matching.amend(1, 99 * ONE, ONE)
    matching.amend(2, 98 * ONE, 7)
    matching.amend(2, 98 * ONE, ONE)
    matching.cancel(5)
    assert window.publish(matching.resized, 2) is None
    assert window.iteration == 1
    assert [state.time_ms for state in window.states] == [1]
