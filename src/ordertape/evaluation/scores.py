"""Figures of a score sheet out of verdicts: shares with their Wilson intervals, areas, delays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

__all__ = ["Score", "Share", "average_precision", "percentile", "wilson"]

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``count``, and its 95 % interval; None of nothing."""

    hits: int
    count: int

    @property
    def value(self) -> float | None:
        return self.hits / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.count)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); all of 0 to 1 of nothing."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, _Z95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z95 * sqrt(share * (1 - share) / count + square / (4 * count**2))
    half /= 1 + square / count
    # Rounding must not leave the ends of the scale.
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    return low, 1.0 if hits == count else min(1.0, middle + half)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share does not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def average_precision(scored: Iterable[tuple[float, bool]], count: int) -> float | None:
    """The area under precision over recall as the threshold of the score falls, over ``count``
    episodes: those that nothing found are recalled at no threshold.  Equal scores come together."""
    if not count:
        return None
    ordered = sorted(scored, key=lambda one: -one[0])
    hits = seen = place = 0
    area = 0.0
    while place < len(ordered):
        score, new = ordered[place][0], 0
        while place < len(ordered) and ordered[place][0] == score:
            new += ordered[place][1]
            seen += 1
            place += 1
        hits += new
        area += new * hits / seen
    return area / count


@dataclass(slots=True)
class Score:
    """Of one kind by one finder, over however many tapes.  ``delays`` in ms, at least 0: what is
    told before the last defining event is told in time.  ``alarms``: on clean flow of ``hours``."""

    hits: int = 0
    false: int = 0
    missed: int = 0
    aside: int = 0
    alarms: int = 0
    hours: float = 0.0
    delays: list[float] = field(default_factory=list)
    scored: list[tuple[float, bool]] = field(default_factory=list)

    def __add__(self, other: Score) -> Score:
        return Score(
            *(self.hits + other.hits, self.false + other.false, self.missed + other.missed),
            *(self.aside + other.aside, self.alarms + other.alarms, self.hours + other.hours),
            *(self.delays + other.delays, self.scored + other.scored),
        )

    @property
    def precision(self) -> Share:
        return Share(self.hits, self.hits + self.false)

    @property
    def recall(self) -> Share:
        return Share(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float | None:
        count = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / count if count else None

    @property
    def area(self) -> float | None:
        return average_precision(self.scored, self.hits + self.missed)

    @property
    def alarms_per_hour(self) -> float | None:
        return self.alarms / self.hours if self.hours else None

    def delay(self, share: float) -> float | None:
        return percentile(self.delays, share)
