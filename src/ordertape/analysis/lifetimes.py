"""How long orders live, and what ends them: survival with censoring, and competing risks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ordertape.analysis.windows import Floats
from ordertape.events import Reason
from ordertape.times import NS_PER_SECOND

__all__ = ["CANCELED", "CENSORED", "FILLED", "QUANTILES", "Survival", "fates_of", "survival"]

Longs = npt.NDArray[np.int64]
CENSORED, FILLED, CANCELED = 0, 1, 2
QUANTILES: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
TOLD: Final = 1


def fates_of(lives: dict[str, Longs], end: int) -> tuple[Longs, Longs]:
    """How long each order lived (ns), and its fate: what a gap cut, what left a venue's window and
    what goes on at ``end`` (ns) is censored."""
    told = (lives["ending"] == TOLD) & (lives["ended"] <= end)
    filled = told & (lives["reason"] == Reason.FILLED)
    fate = np.where(filled, FILLED, np.where(told, CANCELED, CENSORED))
    known = np.where(lives["ended"] == np.iinfo(np.int64).min, end, lives["ended"])
    return np.maximum(np.minimum(known, end) - lives["opened"], 0), fate


@dataclass(frozen=True, slots=True)
class Survival:
    """Step functions: from each of ``times`` (ns, rising) on, ``alive`` is the share that lives,
    ``filled`` and ``canceled`` those that ended so."""

    times: Longs
    alive: Floats
    filled: Floats
    canceled: Floats
    orders: int

    def at(self, of: Floats, ns: int) -> float:
        """The value of one of them at an age."""
        place = int(np.searchsorted(self.times, ns, side="right")) - 1
        return float(of[place]) if place >= 0 else (1.0 if of is self.alive else 0.0)

    def quantile(self, share: float) -> float | None:
        """The age (s) by which so many have ended; None where that is not known."""
        place = int(np.searchsorted(-self.alive, -(1 - share) - 1e-12, side="left"))
        return None if place == len(self.times) else float(self.times[place] / NS_PER_SECOND)


def survival(lasted: Longs, fate: Longs) -> Survival:
    """Survival S(t), the product over ends before t of 1 - d / n, n those at risk (Kaplan, Meier,
    JASA 53, 1958), and the share that ended by each cause by t, the sum of S(t-) d_cause / n
    (Aalen, Johansen, Scandinavian Journal of Statistics 5, 1978).  Orders that stood in a snapshot
    are not among them: nobody knows when they began.  Ends come before censorings of the same time.
    """
    times, place = np.unique(lasted, return_inverse=True)
    by_fate = np.zeros((3, len(times)), np.int64)
    np.add.at(by_fate, (fate, place), 1)
    gone = by_fate.sum(axis=0)
    at_risk = len(lasted) - np.concatenate([[0], np.cumsum(gone)[:-1]]).astype(np.int64)
    ended = by_fate[FILLED] + by_fate[CANCELED]
    alive = np.cumprod(1 - ended / np.maximum(at_risk, 1))
    before = np.concatenate([[1.0], alive[:-1]]) if len(times) else alive
    shares = [np.cumsum(before * by_fate[cause] / np.maximum(at_risk, 1)) for cause in (1, 2)]
    return Survival(times, alive, shares[0], shares[1], len(lasted))
