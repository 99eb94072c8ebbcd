"""Memory of processes over time, and how fast it grows whatever single samples say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Growth", "growth", "own_memory", "unjudged"]

WHOLE_RUN_S = 3_600
"""Of a run so long every role's memory is judged."""


def own_memory(pid: int) -> int | None:
    """Bytes that are the process's own (no file's pages), None where it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else None


class Growth(NamedTuple):
    """Percent of the median an hour: Theil's slope, and between what it is with 95 % certainty."""

    slope: float
    least: float
    most: float
    hours: float
    median: float
    """Bytes."""
    minutes: list[float]
    """The median of each minute, bytes."""

    def exceeds(self, percent: float) -> bool:
        """Whether it grows, and faster than that: the slope itself counts, not its lower bound."""
        return self.least > 0 and self.slope >= percent


def growth(samples: list[tuple[float, int]]) -> Growth | None:
    """Of (seconds, bytes), by the medians of minutes (P. K. Sen, 1968); None for under 12 minutes.

    The minutes' medians, because samples close to each other say the same twice.
    """
    minutes: dict[int, list[int]] = {}
    for at, size in samples:
        minutes.setdefault(int(at // 60), []).append(size)
    points = [(minute / 60, statistics.median(sizes)) for minute, sizes in sorted(minutes.items())]
    n = len(points)
    if n < 12:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for nth, earlier in enumerate(points)
        for later in points[nth + 1 :]
    )
    median = statistics.median(size for _, size in points)
    spread = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    lowest = slopes[max(0, int((len(slopes) - spread) / 2))]
    highest = slopes[min(len(slopes) - 1, int((len(slopes) + spread) / 2))]
    percent = 100 / median
    return Growth(
        statistics.median(slopes) * percent,
        lowest * percent,
        highest * percent,
        points[-1][0] - points[0][0],
        median,
        [size for _, size in points],
    )


def unjudged(roles: Iterable[str], judged: Collection[str], seconds: float) -> list[str]:
    """In words: which of the roles lived too short for a slope in a run of an hour or more.  In a
    shorter one none lives long enough, and nothing is said."""
    if seconds < WHOLE_RUN_S:
        return []
    return [
        f"memory of the {role} was not judged: none of its lives has 12 minutes of samples"
        for role in roles
        if role not in judged
    ]
