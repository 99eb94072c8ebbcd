"""Every metric of ten events, as computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ordertape.analysis.metrics import METRICS, chosen
from ordertape.analysis.windows import Windows
from ordertape.errors import SettingRefused
from ordertape.events import EventKind, Reason, Side
from test_analysis_flow import START_S, batch_of, events, flow_of, windows_of

BID, ASK = Side.BID, Side.ASK
OPEN, CHANGE, MATCH, DONE = EventKind.OPEN, EventKind.CHANGE, EventKind.MATCH, EventKind.DONE
# The mid is 100,000 where there is nothing else to say: a bp is 10.
TEN = events(
    (0, OPEN, BID, 1, 99_990, 4),
    (0, OPEN, ASK, 2, 100_010, 6),
    (1_000, OPEN, BID, 3, 99_960, 10),  # 30 behind the best
    (2_000, OPEN, ASK, 4, 100_030, 4),  # 20 behind it
    (3_000, MATCH, ASK, 2, 100_010, 3),  # somebody buys
    (4_000, CHANGE, BID, 3, 99_960, 7, 0, Reason.AMENDED),
    (5_000, DONE, ASK, 4, 100_030, 4, 0, Reason.CANCELED),
    (6_000, MATCH, BID, 1, 99_990, 4),  # somebody sells: the best bid is 99,960, the mid 99,985
    (7_500, OPEN, BID, 5, 99_990, 2),
    (8_000, DONE, BID, 3, 99_960, 7, 0, Reason.CANCELED),
)


@pytest.fixture(scope="module")
def windows() -> Windows:
    told = flow_of([batch_of(TEN)], START_S + 10)
    return windows_of(told, START_S, 10, 1, cohort_s=0)


BY_HAND: dict[str, dict[str, float]] = {
    "event_rate": {"events_per_second": 1.0, "messages_per_second": 1.0},
    "arrival_rate": {
        "arrival_rate_bid": 0.3,
        "arrival_rate_bid_touch": 0.2,
        "arrival_rate_bid_5bp": 0.1,
        "arrival_rate_bid_2bp": 0.0,
        "arrival_rate_ask": 0.2,
        "arrival_rate_ask_2bp": 0.1,
    },
    "arrival_size": {"arrival_size_bid": 1.6, "arrival_size_ask": 1.0},
    "cancel_rate": {
        "cancel_rate_bid": 0.1,
        "cancel_rate_bid_5bp": 0.1,
        "cancel_rate_ask_2bp": 0.1,
        "cancel_rate_ask_touch": 0.0,
    },
    "reduction_rate": {"reduction_rate_bid": 0.1, "reduction_rate_ask": 0.0},
    "market_order_rate": {
        "market_order_rate_buy": 0.1,
        "market_order_rate_sell": 0.1,
        "market_order_rate_unknown": 0.0,
        "trade_rate": 0.2,
    },
    # Orders 1, 3 and 5 rest for 6, 7 and 2.5 s; 2 and 4 for 10 and 3 s.
    "cancel_hazard": {"cancel_hazard_bid": 1 / 15.5, "cancel_hazard_ask": 1 / 13},
    # Five new ones, two cancels, one change that counts twice.
    "order_to_trade": {
        "order_to_trade_number": 9 / 2 - 1,
        "order_to_trade_volume": (26 + 11 + 2 * 3) / 7 - 1,
    },
    "cancel_to_trade": {"cancel_to_trade": 3 / 2},
    "trade_to_order_volume": {"trade_to_order_volume": 100 * 7 / 26},
    "hidden_rate": {"hidden_rate": 0.0},
    "volume": {
        "volume_buy": 3.0,
        "volume_sell": 4.0,
        "volume_unknown": 0.0,
        "notional": 3 * 100_010.0 + 4 * 99_990.0,
    },
    # Ten (second, level) changed; one level a side is left.
    "book_churn": {"messages_per_traded_unit": 10 / 7, "levels_changed_share": 100 * 1.0 / 2},
    # Of ten seconds three have a cancel.
    "cancel_fano": {"cancel_fano": ((3 - 9 / 10) / 9) / 0.3},
    "fill_ratio": {
        "fill_ratio_any": 2 / 5,
        "fill_ratio_whole": 1 / 5,
        "canceled_share": 2 / 5,
        "fill_ratio_volume": 7 / 26,
    },
    "quoted_spread": {
        "quoted_spread": (20 * 8.5 + 50 * 1.5) / 10,
        "quoted_spread_bp": (2 * 8.5 + 1e4 * 50 / 99_985 * 1.5) / 10,
    },
    "effective_spread": {"effective_spread": 20.0, "effective_spread_bp": 2.0},
    # A second behind the sale the mid is 99,985: -10 are realised, 30 are impact.
    "realised_spread": {
        "effective_spread_1s_bp": 2.0,
        "realised_spread_1s_bp": 1e4 * (3 * 20 - 4 * 10) / 700_000,
        "price_impact_1s_bp": 1e4 * (4 * 30) / 700_000,
        "effective_spread_5s_bp": 2.0,
        "realised_spread_5s_bp": 2.0,
        "price_impact_5s_bp": 0.0,
        "realised_spread_60s_bp": math.nan,
    },
    "queue_imbalance": {
        "queue_imbalance": (0.4 * 3 + 4 / 7 * 3 + 0.7 * 1.5 + 0.4 * 2.5) / 10,
        "queue_imbalance_end": 0.4,
    },
    "weighted_mid": {
        "weighted_mid": (99_998 * 5.5 + (99_990 + 20 * 4 / 7) * 3 + 99_995 * 1.5) / 10
    },
    "mid": {
        "mid": (100_000 * 8.5 + 99_985 * 1.5) / 10,
        "mid_end": 100_000.0,
        "bid_end": 99_990.0,
        "ask_end": 100_010.0,
    },
    # 4 - 6 + 3 - 4 + 2; of the second level 10 - 4 - 3 + 4 - 7 + 7 - 7.
    "order_flow_imbalance": {"ofi": -1.0, "ofi_1": -1.0, "ofi_2": 0.0, "ofi_3": 0.0},
    "depth": {
        "best_size_bid": 2.0,
        "best_size_ask": 3.0,
        "depth_bid_5bp": 2.0,
        "depth_ask_100bp": 3.0,
    },
    "slope": {"slope_bid": math.nan, "slope_ask": math.nan},
}


def test_there_is_a_fixture_for_every_metric() -> None:
    assert set(BY_HAND) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_what_it_is_by_hand(name: str, windows: Windows) -> None:
    found = METRICS[name].make(windows)
    for column, value in BY_HAND[name].items():
        assert found[column][0] == pytest.approx(value, rel=1e-12, nan_ok=True), column


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    metric = METRICS[name]
    assert metric.unit
    assert len(metric.definition) > 60
    assert "Source:" in metric.definition


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_null_where_a_twentieth_is_not_known(name: str) -> None:
    told = flow_of([batch_of(TEN)], START_S + 10)
    begin = START_S * 10**9
    for gap_ns, known in ((500_000_000, True), (510_000_000, False)):
        windows = windows_of(told, START_S, 10, 1)
        windows.take_gaps([(begin + 10**9, begin + 10**9 + gap_ns)])
        columns = METRICS[name].make(windows)
        assert not any(np.isfinite(values[0]) for values in columns.values()) or known
        assert windows.gap_seconds[0] == gap_ns / 10**9
    # What lies beyond the last second that is told is not known either.
    beyond = METRICS[name].make(windows_of(told, START_S + 5, 10, 1))
    assert not any(np.isfinite(values[0]) for values in beyond.values())


def test_the_slope_of_a_ladder_is_the_mean_growth_of_what_rests() -> None:
    told = events(
        (0, OPEN, BID, 1, 1_000, 2),
        (0, OPEN, BID, 2, 990, 8),
        (0, OPEN, BID, 3, 980, 10),
        (0, OPEN, ASK, 4, 1_010, 5),
    )
    found = METRICS["slope"].make(windows_of(flow_of([batch_of(told)], START_S + 1), START_S, 1, 1))
    expected = (math.log(10 / 2) / (10 / 1_000) + math.log(20 / 10) / (10 / 990)) / 2
    assert found["slope_bid"][0] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(found["slope_ask"][0])


def test_quiet_seconds_count_as_much_as_others() -> None:
    told = events((0, OPEN, BID, 1, 99_990, 4), (0, OPEN, ASK, 2, 100_010, 6))
    rows = flow_of([batch_of(told)], START_S + 1_000)
    one = windows_of(rows, START_S, 1_000, 1)
    many = windows_of(rows, START_S, 77, 12)
    assert one.covered.tolist() == [1_000]
    assert METRICS["quoted_spread"].make(one)["quoted_spread"].tolist() == [20.0]
    assert METRICS["queue_imbalance"].make(many)["queue_imbalance"] == pytest.approx([0.4] * 12)
    assert METRICS["cancel_hazard"].make(many)["cancel_hazard_bid"].tolist() == [0.0] * 12


@pytest.mark.parametrize(
    ("names", "sentence"), [(["spread"], "found 'spread'"), ([], "found none")]
)
def test_an_unknown_metric_is_one_sentence(names: list[str], sentence: str) -> None:
    with pytest.raises(SettingRefused, match=sentence):
        chosen(names)


def test_larger_scales_change_no_metric() -> None:
    def finer(told: list[Any]) -> Any:
        return [(e._replace(price=e.price * 100, size=e.size * 1_000), last) for e, last in told]

    plain = batch_of(TEN)
    first, rest = batch_of(TEN[:5]), batch_of(finer(TEN[5:]), 6)
    arrays = {
        name: np.asarray(rest.column(name))
        for name in ("kind", "side", "price", "size", "ts_recv", "flags", "reason", "seq")
    }
    rest = type(rest).from_arrays(
        **arrays, order_id=rest.id_texts(), price_scale=2, size_scale=3, codec=first.codec
    )
    one = windows_of(flow_of([plain], START_S + 10), START_S, 10, 1)
    other = windows_of(flow_of([first, rest], START_S + 10), START_S, 10, 1)
    in_parts = windows_of(flow_of([first, rest], START_S + 10, drain=True), START_S, 10, 1)
    for metric in METRICS.values():
        for name, values in metric.make(one).items():
            for found in (other, in_parts):
                assert metric.make(found)[name] == pytest.approx(values, rel=1e-12, nan_ok=True)
