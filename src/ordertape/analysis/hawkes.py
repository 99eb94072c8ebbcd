"""Market orders that cause market orders: a Hawkes process of buys and sells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ordertape.analysis.walk import Leave
from ordertape.analysis.windows import Floats
from ordertape.times import NS_PER_SECOND

__all__ = ["EVENTS_MIN", "Hawkes", "fit_hawkes", "kolmogorov", "separated"]

Longs = npt.NDArray[np.int64]
EVENTS_MIN: Final = 20
"""Of each side, to fit anything to."""
_SPAN: Final = 10.0
"""Between the decay rates of neighbouring kernels."""
_ROUNDS: Final = 300
_SEED: Final = 20_260_101


@dataclass(frozen=True, slots=True)
class Hawkes:
    """lambda_i(t) = mu_i + sum over j, k of a_ijk b_k e^(-b_k (t - s)) over the events s of j."""

    mu: Floats
    """Rates (1/s) of what nothing caused, by side (buy, sell)."""
    alpha: Floats
    """How many of i one of j causes through kernel k: (side i, side j, kernel)."""
    beta: Floats
    """Decay rates (1/s) of the kernels."""
    likelihood: float
    residuals: tuple[Floats, Floats]
    """Waits by side, in the process's own time: Exp(1) where the model holds; none before the best
    fit is found."""

    @property
    def branching(self) -> float:
        """The spectral radius of how many one causes: below 1 where it does not explode."""
        return float(np.abs(np.linalg.eigvals(self.alpha.sum(axis=2))).max())


def separated(times: Longs) -> tuple[Longs, int, int]:
    """Times (ns, in order) without ties: where some are equal, all are spread evenly at random over
    the step of the clock they were told at, always in the same way.  With the step (ns), and how
    many shared their time; 0 and 0 where none did."""
    ties = int(len(times) - len(np.unique(times)))
    if not ties:
        return times, 0, 0
    step = 1
    while step < NS_PER_SECOND and not (times % (step * 10)).any():
        step *= 10
    # Ties of a finer clock are told apart within a microsecond.
    step = max(step, 1_000)
    drawn = np.random.default_rng(_SEED).integers(0, step, len(times))
    return np.sort(times + drawn, kind="stable"), step, ties


def fit_hawkes(
    seconds: Floats,
    sides: npt.NDArray[np.int64],
    end: float,
    kernels: int = 1,
    leave: Leave = lambda: None,
) -> Hawkes:
    """The most likely parameters for events at rising ``seconds`` up to ``end``.

    With decay rates given, the likelihood has one maximum, which expectation-maximisation climbs to
    (each event has a cause: nothing, or an earlier event); sums over the past by recursion in O(n)
    (Ozaki, Annals of the Institute of Statistical Mathematics 31, 1979).  The slowest rate is found
    by golden section; ``kernels`` above 1 stand a factor of 10 apart.  Source: Hawkes, Biometrika
    58 (1971); Bacry, Mastromatteo, Muzy, Market Microstructure and Liquidity 1 (2015); sums of
    exponentials: Lee, arXiv 2302.11822."""
    wait = end / max(len(seconds), 1)
    low, high = np.log(0.01 / wait), np.log(1_000 / wait)
    ratio = (np.sqrt(5) - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    found = [_climb(seconds, sides, end, np.exp(x), kernels) for x in inner]
    for _ in range(18):
        leave()
        if found[0].likelihood > found[1].likelihood:
            high, inner[1], found[1] = inner[1], inner[0], found[0]
            inner[0] = high - ratio * (high - low)
            found[0] = _climb(seconds, sides, end, np.exp(inner[0]), kernels)
        else:
            low, inner[0], found[0] = inner[0], inner[1], found[1]
            inner[1] = low + ratio * (high - low)
            found[1] = _climb(seconds, sides, end, np.exp(inner[1]), kernels)
    best = max(found, key=lambda fit: fit.likelihood)
    return replace(best, residuals=_residuals(seconds, sides, best.mu, best.alpha, best.beta))


def _climb(
    seconds: Floats, sides: npt.NDArray[np.int64], end: float, slowest: float, kernels: int
) -> Hawkes:
    beta: Floats = slowest * np.power(_SPAN, np.arange(kernels, dtype=np.float64))
    past = _past(seconds, sides, beta)
    ended = 1 - np.exp(-beta * (end - seconds)[:, None])
    mass = np.stack([ended[sides == j].sum(axis=0) for j in (0, 1)])
    mu, alpha = np.empty(2), np.empty((2, 2, kernels))
    likelihood = 0.0
    for i in (0, 1):
        mine = past[sides == i].reshape(-1, 2 * kernels)
        mu[i], alpha_i, value = _maximise(mine, mass.reshape(-1), end)
        alpha[i] = alpha_i.reshape(2, kernels)
        likelihood += value
    return Hawkes(mu, alpha, beta, likelihood, (np.empty(0), np.empty(0)))


def _maximise(past: Floats, mass: Floats, end: float) -> tuple[float, Floats, float]:
    """mu, alpha and the log-likelihood of one side's events."""
    n, causes = past.shape
    mu, alpha = n / end / 2, np.full(causes, 0.5 / causes)
    if not n:
        return 0.0, np.zeros(causes), 0.0
    rate = mu + past @ alpha
    for _ in range(_ROUNDS):
        caused = (past / rate[:, None]).sum(axis=0) * alpha
        new_mu = float((mu / rate).sum()) / end
        new_alpha = np.where(mass > 0, caused / np.maximum(mass, 1e-300), 0.0)
        change = abs(new_mu - mu) / max(mu, 1e-12) + float(np.abs(new_alpha - alpha).max())
        mu, alpha = new_mu, new_alpha
        rate = mu + past @ alpha
        if change < 1e-7:
            break
    return mu, alpha, float(np.log(rate).sum() - mu * end - alpha @ mass)


def _past(seconds: Floats, sides: npt.NDArray[np.int64], beta: Floats) -> Floats:
    """Of each event: sum of b e^(-b (t - s)) over earlier events s, by side and kernel."""
    found = np.empty((len(seconds), 2, len(beta)))
    decays = np.exp(-beta * np.diff(seconds, prepend=seconds[:1])[:, None])
    now = np.zeros((2, len(beta)))
    for nth, (decay, side) in enumerate(zip(decays, sides.tolist(), strict=True)):
        now *= decay
        found[nth] = now
        now[side] += beta
    return found


def _residuals(
    seconds: Floats, sides: npt.NDArray[np.int64], mu: Floats, alpha: Floats, beta: Floats
) -> tuple[Floats, Floats]:
    """The integral of each side's rate from one of its events to the next."""
    past = _past(seconds, sides, beta)
    after = past.copy()
    after[np.arange(len(sides)), sides] += beta
    waits = np.diff(seconds)
    faded = (1 - np.exp(-beta * waits[:, None])) / beta
    found = []
    for i in (0, 1):
        parts = mu[i] * waits + np.einsum("njk,nk,jk->n", after[:-1], faded, alpha[i])
        total = np.r_[0.0, np.cumsum(parts)]
        found.append(np.diff(total[sides == i]))
    return found[0], found[1]


def kolmogorov(waits: Floats) -> tuple[float | None, float | None]:
    """The largest distance between the distribution of waits and Exp(1), and how likely one as
    large is where they are drawn from it (Kolmogorov's series with Stephens' correction, JASA 69,
    1974).  The rate's parameters were fitted to the same events, which flatters it a little."""
    n = len(waits)
    if n < 5:
        return None, None
    share = 1 - np.exp(-np.sort(waits))
    places = np.arange(n)
    distance = float(max((share - places / n).max(), ((places + 1) / n - share).max()))
    x = (np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)) * distance
    if x < 0.2:
        return distance, 1.0
    terms = np.arange(1, 101)
    series = 2 * ((-1.0) ** (terms - 1) * np.exp(-2 * terms**2 * x**2)).sum()
    return distance, float(min(max(series, 0.0), 1.0))
