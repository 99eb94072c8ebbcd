"""How fast a book is whole again after a large market order."""

from __future__ import annotations

from typing import Final

import numpy as np

from ordertape._engine import Flow
from ordertape.analysis.windows import Floats
from ordertape.times import NS_PER_SECOND

__all__ = ["DELAYS_S", "fit_resiliency"]

DELAYS_S: Final = np.array(Flow.shock_delays()) / NS_PER_SECOND
_SHARES_S: Final = (1, 5, 30)


def fit_resiliency(
    depths: Floats, spreads: Floats
) -> tuple[dict[str, float | None], dict[str, Floats]]:
    """After market orders that took at least half of the best level: depth on the side they took,
    within 10 bp of the mid before (over what it was before them), as means at fixed delays up to
    30 s, with D(t) = D - A 2^(-t / half-life) fitted by least squares; the share of what was lost
    that is back after 1, 5 and 30 s; and the same means of the spread.  Source: Large, Journal of
    Financial Markets 10 (2007); Degryse, de Jong, van Ravenswaaij, Wuyts, Review of Finance 9
    (2005).  Null below ten of them."""
    known = np.isfinite(depths).all(axis=1) & np.isfinite(spreads).all(axis=1)
    depths, spreads = depths[known], spreads[known]
    found: dict[str, float | None] = {"shocks": float(len(depths)), "half_life_s": None}
    if len(depths) < 10:
        nothing = np.full(len(DELAYS_S), np.nan)
        return found, {"delay_s": DELAYS_S, "depth": nothing, "spread": nothing}
    depth, spread = depths.mean(axis=0), spreads.mean(axis=0)
    half_life, end, lost = _half_life(depth)
    found |= {"half_life_s": half_life, "depth_end": end, "depth_lost": lost}
    for seconds in _SHARES_S:
        place = int(np.flatnonzero(seconds == DELAYS_S)[0])
        missing = 1 - depth[0]
        back = (depth[place] - depth[0]) / missing if missing > 0 else np.nan
        found[f"recovered_{seconds}s"] = float(back) if np.isfinite(back) else None
        found[f"spread_{seconds}s"] = float(spread[place])
    return found, {"delay_s": DELAYS_S, "depth": depth, "spread": spread}


def _half_life(depth: Floats) -> tuple[float | None, float | None, float | None]:
    """The best of half-lives from 10 ms to 100 s, with level and loss by least squares; None where
    nothing comes back."""
    best: tuple[float, float, float, float] | None = None
    for half_life in np.geomspace(0.01, 100, 2_000):
        decay = 2 ** (-DELAYS_S / half_life)
        design = np.column_stack([np.ones(len(decay)), -decay])
        (end, lost), *_ = np.linalg.lstsq(design, depth, rcond=None)
        error = float(((depth - design @ np.array([end, lost])) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, float(half_life), float(end), float(lost))
    assert best is not None
    _, half_life, end, lost = best
    if lost <= 0:
        return None, end, lost
    return half_life, end, lost
