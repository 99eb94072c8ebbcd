"""What is fitted to a flow: made by hand where it can be, else found in what was simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ordertape.analysis import hawkes, impact, lifetimes, microprice, queues, resiliency
from ordertape.analysis.fits import FITS
from ordertape.events import Reason, Side

SECOND = 1_000_000_000
NULL = np.iinfo(np.int64).min


def longs(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def test_survival_and_its_two_risks_are_those_made_by_hand() -> None:
    censored, filled, canceled = lifetimes.CENSORED, lifetimes.FILLED, lifetimes.CANCELED
    lasted = longs(1, 2, 2, 3, 4) * SECOND
    fate = longs(canceled, filled, censored, canceled, censored)
    found = lifetimes.survival(lasted, fate)
    # At risk: 5, 4, 2, 1.
    assert found.alive == pytest.approx([0.8, 0.6, 0.3, 0.3], rel=1e-12)
    assert found.canceled == pytest.approx([0.2, 0.2, 0.5, 0.5], rel=1e-12)
    assert found.filled == pytest.approx([0.0, 0.2, 0.2, 0.2], rel=1e-12)
    assert found.alive + found.canceled + found.filled == pytest.approx(1.0, rel=1e-12)
    assert [found.quantile(share) for share in (0.2, 0.5, 0.7, 0.9)] == [1, 3, 3, None]
    assert found.at(found.canceled, 2 * SECOND) == pytest.approx(0.2)
    assert found.at(found.alive, 0) == 1


def test_nobody_lives_in_no_orders() -> None:
    found = lifetimes.survival(longs(), longs())
    assert (found.orders, found.quantile(0.5), found.at(found.filled, SECOND)) == (0, None, 0)


def lives(**columns: Any) -> dict[str, npt.NDArray[np.int64]]:
    return {name: np.array(values, np.int64) for name, values in columns.items()}


def test_what_goes_on_or_was_cut_is_censored() -> None:
    told = lives(
        ending=[1, 1, 2, 0, 0],
        reason=[Reason.FILLED, Reason.CANCELED, 0, 0, 0],
        opened=[0, 0, 0, 0, 0],
        ended=[5, 6, 7, NULL, 8],
    )
    lasted, fate = lifetimes.fates_of(told, 10)
    assert lasted.tolist() == [5, 6, 7, 10, 8]
    assert fate.tolist() == [1, 2, 0, 0, 0]


def test_the_place_in_the_queue_counts_only_at_the_best_price() -> None:
    told = lives(
        side=[Side.BID, Side.BID, Side.BID, Side.ASK],
        ending=[1, 1, 1, 1],
        reason=[Reason.FILLED, Reason.CANCELED, Reason.FILLED, Reason.FILLED],
        opened=[0, 0, 0, 0],
        ended=[SECOND // 2, 2 * SECOND, SECOND, 5 * SECOND],
        price_first=[100, 100, 99, 101],
        bid_first=[100, 100, 100, 100],
        ask_first=[101, 101, 101, 101],
        ahead_first=[0, 0, 3, 5],
        size_first=[1, 1, 1, 1],
    )
    summary, table = queues.fill_probability(told, 100 * SECOND)
    assert summary == {"orders": 3, "elsewhere": 1}
    small = ~table["large"]
    assert table["orders"][small].tolist() == [2, 0, 0, 1, 0, 0]
    assert table["filled_1s"][small].tolist()[0] == 0.5
    assert table["filled_10s"][small].tolist()[3] == 1.0
    assert table["filled_1s"][small].tolist()[3] == 0.0


def test_a_slope_and_its_error_are_those_of_the_plain_formula() -> None:
    dice = np.random.default_rng(1)
    x = dice.normal(size=150)
    y = 2 + 3 * x + dice.normal(size=150) * (1 + np.abs(x))
    found = impact.regress(y, x)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    left = y - y.mean() - slope * (x - x.mean())
    scores = (x - x.mean()) * left
    lags = int(4 * (150 / 100) ** (2 / 9))
    meat = (scores**2).sum()
    for lag in range(1, lags + 1):
        pairs = sum(scores[n] * scores[n - lag] for n in range(lag, 150))
        meat += 2 * (1 - lag / (lags + 1)) * pairs
    error = np.sqrt(meat) / ((x - x.mean()) ** 2).sum()
    assert found["slope"] == pytest.approx(slope, rel=1e-10)
    assert found["standard_error"] == pytest.approx(error, rel=1e-10)
    assert found["r2"] == pytest.approx(1 - (left**2).sum() / ((y - y.mean()) ** 2).sum())


def test_a_price_that_follows_what_is_bought_has_its_slope() -> None:
    bought, sold = np.tile([3.0, 0.0, 1.0, 2.0], 30), np.tile([0.0, 1.0, 2.0, 0.0], 30)
    mid = 100 * np.exp(np.cumsum(0.5e-4 * (bought - sold)))
    summary, _ = impact.fit_kyle(mid, bought, sold, 2)
    assert summary["lambda_slope"] == pytest.approx(0.5, rel=1e-9)
    assert summary["lambda_r2"] == pytest.approx(1, rel=1e-9)
    assert summary["bars"] == 59
    mid[50] = np.nan
    mid[51] = np.nan
    known, _ = impact.fit_kyle(mid, bought, sold, 2)
    assert known["bars"] == 57
    assert known["lambda_slope"] == pytest.approx(0.5, rel=1e-9)


def test_illiquidity_is_a_mean_of_ratios() -> None:
    mid = 100 * np.exp(np.array([0.0, 1e-4, 1e-4, -1e-4]))
    summary, _ = impact.fit_amihud(mid, np.array([5.0, 10.0, 0.0, 4.0]), 1)
    assert summary["amihud"] == pytest.approx((1 / 10 + 2 / 4) / 2, rel=1e-9)


def test_vpin_of_one_sided_trade_is_one_and_of_even_trade_nothing() -> None:
    seconds = 2 * 86_400
    ones = np.ones(seconds)
    assert impact.fit_vpin(ones, 0 * ones)[0]["vpin"] == pytest.approx(1, rel=1e-9)
    assert impact.fit_vpin(ones, ones)[0]["vpin"] == pytest.approx(0, abs=1e-9)
    summary, table = impact.fit_vpin(2 * ones, ones)
    assert summary["vpin"] == pytest.approx(1 / 3, rel=1e-9)
    assert summary["bucket_volume"] == pytest.approx(3 * 86_400 / 50)
    assert len(table["vpin"]) == 100
    assert np.isnan(table["vpin"][:49]).all()
    short, _ = impact.fit_vpin(ones[:3_600], ones[:3_600])
    assert short["vpin"] is None


def test_vpin_is_none_where_a_gap_lies_within_its_buckets() -> None:
    ones = np.ones(4 * 86_400)
    ones[100_000:110_000] = np.nan
    summary, table = impact.fit_vpin(ones, 0 * ones)
    assert summary["bucket_volume"] == pytest.approx(86_400 / 50)
    assert summary["vpin"] == pytest.approx(1, rel=1e-9)
    within = (table["second"] >= 110_000) & (table["second"] < 100_000 + 86_400)
    assert np.isnan(table["vpin"][within]).all()
    assert not np.isnan(table["vpin"][table["second"] > 110_000 + 2 * 86_400]).any()


def test_integrated_flow_takes_the_levels_that_move_together() -> None:
    dice = np.random.default_rng(3)
    common = dice.normal(size=600)
    flows = np.column_stack([common + 0.1 * dice.normal(size=600) for _ in range(10)])
    mid = 100 * np.exp(1e-4 * np.cumsum(common))
    summary, table = impact.fit_integrated_ofi(mid, flows, np.full(600, 20.0), 1)
    assert np.abs(table["weight"]).sum() == pytest.approx(1, rel=1e-12)
    assert table["weight"] == pytest.approx(0.1, abs=0.01)
    assert summary["explained_variance"] > 0.95
    assert summary["r2"] > summary["r2_best"] > 0.9


def test_the_micro_price_of_a_chain_is_the_one_made_by_hand() -> None:
    # Where bids are large the mid stands still, then rises by one; there or there it begins anew
    # with as many large bids as asks: P - M is 1 there, and -1 where asks are large.
    mid, bids = [100.0], [9.5]
    for nth in range(400):
        up = bids[-1] > 5
        mid += [mid[-1], mid[-1] + (1 if up else -1)]
        bids += [bids[-1], 9.5 if nth % 4 < 2 else 0.5]
    middle, size = np.array(mid), np.array(bids)
    summary, table = microprice.fit_micro_price(middle - 0.5, middle + 0.5, size, 10 - size)
    seen = table["seen"] > 0
    assert dict(zip(table["imbalance"][seen], table["adjustment"][seen], strict=True)) == {
        0.05: pytest.approx(-1, abs=0.02),
        0.95: pytest.approx(1, abs=0.02),
    }
    assert summary["changes"] == 400


def test_the_micro_price_is_a_martingale_and_symmetric() -> None:
    dice = np.random.default_rng(5)
    size = dice.uniform(0.5, 9.5, 20_000)
    moves = np.where(dice.random(20_000) < 0.2, np.sign(dice.random(20_000) - 1 + size / 10), 0)
    mid = 1_000 + np.cumsum(np.r_[0, moves[:-1]])
    half = np.where(dice.random(20_000) < 0.5, 0.5, 1.0)
    _, table = microprice.fit_micro_price(mid - half, mid + half, size, 10 - size)
    adjustment = table["adjustment"].reshape(10, -1)
    assert adjustment == pytest.approx(-adjustment[::-1], abs=1e-9)
    # A fifth of the seconds changes the mid, up with the share of the bids; sizes are drawn anew.
    expected = 0.2 * (2 * (np.arange(10) + 0.5) / 10 - 1)
    assert adjustment.mean(axis=1) == pytest.approx(expected, abs=0.03)


def test_a_book_that_half_recovers_in_two_seconds_has_that_half_life() -> None:
    curve = 1 - 0.4 * 2 ** (-resiliency.DELAYS_S / 2)
    spread = 1 + 2 ** (-resiliency.DELAYS_S)
    summary, table = resiliency.fit_resiliency(np.tile(curve, (12, 1)), np.tile(spread, (12, 1)))
    assert summary["half_life_s"] == pytest.approx(2, rel=0.01)
    assert summary["recovered_1s"] == pytest.approx(1 - 2**-0.5)
    assert summary["spread_1s"] == pytest.approx(1.5)
    assert table["depth"] == pytest.approx(curve)
    few, _ = resiliency.fit_resiliency(np.tile(curve, (3, 1)), np.tile(spread, (3, 1)))
    assert few["half_life_s"] is None


def thinned(mu: float, alpha: float, beta: float, end: float, seed: int) -> Any:
    """Two sides, each exciting itself (Ogata)."""
    dice = np.random.default_rng(seed)
    now, past = 0.0, np.zeros(2)
    times, sides = [], []
    while True:
        bound = 2 * mu + past.sum()
        wait = dice.exponential(1 / bound)
        now, past = now + wait, past * np.exp(-beta * wait)
        if now > end:
            return np.array(times), np.array(sides)
        rates = mu + past
        draw = dice.random() * bound
        if draw < rates.sum():
            side = int(draw >= rates[0])
            times.append(now)
            sides.append(side)
            past[side] += alpha * beta


def test_a_simulated_hawkes_process_is_found_again_and_fits() -> None:
    times, sides = thinned(0.4, 0.5, 3.0, 2_500.0, 11)
    found = hawkes.fit_hawkes(times, sides, 2_500.0)
    assert found.branching == pytest.approx(0.5, abs=0.08)
    assert found.mu == pytest.approx(0.4, rel=0.15)
    assert found.beta[0] == pytest.approx(3.0, rel=0.3)
    for waits in found.residuals:
        assert waits.mean() == pytest.approx(1, abs=0.05)
        _, p_value = hawkes.kolmogorov(waits)
        assert p_value is not None
        assert p_value > 0.01
    # With its own decay rate alone the recursion is the double sum.
    past = hawkes._past(times[:40], sides[:40], np.array([3.0]))
    for n in range(40):
        for side in (0, 1):
            before = [3 * np.exp(-3 * (times[n] - times[m])) for m in range(n) if sides[m] == side]
            assert past[n, side, 0] == pytest.approx(sum(before), rel=1e-9, abs=1e-12)


def test_events_that_nothing_causes_have_no_offspring() -> None:
    dice = np.random.default_rng(4)
    times = np.sort(dice.uniform(0, 3_000, 3_000))
    found = hawkes.fit_hawkes(times, dice.integers(0, 2, 3_000), 3_000.0)
    assert found.branching < 0.08


def test_waits_of_another_law_are_told_by_their_p_value() -> None:
    assert hawkes.kolmogorov(np.full(200, 1.0))[1] == pytest.approx(0, abs=1e-9)
    n = 10_000
    even = -np.log(1 - (np.arange(n) + 0.5) / n)
    distance, p_value = hawkes.kolmogorov(even)
    assert distance == pytest.approx(0.5 / n)
    assert p_value == 1.0
    # 5 % of samples are farther than 1.358 / sqrt(n) away.
    moved = -np.log(np.clip(1 - (np.arange(n) + 0.5) / n - 0.01358, 1e-9, 1))
    assert hawkes.kolmogorov(moved)[1] == pytest.approx(0.05, abs=0.006)
    assert hawkes.kolmogorov(np.ones(3)) == (None, None)


def test_ties_are_spread_within_the_step_of_their_clock() -> None:
    told = longs(5_000_000, 5_000_000, 7_000_000, 9_000_000)
    times, step, ties = hawkes.separated(told)
    assert (step, ties) == (1_000_000, 1)
    assert len(np.unique(times)) == 4
    assert ((times - told >= 0) & (times - told < step)).all()
    assert (hawkes.separated(told)[0] == times).all()
    alone = longs(1, 5, 9)
    assert hawkes.separated(alone)[1:] == (0, 0)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_says_what_it_is(name: str) -> None:
    assert len(FITS[name].definition) > 100
