"""The share of events that other events caused, by a Hawkes process of one exponential kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["branching_ratio"]

_DECAYS: Final = (0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
"""Per second; the likeliest is taken."""
_ROUNDS: Final = 40


def branching_ratio(times_s: Sequence[float], length_s: float) -> float:
    """n of intensity mu + n * sum(beta * exp(-beta * age)) by the EM of Veen and Schoenberg (2008)
    at each of a grid of decays; NaN for fewer than 50 events."""
    times = np.asarray(times_s, dtype=np.float64)
    if len(times) < 50:
        return float("nan")
    best, ratio = -np.inf, float("nan")
    for decay in _DECAYS:
        likelihood, found = _fit(times, length_s, decay)
        if likelihood > best:
            best, ratio = likelihood, found
    return ratio


def _fit(times: npt.NDArray[np.float64], length: float, decay: float) -> tuple[float, float]:
    """(log likelihood, n) at a decay."""
    fading = np.exp(-decay * np.diff(times)).tolist()
    sums, state = [0.0], 0.0
    for factor in fading:
        state = factor * (state + 1)
        sums.append(state)
    excited = decay * np.asarray(sums)
    reach = float(np.sum(1 - np.exp(-decay * (length - times))))
    mu, n = len(times) / length / 2, 0.5
    intensity = mu + n * excited
    for _ in range(_ROUNDS):
        spontaneous = mu / intensity
        mu = float(spontaneous.sum()) / length
        n = float((1 - spontaneous).sum()) / max(reach, 1e-9)
        intensity = mu + n * excited
    return float(np.log(intensity).sum()) - mu * length - n * reach, n
