"""The judge on cases made by hand, and the figures it makes of them against known values."""

from __future__ import annotations

from typing import Any

import pytest

from ordertape.evaluation.aims import Aim
from ordertape.evaluation.judge import Verdict, judge
from ordertape.evaluation.scores import Score, Share, average_precision, percentile, wilson
from ordertape.evaluation.truth import Finding, Truth

S = 1_000_000_000


def truth(
    began: float = 10, ended: float = 20, orders: tuple[int, ...] = (1,), **more: Any
) -> Truth:
    fields: dict[str, Any] = {"kind": "spoof-like", "side": 0, "counted": True} | more
    return Truth(
        began=round(began * S),
        ended=round(ended * S),
        defined=round(ended * S),
        orders=list(orders),
        **fields,
    )


def finding(
    began: float = 10, ended: float = 20, orders: tuple[int, ...] = (1,), **more: Any
) -> Finding:
    fields: dict[str, Any] = {
        "kind": "spoof-like",
        "side": 0,
        "told": round(ended * S),
        "score": 0.9,
    } | more
    return Finding(
        began=round(began * S),
        ended=round(ended * S),
        orders=orders,
        **fields,
    )


def ruled(truths: list[Truth], *findings: Finding, **volumes: int) -> Verdict:
    """``volumes``: o1=5: order 1 showed 5; 1 where nothing is said."""
    return judge(truths, findings, lambda order: volumes.get(f"o{order}", 1))


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    """Hits, false, missed, aside."""
    return (
        len(verdict.hits),
        len(verdict.false),
        len(verdict.missed),
        len(verdict.aside),
    )


def test_the_whole_episode_found_is_a_hit() -> None:
    assert counts(ruled([truth()], finding())) == (1, 0, 0, 0)


def test_nothing_found_is_a_miss_and_nothing_there_is_false() -> None:
    assert counts(ruled([truth()])) == (0, 0, 1, 0)
    assert counts(ruled([], finding())) == (0, 1, 0, 0)


def test_the_other_side_is_false() -> None:
    assert counts(ruled([truth()], finding(side=1))) == (0, 1, 1, 0)


@pytest.mark.parametrize(
    ("began", "ended", "hits"),
    [
        (10, 10.001, 1),  # begins with it
        (20, 30, 1),  # begins with its end
        (9.999, 15, 1),  # begins before, overlaps half of it
        (9.999, 14.999, 0),  # a little less than half
        (0, 30, 1),  # around it
        (20.001, 30, 0),  # behind it
        (0, 9.999, 0),  # before it
    ],
)
def test_half_of_the_episode_or_a_beginning_inside_it(
    began: float, ended: float, hits: int
) -> None:
    assert counts(ruled([truth(10, 20)], finding(began, ended))) == (hits, 1 - hits, 1 - hits, 0)


def test_half_of_the_volume_must_be_the_episodes_not_half_of_the_orders() -> None:
    found = finding(orders=(1, 2, 3))
    assert counts(ruled([truth(orders=(1,))], found, o1=2, o2=1, o3=1)) == (1, 0, 0, 0)
    assert counts(ruled([truth(orders=(1,))], found, o1=2, o2=1, o3=2)) == (0, 1, 1, 0)


def test_a_finding_that_names_no_order_is_about_nothing() -> None:
    assert counts(ruled([truth()], finding(orders=()))) == (0, 1, 1, 0)
    assert counts(ruled([truth()], finding(orders=(7,)))) == (0, 1, 1, 0)
    assert counts(ruled([truth()], finding(), o1=0)) == (0, 1, 1, 0)


def test_one_finding_an_episode_the_first_and_each_more_is_false() -> None:
    late, early = finding(told=25 * S), finding(told=22 * S)
    verdict = ruled([truth()], late, early)
    assert counts(verdict) == (1, 1, 0, 0)
    assert verdict.hits[0][1] is early
    assert verdict.false == [late]


def test_of_two_episodes_the_one_whose_orders_are_named_is_found() -> None:
    one, other = truth(orders=(1,)), truth(11, 19, orders=(2,))
    verdict = ruled([one, other], finding(orders=(2,)))
    assert [hit for hit, _ in verdict.hits] == [other]
    assert verdict.missed == [one]


def test_what_is_not_counted_is_neither_missed_nor_right_nor_false() -> None:
    aside = truth(counted=False, why="small")
    assert counts(ruled([aside])) == (0, 0, 0, 0)
    assert counts(ruled([aside], finding())) == (0, 0, 0, 1)
    # Told twice it is a false alarm like any other.
    assert counts(ruled([aside], finding(), finding())) == (0, 1, 0, 1)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0000),
    ],
)
def test_intervals_are_wilsons(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_is_unknown() -> None:
    assert Share(0, 0).value is None
    assert wilson(0, 0) == (0, 1)
    assert Score().f1 is None
    assert Score().area is None
    assert Score().alarms_per_hour is None
    assert Score().delay(0.5) is None


def test_the_area_under_precision_and_recall() -> None:
    # Right, false, right, of three: 1/1 and 2/3, each a third of the recall.
    scored = [(0.9, True), (0.8, False), (0.7, True)]
    assert average_precision(scored, 3) == pytest.approx((1 + 2 / 3) / 3)
    # At one score nobody can tell them apart.
    assert average_precision([(0.5, True), (0.5, False)], 1) == 0.5
    assert average_precision([(0.5, False), (0.5, True)], 1) == 0.5
    assert average_precision([], 2) == 0


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (50, 99)
    assert percentile([3.0], 0.01) == 3.0


def test_scores_of_two_tapes_add_up() -> None:
    one = Score(hits=3, false=1, missed=1, delays=[5.0], scored=[(0.9, True)])
    both = one + Score(alarms=2, hours=4.0) + one
    assert (both.precision, both.recall) == (Share(6, 8), Share(6, 8))
    assert both.f1 == 0.75
    assert both.alarms_per_hour == 0.5
    assert both.delays == [5.0, 5.0]


def test_an_aim_names_what_a_score_misses() -> None:
    aim = Aim(precision=0.9, recall=0.9, alarms=0.5, delay_ms=250)
    assert aim.text() == "precision 0.90, recall 0.90, 0.5 alarms/h, p99 250 ms"
    good = Score(hits=9, false=1, missed=1, alarms=1, hours=2.0, delays=[250.0])
    assert aim.missed(good) == []
    bad = Score(hits=8, false=1, missed=1, alarms=3, hours=4.0, delays=[251.0])
    assert aim.missed(bad) == ["precision", "recall", "alarms", "delay"]
    assert aim.missed(Score()) == ["precision", "recall", "alarms", "delay"]
    assert (Aim(f1=0.85).missed(good), Aim(f1=0.95).missed(good)) == ([], ["F1"])
    assert (Aim().missed(bad), Aim().text()) == ([], "–")
