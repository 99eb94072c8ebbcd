"""What trading does to prices: Kyle's lambda, Amihud's illiquidity, integrated order flow, VPIN."""

from __future__ import annotations

from typing import Final

import numpy as np

from ordertape.analysis.windows import Floats

__all__ = ["VPIN_CAPTION", "fit_amihud", "fit_integrated_ofi", "fit_kyle", "fit_vpin", "regress"]

Summary = dict[str, float | None]
Table = dict[str, Floats]
_BP: Final = 10_000
VPIN_CAPTION: Final = (
    "With the venue's own taker side, not bulk classification. Andersen and Bondarenko (Journal of "
    "Financial Markets 17, 2014) show that VPIN by bulk classification follows volume and "
    "volatility, turns around with the true side, and foretells nothing beyond them."
)
BUCKETS_A_DAY: Final = 50
BUCKETS: Final = 50


def bars(values: Floats, length: int) -> Floats:
    """Sums over ``length`` seconds each, the rest left out."""
    count = len(values) // length
    found: Floats = values[: count * length].reshape(count, length).sum(axis=1)
    return found


def closes(values: Floats, length: int) -> Floats:
    """The last value of each."""
    count = len(values) // length
    return values[: count * length].reshape(count, length)[:, -1]


def regress(y: Floats, x: Floats) -> dict[str, float | None]:
    """y = a + b x by least squares; the standard error of b holds for residuals whose variance and
    correlation change (Newey, West, Econometrica 55, 1987), with floor(4 (n / 100)^(2/9)) lags.
    None where there are fewer than three points or x does not vary."""
    n = len(y)
    design = np.column_stack([np.ones(n), x])
    if n < 3 or np.ptp(x) == 0:
        return dict.fromkeys(("slope", "intercept", "standard_error", "t", "r2"), None)
    inverse = np.linalg.inv(design.T @ design)
    intercept, slope = inverse @ design.T @ y
    residual = y - design @ np.array([intercept, slope])
    scores = design * residual[:, None]
    meat = scores.T @ scores
    lags = int(4 * (n / 100) ** (2 / 9))
    for lag in range(1, min(lags, n - 1) + 1):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    variance = (inverse @ meat @ inverse)[1, 1]
    error = float(np.sqrt(max(variance, 0.0)))
    spread = float(((y - y.mean()) ** 2).sum())
    return {
        "slope": float(slope),
        "intercept": float(intercept),
        "standard_error": error,
        "t": float(slope / error) if error > 0 else None,
        "r2": 1 - float((residual**2).sum()) / spread if spread > 0 else None,
    }


def fit_kyle(mid: Floats, bought: Floats, sold: Floats, bar: int) -> tuple[Summary, Table]:
    """Kyle's lambda: the slope of the mid's change (bp) on signed volume (bought - sold, size) over
    bars, and on its signed square root, by least squares with Newey-West errors; bars beside a gap
    are left out.  Source: Kyle, Econometrica 53 (1985); Hasbrouck, Journal of Finance 64 (2009)."""
    close, signed = closes(mid, bar), bars(bought - sold, bar)
    moved, signed = _BP * np.diff(np.log(close)), signed[1:]
    known = np.isfinite(moved) & np.isfinite(signed)
    moved, signed = moved[known], signed[known]
    found: Summary = {"bars": float(known.sum()), "bar_seconds": float(bar)}
    found |= {f"lambda_{name}": value for name, value in regress(moved, signed).items()}
    root = np.sign(signed) * np.sqrt(np.abs(signed))
    found |= {f"root_{name}": value for name, value in regress(moved, root).items()}
    return found, {"signed_volume": signed, "moved_bp": moved}


def fit_amihud(mid: Floats, notional: Floats, bar: int) -> tuple[Summary, Table]:
    """Illiquidity: the mean over bars with trades of |return| / traded value (bp a unit of value),
    returns of the mid.  Source: Amihud, Journal of Financial Markets 5 (2002)."""
    close, value = closes(mid, bar), bars(notional, bar)
    moved, value = np.abs(_BP * np.diff(np.log(close))), value[1:]
    known = np.isfinite(moved) & np.isfinite(value) & (value > 0)
    ratio = moved[known] / value[known]
    found: Summary = {
        "bars": float(known.sum()),
        "bar_seconds": float(bar),
        "amihud": float(ratio.mean()) if len(ratio) else None,
    }
    return found, {"moved_bp": moved[known], "notional": value[known]}


def fit_integrated_ofi(
    mid: Floats, ofi: Floats, resting: Floats, bar: int
) -> tuple[Summary, Table]:
    """Integrated order-flow imbalance: of the imbalances of ten levels over bars (``ofi``: seconds
    by levels), divided by the mean size of a level (``resting``: of the ten best levels of both
    sides together), the first principal component, its weights made to add up to 1 in absolute
    value.  How much of the mid's change in the same bar (bp) it explains, beside the best level's:
    an explanation, not a forecast.  Source: Cont, Cucuringu, Zhang, Quantitative Finance 23 (2023).
    """
    flows = np.column_stack([bars(level, bar) for level in ofi.T])[1:]
    moved = _BP * np.diff(np.log(closes(mid, bar)))
    known = np.isfinite(moved) & np.isfinite(flows).all(axis=1)
    moved, flows = moved[known], flows[known]
    levels = flows.shape[1]
    found: Summary = {"bars": float(known.sum()), "bar_seconds": float(bar)}
    empty: Table = {"level": np.arange(1.0, levels + 1), "weight": np.full(levels, np.nan)}
    size = float(np.nanmean(resting)) / (2 * levels) if np.isfinite(resting).any() else 0.0
    if len(moved) < 3 or size <= 0:
        return found | {"explained_variance": None, "r2": None, "r2_best": None}, empty
    flows = flows / size
    values, vectors = np.linalg.eigh(np.cov(flows, rowvar=False))
    weights = vectors[:, -1] / np.abs(vectors[:, -1]).sum()
    weights = weights if weights.sum() >= 0 else -weights
    fit = regress(moved, flows @ weights)
    total = float(values.sum())
    found |= {
        "explained_variance": float(values[-1]) / total if total > 0 else None,
        "slope": fit["slope"],
        "standard_error": fit["standard_error"],
        "r2": fit["r2"],
        "r2_best": regress(moved, flows[:, 0])["r2"],
    }
    return found, {**empty, "weight": weights}


def fit_vpin(bought: Floats, sold: Floats) -> tuple[Summary, Table]:
    """VPIN = sum of |V_b - V_s| / (n V) over the last n = 50 buckets of equal volume V, a fiftieth
    of a day's at the rate of the period; a second's volume is divided where a bucket ends within
    it.  None below n buckets, about a day, and where a gap lies within the last n.  Source: Easley,
    Lopez de Prado, O'Hara, Review of Financial Studies 25 (2012).
    """
    missing = np.cumsum(np.isnan(bought) | np.isnan(sold))
    seconds = len(bought) - int(missing[-1]) if len(bought) else 0
    bought, sold = np.nan_to_num(bought), np.nan_to_num(sold)
    total = np.cumsum(bought + sold)
    traded = float(total[-1]) if seconds else 0.0
    bucket = traded / seconds * 86_400 / BUCKETS_A_DAY if seconds else 0.0
    count = int(traded / bucket + 1e-9) if bucket > 0 else 0
    found: Summary = {"bucket_volume": bucket, "buckets": float(count), "vpin": None}
    if count < 1:
        return found, {"second": np.empty(0), "vpin": np.empty(0)}
    borders = bucket * np.arange(count + 1)
    path, signed = np.r_[0.0, total], np.r_[0.0, np.cumsum(bought - sold)]
    rising = np.r_[True, np.diff(path) > 0]
    imbalance = np.abs(np.diff(np.interp(borders, path[rising], signed[rising])))
    last = np.searchsorted(total, borders[1:] * (1 - 1e-12), side="left")
    ends = last.astype(float)
    if count < BUCKETS:
        return found, {"second": ends, "vpin": np.full(count, np.nan)}
    sums = np.cumsum(np.r_[0.0, imbalance])
    vpin = np.r_[
        np.full(BUCKETS - 1, np.nan), (sums[BUCKETS:] - sums[:-BUCKETS]) / (BUCKETS * bucket)
    ]
    first = np.r_[0, last[: count - BUCKETS]]
    vpin[BUCKETS - 1 :][missing[last[BUCKETS - 1 :]] > missing[first]] = np.nan
    newest = None if np.isnan(vpin[-1]) else float(vpin[-1])
    return found | {"vpin": newest}, {"second": ends, "vpin": vpin}
