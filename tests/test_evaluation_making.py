"""Labelled tapes: which are made, what they hold, what counts as an episode of a kind."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ordertape._engine import EventBatch
from ordertape.errors import BadFile, SettingRefused
from ordertape.evaluation.labels import truths_of
from ordertape.evaluation.making import Making
from ordertape.evaluation.plan import (
    BACKGROUNDS,
    JUDGING_FROM,
    TUNING_SEEDS,
    TapePlan,
    known_kinds,
    plan_clean,
    plan_kinds,
    read_seeds,
)
from ordertape.evaluation.tapes import made
from ordertape.evaluation.truth import HONEST, KINDS, Truth, order_key
from ordertape.evaluation.witness import Case, Seen, Witness
from ordertape.simulator.episodes import Episode
from ordertape.simulator.occurrences import Changed, Ended, Occurrence, Opened, Traded

S = 1_000_000_000
QUIET = BACKGROUNDS["equity"][0]


# Which tapes --------------------------------------------------------------------------------------


def test_seeds_of_tuning_never_judge_and_the_others_never_tune() -> None:
    assert not set(TUNING_SEEDS) & set(range(JUDGING_FROM, JUDGING_FROM + 100_000))
    assert read_seeds("1-3,20", tuning=True) == [1, 2, 3, 20]
    assert read_seeds("1001, 1005-1006", tuning=False) == [1001, 1005, 1006]
    for text in ("20", "1000", "1-5", "1000-1001"):
        with pytest.raises(SettingRefused, match=r"tuned nothing, from 1001 on, found"):
            read_seeds(text, tuning=False)
    for text in ("21", "0", "1001", "20-21"):
        with pytest.raises(SettingRefused, match=r"seeds of tuning, 1 to 20, found"):
            read_seeds(text, tuning=True)


@pytest.mark.parametrize("text", ["", "a", "5-1", "1001-", "1001;1002", "-5", "1001,1001"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(SettingRefused, match="expected"):
        read_seeds(text, tuning=False)


def test_five_seeds_see_every_background_in_every_kind() -> None:
    plans = list(plan_kinds(tuple(KINDS), read_seeds("1001-1005", tuning=False), 400))
    for kind in KINDS:
        mine = [plan for plan in plans if plan.kind == kind]
        assert sum(plan.episodes for plan in mine) == 400
        assert {plan.background for plan in mine} == {
            background for regime in BACKGROUNDS.values() for background in regime
        }


def test_clean_hours_are_as_many_as_asked_and_no_two_pieces_are_alike() -> None:
    plans = list(plan_clean(read_seeds("1001-1005", tuning=False), 24))
    assert sum(plan.seconds for plan in plans) == 24 * 3600
    assert len({(plan.market_seed, plan.background) for plan in plans}) == len(plans)
    assert all(plan.seconds <= 3600 for plan in plans)
    tuning = plan_clean(read_seeds("1-20", tuning=True), 100)
    assert not {plan.market_seed for plan in tuning} & {plan.market_seed for plan in plans}
    assert not list(plan_clean([1001], 0))
    assert [plan.seconds for plan in plan_clean([1001], 0.5)] == [900, 900]


def test_kinds_come_in_their_order_and_others_are_refused() -> None:
    assert known_kinds(["layering", "spoof-like"]) == ("spoof-like", "layering")
    assert known_kinds([]) == tuple(KINDS)
    with pytest.raises(SettingRefused, match=r"a kind of spoof-like, .* found 'wash'"):
        known_kinds(["wash"])


# What they hold -----------------------------------------------------------------------------------


def whole(plan: TapePlan) -> tuple[EventBatch, Making]:
    making = Making(plan)
    return EventBatch.concat(list(making.batches())), making


def test_a_plan_makes_the_same_tape_each_time() -> None:
    plan = TapePlan("layering", QUIET, 3, episodes=2)
    (one, first), (other, again) = whole(plan), whole(plan)
    assert one.encode_frame(1, 0) == other.encode_frame(1, 0)
    assert first.truths == again.truths
    third, _ = whole(TapePlan("layering", QUIET, 4, episodes=2))
    assert third.encode_frame(1, 0) != one.encode_frame(1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tape_holds_as_many_counted_episodes_as_planned_and_all_their_orders(kind: str) -> None:
    rows, making = whole(TapePlan(kind, QUIET, 5, episodes=3))
    assert [b - a for a, b in pairwise(rows.to_arrow()["seq"].to_pylist()[-1000:])] == [1] * 999
    mine = [truth for truth in making.truths if truth.kind == kind]
    counted = [truth for truth in mine if truth.counted and not truth.facts.get("background")]
    assert len(counted) == 3 == making.done
    ids = set(rows.id_texts()) | set(rows.id_texts("taker_order_id"))
    for truth in counted:
        assert truth.began <= truth.defined <= truth.ended
        assert {str(order) for order in truth.orders} & ids
    assert all(truth.why == "" for truth in counted)
    assert making.truths == sorted(making.truths, key=lambda truth: truth.began)
    assert rows.codec.encode(str(counted[0].orders[0]))[:8] == counted[0].orders[0].to_bytes(
        8, "little"
    )
    assert order_key(rows.codec.encode(str(counted[0].orders[0]))) == counted[0].orders[0]


def test_clean_flow_holds_hard_negatives_and_no_planned_episode() -> None:
    _, making = whole(TapePlan(None, QUIET, 5, seconds=900))
    assert {truth.kind for truth in making.truths} <= {*HONEST, "native iceberg"}
    assert {truth.kind for truth in making.truths} & set(HONEST)
    assert making.seconds >= 900
    assert all(
        truth.facts["background"] for truth in making.truths if truth.kind == "native iceberg"
    )


def test_a_kept_tape_is_not_made_again_and_half_of_one_is(tmp_path: Path) -> None:
    plan = TapePlan("native iceberg", QUIET, 2, episodes=1)
    told: list[float] = []
    one = made(plan, tmp_path, told.append)
    assert told[-1] == 1
    told.clear()
    again = made(plan, tmp_path, told.append)
    assert told == []
    assert again.truths == one.truths
    rows = EventBatch.concat(list(again.batches()))
    assert rows.encode_frame(1, 0) == whole(plan)[0].encode_frame(1, 0)
    labels = one.path.with_suffix(".json")
    labels.unlink()
    assert made(plan, tmp_path, told.append).truths == one.truths
    assert told
    assert sorted(path.suffix for path in one.path.parent.iterdir()) == [".json", ".tape"]


def test_a_damaged_tape_is_named(tmp_path: Path) -> None:
    tape = made(TapePlan("native iceberg", QUIET, 2, episodes=1), tmp_path, lambda _share: None)
    whole_ = tape.path.read_bytes()
    for damaged in (whole_[:-7], whole_[:9] + b"damage" + whole_[15:], b"\xff\xff\xff\x7f"):
        tape.path.write_bytes(damaged)
        with pytest.raises(BadFile, match=r"\.tape, byte \d+: damaged; remove the file"):
            list(tape.batches())


# What counts --------------------------------------------------------------------------------------

TOUCH = (10_000, 10_010)


def case(kind: str, **orders: Seen) -> Case:
    """Of side 0; o1=…: order 1."""
    label = Episode(kind, True, 0, 10_000, 0, 9 * S)
    label.order_ids = [int(name[1:]) for name in orders]
    told = Case(label, TOUCH, depth=1_000)
    told.orders = {int(name[1:]): seen for name, seen in orders.items()}
    return told


def shown(price: int = 9_995, size: int = 500, opened: float = 1, **more: object) -> Seen:
    seen = Seen(0, price, size, round(opened * S), ended=3 * S, reason="canceled")
    for name, value in more.items():
        setattr(seen, name, value)
    return seen


def met(**more: object) -> Seen:
    """The true order on the other side, filled."""
    seen = Seen(1, 10_010, 10, 2 * S, filled=10, ended=2 * S, reason="filled")
    for name, value in more.items():
        setattr(seen, name, value)
    return seen


def only(told: Case, unit: float = 10) -> Truth:
    (truth,) = truths_of(told, 1, unit)
    return truth


def test_a_spoof_like_episode_is_what_the_page_says() -> None:
    truth = only(case("spoofing", o1=shown(), o2=met()))
    assert (truth.kind, truth.counted, truth.orders) == ("spoof-like", True, [1, 2])
    assert (truth.began, truth.ended, truth.defined) == (S, 3 * S, 3 * S)
    assert truth.facts["size"] == 50
    assert truth.facts["share"] == pytest.approx(1 / 3)
    assert truth.facts["distance_bp"] == pytest.approx(5 / 10_005 * 10_000)


@pytest.mark.parametrize(
    ("spoofer", "other", "why"),
    [
        (shown(filled=26), met(), "filled"),
        (shown(reason="filled"), met(), "not canceled"),
        (shown(), met(filled=0, reason="canceled"), "no trade on the other side"),
        (shown(price=9_989), met(), "far"),
        (shown(size=49), met(), "small"),
        (shown(size=110), met(), "little beside the depth"),
        (shown(opened=2.97), met(), "life"),
    ],
)
def test_what_lacks_a_part_of_it_is_not_counted(spoofer: Seen, other: Seen, why: str) -> None:
    truth = only(case("spoofing", o1=spoofer, o2=other))
    assert (truth.counted, truth.why) == (False, why)


def test_layers_count_from_three_levels_that_come_and_go_together() -> None:
    layers = {f"o{n}": shown(price=9_999 - n, size=60) for n in (1, 2, 3)}
    told = case("layering", **layers)
    told.taken.append((2 * S, 0, 10_000, 5))
    assert only(told).counted
    told.orders[3].price = told.orders[2].price
    assert only(told).why == "too few levels"
    told.orders[3].price -= 1
    told.orders[3].ended = 5 * S
    assert only(told).why == "not together"
    told.orders[3].ended = 3 * S
    told.taken.clear()
    assert only(told).why == "no trade on the other side"


def test_a_native_iceberg_is_one_from_its_second_peak_on() -> None:
    told = case("native_iceberg", o1=shown(refreshed=[2 * S]))
    assert (only(told).defined, only(told).counted) == (2 * S, True)
    told.orders[1].refreshed = []
    assert truths_of(told, 1, 10) == []


def test_three_equal_pieces_in_a_row_are_a_synthetic_iceberg() -> None:
    def piece(opened: float, **more: object) -> Seen:
        end = {"ended": round((opened + 1) * S), "reason": "filled"}
        return shown(opened=opened, **(end | more))

    told = case("synthetic_iceberg", o1=piece(1), o2=piece(2.1), o3=piece(3.2))
    assert (only(told).counted, only(told).defined) == (True, round(3.2 * S))
    assert only(told).facts["delay_ms"] == pytest.approx(100)
    told.orders[2].reason = "canceled"
    assert only(told).why == "too few in a row"
    told.orders[2].reason = "filled"
    told.orders[3].price -= 2
    assert only(told).why == "too few in a row"
    told.orders[3].price += 2
    told.orders[3].size = 520
    assert only(told).why == "pieces differ"


def test_momentum_counts_where_the_price_moved_and_the_trader_went_back() -> None:
    told = case("momentum_ignition", o1=shown())
    told.taken = [(S, 1, 10_010, 5), (2 * S, 1, 10_014, 5), (4 * S, 0, 10_005, 5)]
    assert (only(told).counted, only(told).defined, only(told).began) == (True, 4 * S, S)
    told.taken.pop()
    assert only(told).why == "kept"
    told.taken[1] = (2 * S, 1, 10_010, 5)
    assert only(told).why == "the price did not move"


def test_what_is_honest_is_never_counted() -> None:
    truth = only(case("requotes", o1=shown()))
    assert (truth.kind, truth.counted, truth.why) == ("requotes", False, "honest")


def test_a_witness_reads_orders_trades_and_icebergs_from_the_log() -> None:
    witness, label = Witness(), Episode("spoofing", True, 0, 10_000, 0)
    told = Case(label, TOUCH, 0)
    witness.begin(told)
    label.order_ids.append(7)
    log: list[Occurrence] = [
        Opened(1, 1, 7, 0, 9_999, 50, False),
        Opened(2, 1, 8, 1, 10_010, 20, False),
        Traded(3, 2, 1, 8, 7, 1, 10_010, 20, 0, False, False, 30),
        Changed(4, 2, 8, 1, 10_010, 10_010, 0, 20, "refreshed", False, False, True),
        Traded(5, 3, 2, 7, 99, 0, 9_999, 10, 40, False, False, 0),
        Ended(6, 4, 7, 0, 9_999, 40, "canceled", True, False),
    ]
    witness.see(log)
    assert told.orders == {7: Seen(0, 9_999, 50, 1, filled=10, ended=4, reason="canceled")}
    assert told.taken == [(2, 1, 10_010, 20)]
    assert list(witness.icebergs) == [8]
    assert witness.icebergs[8].refreshed == [2]
    assert witness.median_size == 50
