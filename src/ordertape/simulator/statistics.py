"""The order-flow statistics of a tape, real or simulated, by one and the same code.

Names are those of the bands in `ordertape.simulator.statistics_gates`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ordertape.simulator.statistics_hawkes import branching_ratio
from ordertape.simulator.statistics_walk import TRADE, Observation

__all__ = ["figures"]

_MS = 1_000_000
_SECOND = 1_000_000_000
_BLOCK_NS = 300 * _SECOND

Integers = npt.NDArray[np.int64]


def figures(seen: Observation) -> dict[str, float]:
    """Every statistic by name; NaN where the tape holds too little for it."""
    with np.errstate(all="ignore"):
        return {
            **_mix(seen),
            **_lives(seen),
            **_distances(seen),
            **_sizes(seen),
            **_book(seen),
            **_rates(seen),
            **_next_events(seen),
            **_requotes(seen),
        }


def _share(values: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _quantile(values: Sequence[float] | npt.NDArray[np.float64], share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")


def _mix(seen: Observation) -> dict[str, float]:
    adds, trades = len(seen.add_time), seen.kind.count(TRADE)
    signs = np.array(
        [1 - 2 * s for k, s in zip(seen.kind, seen.side, strict=True) if k == TRADE], dtype=float
    )
    return {
        "cancel/add(rest)": _ratio(seen.canceled, adds),
        "any_fill_share": _ratio(seen.ended_with_fill, seen.ended),
        "flash_share_adds": _ratio(seen.crossing_adds, seen.crossing_adds + adds),
        "amend/add": _ratio(seen.replaced, adds),
        "restadds/aggr": _ratio(adds, trades),
        "fills/aggr": _ratio(seen.fills, trades),
        "sign_acf1": _autocorrelation(signs, 1),
    }


def _lives(seen: Observation) -> dict[str, float]:
    canceled = np.array(seen.canceled_life, dtype=float) / _MS
    filled = np.array(seen.filled_life, dtype=float) / _MS
    return {
        **{f"life_c<{bound}ms": _share(canceled < bound) for bound in (1, 10, 100, 1000)},
        "life_c_ms_q50": _quantile(canceled, 0.5),
        "life_c_ms_q95": _quantile(canceled, 0.95),
        "life_f_ms_q50": _quantile(filled, 0.5),
    }


def _distances(seen: Observation) -> dict[str, float]:
    added, cut = np.array(seen.add_distance), np.array(seen.cancel_distance)
    ranks = np.array(seen.cancel_rank)
    return {
        "inside": _share(added < 0),
        "touch": _share(added == 0),
        "1..5": _share((added >= 1) & (added <= 5)),
        "6..20": _share((added >= 6) & (added <= 20)),
        "21..100": _share((added >= 21) & (added <= 100)),
        ">100": _share(added > 100),
        "dist_bps<=5": _share(np.array(seen.add_bps) <= 5),
        "cxl_touch": _share(cut == 0),
        "cxl_1..5": _share((cut >= 1) & (cut <= 5)),
        "cxl_rank_mean": float(ranks.mean()) if len(ranks) else float("nan"),
        "cxl_rank_last": _share(ranks == 1),
        "cxl_rank_first": _share(ranks == 0),
    }


def _sizes(seen: Observation) -> dict[str, float]:
    sizes = np.array(seen.add_size, dtype=float)
    median = _quantile(sizes, 0.5)
    counts = Counter(seen.add_size)
    common = sum(count for _, count in counts.most_common(5))
    round_ones = sum(
        count for size, count in counts.items() if int(str(size).rstrip("0") or 0) < 100
    )
    return {
        **{
            f"size_q{percent}/med": _quantile(sizes, percent / 100) / median
            for percent in (5, 25, 75, 95, 99)
        },
        "round<=2sig": _ratio(round_ones, len(sizes)),
        "top5_share": _ratio(common, len(sizes)),
        "size_seen100": _share(seen.add_seen),
    }


def _book(seen: Observation) -> dict[str, float]:
    lasted = sum(seen.spread_ns.values())
    depth = np.array(seen.second_depth, dtype=float).mean(axis=0) if seen.second_depth else None
    mids = np.log(np.array(seen.second_mid)) * 10_000
    second, minute = np.diff(mids), mids[60:] - mids[:-60]
    enough = len(minute) > 60
    return {
        "spread_mean*": _ratio(sum(s * ns for s, ns in seen.spread_ns.items()), lasted),
        "spread_1tick*": _ratio(seen.spread_ns[1], lasted),
        "live_orders": _quantile(seen.second_orders, 0.5),
        "orders_at_touch": _quantile(seen.second_touch, 0.5),
        "depth_L1/mean10": float("nan") if depth is None else float(depth[0] / depth.mean()),
        "depth_L10/mean10": float("nan") if depth is None else float(depth[9] / depth.mean()),
        "sd1s_bps": float(second.std()) if enough else float("nan"),
        "sd60/sd1/sqrt60": (
            float(minute.std() / second.std() / np.sqrt(60)) if enough else float("nan")
        ),
    }


def _counts(times: Integers, first_ns: int, last_ns: int, bin_ns: int) -> npt.NDArray[np.float64]:
    bins = max(1, (last_ns - first_ns) // bin_ns)
    at = (times - first_ns) // bin_ns
    return np.bincount(at[at < bins], minlength=bins).astype(np.float64)


def _autocorrelation(values: npt.NDArray[np.float64], lag: int) -> float:
    if len(values) < lag + 10:
        return float("nan")
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).sum() / (centred * centred).sum())


def _rates(seen: Observation) -> dict[str, float]:
    times = np.array(seen.time_ns, dtype=np.int64)
    span = seen.first_ns, seen.last_ns
    counts = {
        seconds: _counts(times, *span, round(seconds * _SECOND)) for seconds in (0.01, 0.1, 1, 10)
    }
    second = counts[1]
    ratios = []
    for begin in range(seen.first_ns, seen.last_ns - _BLOCK_NS // 2, _BLOCK_NS):
        inside = times[(times >= begin) & (times < begin + _BLOCK_NS)]
        length = min(_BLOCK_NS, seen.last_ns - begin) / _SECOND
        ratios.append(branching_ratio(_spread((inside - begin) / _SECOND), length))
    return {
        "p99/mean": _ratio(_quantile(second, 0.99), float(second.mean())),
        "p50/mean": _ratio(_quantile(second, 0.5), float(second.mean())),
        **{
            f"Fano{seconds}": _ratio(float(c.var()), float(c.mean()))
            for seconds, c in counts.items()
        },
        "acf0.1_lag1": _autocorrelation(counts[0.1], 1),
        "acf1_lag1": _autocorrelation(counts[1], 1),
        "hawkes_n": float(np.mean(ratios)) if ratios else float("nan"),
        "events/s": _ratio(len(times) * _SECOND, seen.last_ns - seen.first_ns),
    }


def _spread(times: npt.NDArray[np.float64]) -> list[float]:
    """Events of one stamp lie evenly inside its millisecond: no process has ties."""
    _, inverse, counts = np.unique(times, return_inverse=True, return_counts=True)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    place = np.arange(len(times)) - first[inverse]
    spaced: list[float] = (times + place / counts[inverse] * 0.001 * (counts[inverse] > 1)).tolist()
    return sorted(spaced)


def _next_events(seen: Observation) -> dict[str, float]:
    times, kinds, sides = (
        np.array(values, dtype=np.int64) for values in (seen.time_ns, seen.kind, seen.side)
    )
    near = np.diff(times) <= 10 * _MS
    after_trade = near[kinds[:-1] == TRADE]
    return {
        "P(next<=10ms)": _share(near),
        "same_side|10ms": _share((sides[1:] == sides[:-1])[near]),
        "same_type|10ms": _share((kinds[1:] == kinds[:-1])[near]),
        "P(<=10ms)|T": _share(after_trade),
    }


def _requotes(seen: Observation) -> dict[str, float]:
    waits, ticks = np.array(seen.requote_ns), np.array(seen.requote_ticks)
    known = waits >= 0
    chained = known & (waits <= 100 * _MS)
    return {
        **{f"requote{bound}ms": _share(known & (waits <= bound * _MS)) for bound in (1, 10, 100)},
        "requote_same_px": _share(ticks[chained] == 0),
        "requote_1-10t": _share((ticks[chained] >= 1) & (ticks[chained] <= 10)),
        "pair100ms": _pairs(seen),
    }


def _pairs(seen: Observation) -> float:
    """Adds with an add of equal size on the other side no more than 100 ms before or after."""
    adds = list(enumerate(zip(seen.add_time, seen.add_side, seen.add_size, strict=True)))
    paired = set()
    for order in (adds, adds[::-1]):
        last: dict[tuple[int, int], int] = {}
        for at, (time_ns, side, size) in order:
            when = last.get((1 - side, size))
            if when is not None and abs(time_ns - when) <= 100 * _MS:
                paired.add(at)
            last[side, size] = time_ns
    return _ratio(len(paired), len(adds))
