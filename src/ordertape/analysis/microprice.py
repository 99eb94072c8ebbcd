"""The micro-price: where the mid goes, given the imbalance of the queues and the spread."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ordertape.analysis.windows import Floats

__all__ = ["IMBALANCES", "fit_micro_price"]

IMBALANCES: Final = 10
"""States of I = q_b / (q_b + q_a), equally wide."""
SPREADS_MAX: Final = 4
_ROUNDS_MAX: Final = 10_000


def fit_micro_price(
    bid: Floats, ask: Floats, bid_size: Floats, ask_size: Floats
) -> tuple[dict[str, float | None], dict[str, Floats]]:
    """The adjustment g(I, S) of P = M + g(I, S), the limit of what is expected of the mid M after
    its n-th next change: a Markov chain over the state (I, S), S the spread in up to four classes,
    with g = sum of B^i G1, G1 = (1 - Q)^-1 R, Q the moves between states without a change of the
    mid, R the expected change, B = (1 - Q)^-1 T, T the moves with one.  Made symmetric, so that it
    is a martingale: a state with bid and ask exchanged counts as well.  Sampled at the end of each
    second; seconds beside a gap are left out.  Source: Stoikov, Quantitative Finance 18 (2018).

    Rows: a state each, with the sizes' imbalance in its middle, the spread's mean, how many seconds
    it was seen, and its adjustment in units of price.  None in the summary where nothing moved."""
    mid, spread = (bid + ask) / 2, ask - bid
    with np.errstate(invalid="ignore", divide="ignore"):
        share = bid_size / (bid_size + ask_size)
    known = np.isfinite(mid) & np.isfinite(share) & (spread > 0)
    pair = known[:-1] & known[1:]
    classes = _classes(spread[known])
    state_i = np.minimum((np.nan_to_num(share) * IMBALANCES).astype(int), IMBALANCES - 1)
    state_s = np.searchsorted(classes, np.nan_to_num(spread), side="left")
    state_s = np.minimum(state_s, len(classes) - 1) if len(classes) else state_s
    count = max(1, len(classes))
    before, after = np.flatnonzero(pair), np.flatnonzero(pair) + 1
    moved = mid[after] - mid[before]
    # Rounding of the mid is no move of it.
    moved = np.where(np.abs(moved) < 1e-9 * np.abs(mid[before]), 0.0, moved)
    states = IMBALANCES * count
    begin = state_i[before] * count + state_s[before]
    to = state_i[after] * count + state_s[after]
    mirrored = (IMBALANCES - 1 - state_i) * count + state_s
    begin, to = np.r_[begin, mirrored[before]], np.r_[to, mirrored[after]]
    moved = np.r_[moved, -moved]
    adjustment, rounds = _adjustment(begin, to, moved, states)
    seen = np.bincount(begin, minlength=states)
    sizes = np.bincount(state_s[known], weights=spread[known], minlength=count) / np.maximum(
        np.bincount(state_s[known], minlength=count), 1
    )
    summary: dict[str, float | None] = {
        "seconds": float(pair.sum()),
        "changes": float(np.count_nonzero(moved) / 2),
        "rounds": float(rounds),
    }
    imbalance = (np.arange(IMBALANCES) + 0.5) / IMBALANCES
    return summary, {
        "imbalance": np.repeat(imbalance, count),
        "spread": np.tile(sizes, IMBALANCES),
        "seen": seen / 2,
        "adjustment": np.where(seen > 0, adjustment, np.nan),
    }


def _classes(spread: Floats) -> Floats:
    """Upper ends of at most four classes of spreads, each with about as many seconds."""
    if not len(spread):
        return np.empty(0)
    shares = np.arange(1, SPREADS_MAX + 1) / SPREADS_MAX
    return np.unique(np.quantile(spread, shares, method="inverted_cdf"))


def _adjustment(
    begin: npt.NDArray[np.int_], to: npt.NDArray[np.int_], moved: Floats, states: int
) -> tuple[Floats, int]:
    still = moved == 0
    seen = np.maximum(np.bincount(begin, minlength=states), 1)[:, None]
    quiet = np.zeros((states, states))
    np.add.at(quiet, (begin[still], to[still]), 1)
    changed = np.zeros((states, states))
    np.add.at(changed, (begin[~still], to[~still]), 1)
    expected = np.bincount(begin, weights=moved, minlength=states)
    # A state from which the mid never moves would wait for ever: the pseudo-inverse leaves it at 0.
    inverse = np.linalg.pinv(np.eye(states) - quiet / seen)
    first, step = inverse @ (expected / seen[:, 0]), inverse @ (changed / seen)
    total, term = np.zeros(states), first
    largest = float(np.abs(first).max(initial=0.0))
    for rounds in range(_ROUNDS_MAX):
        total = total + term
        if float(np.abs(term).max(initial=0.0)) <= 1e-12 * largest:
            return total, rounds
        term = step @ term
        term = (term - term[_mirror(states)]) / 2
    return total, _ROUNDS_MAX


def _mirror(states: int) -> npt.NDArray[np.int_]:
    """The place of each state with bid and ask exchanged."""
    count = states // IMBALANCES
    place = np.arange(states)
    return (IMBALANCES - 1 - place // count) * count + place % count
