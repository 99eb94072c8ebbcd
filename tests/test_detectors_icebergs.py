"""Icebergs, native and synthetic, on tapes written by hand."""

from __future__ import annotations

import pytest

from ordertape.events import EventKind, Flag, Reason
from support.detecting import BEGIN, MS, Hand, found


def quiet() -> Hand:
    """A market that has been usual for a while."""
    hand = Hand()
    hand.usual(30)
    return hand


def test_an_order_that_shows_its_next_peak_under_its_id_is_a_native_iceberg() -> None:
    hand = quiet()
    name = hand.add(0, 10_000, 5)
    for _ in range(3):
        hand.wait(400)
        hand.meet(name, 5, told=False)
        hand.add(0, 10_000, 5, name)
    hand.wait(400)
    hand.meet(name, 5)
    hand.wait(500)
    hand.usual(1)
    told = found(hand)
    assert {one["kind"] for one in told} == {"native iceberg"}
    assert [one["phase"] for one in told] == ["detected", "traded", "traded", "executed"]
    assert len({one["number"] for one in told}) == 1
    first, last = told[0], told[-1]
    assert first["order_ids"] == [name]
    assert (first["side"], first["price_low"], first["price_high"]) == (0, 10_000, 10_000)
    assert (first["size"], first["filled"]) == (10, 5)
    assert (last["size"], last["filled"]) == (20, 20)
    assert first["told"] == first["ended"], "the refresh tells at once"
    assert (last["price_scale"], last["size_scale"]) == (2, 1)
    assert 0.5 < first["score"] <= 1
    for one in told:
        assert all(0 <= part <= 1 for part in (*one["evidence"].values(), *one["against"].values()))


def test_a_native_iceberg_that_is_withdrawn_was_cancelled() -> None:
    hand = quiet()
    name = hand.add(1, 10_001, 5)
    hand.meet(name, 5, told=False)
    hand.add(1, 10_001, 5, name)
    hand.wait(5_000)
    hand.cancel(name)
    assert [one["phase"] for one in found(hand)] == ["detected", "cancelled"]


def test_a_fill_larger_than_what_was_shown_is_a_native_iceberg() -> None:
    hand = quiet()
    name = hand.add(0, 10_000, 5)
    hand.write(EventKind.MATCH, 0, name, 10_000, 12, taker="t")
    told = found(hand)
    assert [(one["kind"], one["phase"]) for one in told] == [("native iceberg", "detected")]
    assert told[0]["evidence"]["traded more than shown"] == 1


def test_a_size_that_grows_behind_a_fill_is_a_refresh_where_no_owner_amended() -> None:
    for reason, times, expected in [
        (Reason.NONE, 1, ["detected"]),
        (Reason.AMENDED, 2, []),
        (Reason.AMENDED, 3, ["detected"]),
    ]:
        hand = quiet()
        name = hand.add(0, 10_000, 9)
        for _ in range(times):
            hand.wait(300)
            hand.meet(name, 8)
            hand.wait(10)
            hand.amend(name, 10_000, 9, reason)
        told = [one["phase"] for one in found(hand) if one["kind"] == "native iceberg"]
        assert told == expected, (reason, times)


@pytest.mark.parametrize("case", ["late", "elsewhere", "back in the window", "another id"])
def test_what_only_looks_like_a_native_iceberg_is_none(case: str) -> None:
    hand = quiet()
    for _ in range(2):
        name = hand.add(0, 10_000, 5)
        hand.meet(name, 5, told=False)
        hand.wait(600 if case == "late" else 3)
        price = 9_999 if case == "elsewhere" else 10_000
        flags = Flag.REENTRY if case == "back in the window" else 0
        again = None if case == "another id" else name
        again = hand.add(0, price, 5, again, flags=flags)
        hand.wait(300)
        hand.cancel(again)
    assert found(hand) == []


def test_a_venue_that_keeps_no_ids_shows_the_next_within_milliseconds() -> None:
    hand = quiet()
    for _ in range(5):
        name = hand.add(1, 10_001, 33)
        hand.wait(900)
        hand.meet(name, 33)
        hand.wait(2)
    told = found(hand)
    assert {one["kind"] for one in told} == {"native iceberg"}
    assert told[0]["phase"] == "detected"


def chain(
    hand: Hand, tranches: int = 7, size: int = 33, delay: float = 60, grow: int = 0
) -> list[str]:
    """Equal orders, each soon behind the fill of the last."""
    names = []
    for nth in range(tranches):
        names.append(hand.add(0, 10_000, size + nth * grow))
        hand.wait(250 + nth * 113 % 300)
        hand.meet(names[-1], size + nth * grow)
        hand.wait(delay + nth * 7 % 20)
    return names


def test_equal_orders_each_behind_the_last_ones_fill_are_a_synthetic_iceberg() -> None:
    hand = quiet()
    names = chain(hand)
    hand.wait(1_000)
    hand.usual(1)
    told = found(hand)
    assert {one["kind"] for one in told} == {"synthetic iceberg"}
    assert [one["phase"] for one in told].count("detected") == 1
    assert (told[0]["phase"], told[-1]["phase"]) == ("detected", "executed")
    assert len({one["number"] for one in told}) == 1
    last = told[-1]
    assert set(last["order_ids"]) == set(names)
    assert (last["size"], last["filled"], last["orders"]) == (7 * 33, 7 * 33, 7)
    assert len(told[0]["order_ids"]) <= 4, "told long before its end"


def test_a_synthetic_iceberg_whose_last_tranche_is_withdrawn_was_cancelled() -> None:
    hand = quiet()
    chain(hand, 5)
    hand.cancel(hand.add(0, 10_000, 33))
    hand.wait(1_000)
    hand.usual(1)
    assert found(hand)[-1]["phase"] == "cancelled"


def test_two_tranches_other_sizes_and_late_ones_are_no_chain() -> None:
    for case in ({"tranches": 2}, {"grow": 3}, {"delay": 700}):
        hand = quiet()
        chain(hand, **case)
        hand.wait(1_000)
        assert found(hand) == [], case


def test_slices_by_the_clock_are_no_synthetic_iceberg() -> None:
    """Equal times between orders, whenever each was filled."""
    hand = quiet()
    for nth in range(8):
        name = hand.add(0, 10_000, 33)
        filled = (480, 300, 410, 250, 455, 340, 280, 390)[nth]
        hand.wait(filled)
        hand.meet(name, 33)
        hand.wait(500 - filled)
    hand.wait(1_000)
    assert found(hand) == []


def test_a_common_size_needs_a_longer_chain_than_a_rare_one() -> None:
    """What comes often comes behind a fill by chance."""
    told = []
    for size in (33, 4):
        hand = quiet()
        chain(hand, 9, size)
        phases = found(hand)
        told.append(len(phases[0]["order_ids"]) if phases else 99)
    assert told[0] < told[1]


def test_a_finding_stays_the_same_through_its_phases() -> None:
    """What began promptly and went on slowly, and what was lost from sight and came back."""
    hand = quiet()
    for nth in range(4):
        name = hand.add(0, 10_000, 33)
        hand.wait(250 + nth * 113 % 300)
        hand.meet(name, 33)
        hand.wait(2)
    chain(hand, 8)
    hand.wait(1_500)
    chain(hand, 7)
    hand.wait(1_000)
    hand.usual(1)
    told = found(hand)
    assert {one["kind"] for one in told} == {"native iceberg"}
    assert len({(one["number"], one["side"], one["began"], one["began_seq"]) for one in told}) == 1
    assert [one["phase"] for one in told].count("detected") == 1
    assert told[-1]["phase"] == "executed"
    assert told[-1]["score"] == told[-2]["score"], "its end says nothing new"


def test_the_last_phase_tells_of_the_longest_branch() -> None:
    hand = quiet()
    names = chain(hand, 6)
    # One that comes behind the same fill, of the same size, stands longer than the true next.
    other = hand.add(0, 10_000, 33)
    hand.wait(5)
    last = hand.add(0, 10_000, 33)
    hand.wait(100)
    hand.meet(last, 33)
    hand.wait(60)
    last = hand.add(0, 10_000, 33)
    hand.wait(100)
    hand.meet(last, 33)
    hand.wait(2_000)
    hand.cancel(other)
    hand.wait(1_000)
    hand.usual(1)
    ends = found(hand)[-1]
    assert ends["phase"] in ("executed", "cancelled")
    assert ends["orders"] >= len(names) + 2


def test_an_iceberg_ends_with_its_last_event_not_when_that_was_told() -> None:
    hand = quiet()
    name = hand.add(0, 10_000, 5)
    hand.meet(name, 5, told=False)
    hand.add(0, 10_000, 5, name)
    hand.wait(400)
    filled = hand.now
    hand.meet(name, 5, told=False)
    hand.wait(500)
    hand.usual(1)
    last = found(hand)[-1]
    assert last["phase"] == "executed"
    assert last["ended"] == BEGIN + round(filled * MS) < last["told"]
