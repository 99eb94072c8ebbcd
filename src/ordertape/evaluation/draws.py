"""How large, how far and how long an episode is: drawn over the ranges of the score sheet.

Sizes are multiples of the median order of the market as it was measured, or shares of what rests
within 10 basis points; distances are basis points from the touch of the own side, times seconds.
The simulator's scripts take percent of the market's program size, ticks and milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Final

__all__ = ["Measures", "draw_episode", "draw_honest"]

_WITHIN: Final = 0.6
"""The share of spoof-like and layering episodes that are drawn inside the definition; the others
come from the whole range, for the surfaces."""
_SHARES: Final = (0.105, 0.5)
"""Of the depth, of a spoof-like order inside the definition, and of half of the honest large
ones: size alone must tell nobody apart."""

_AFTER_S: Final = (0.02, 0.5)
"""From the trade on the other side to the withdrawal of what was shown: it served its end."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one market: percent of the program size in a median order, ticks in a basis point,
    occurrences a second; percent of the program size in what rests within 10 basis points of the
    touch, on the side in question."""

    median_percent: float
    ticks_per_bp: float
    rate: int
    depth_percent: float = 0.0

    def size(self, multiple: float) -> int:
        return max(1, round(multiple * self.median_percent))

    def large(self, random: Random) -> int:
        """A size that is a share of the depth when it has joined it, and no small one either."""
        share = _between(random, *_SHARES)
        size = round(share / (1 - share) * self.depth_percent)
        return max(size, self.size(_between(random, 5.2, 20)))

    def ticks(self, basis_points: float) -> int:
        return max(0, int(basis_points * self.ticks_per_bp))


def _between(random: Random, low: float, high: float) -> float:
    """Evenly on a logarithmic scale: as many small as large."""
    return exp(random.uniform(log(low), log(high)))


def _ms(seconds: float) -> int:
    return max(1, round(1_000 * seconds))


def _spoofing(random: Random, measures: Measures) -> dict[str, int]:
    within = random.random() < _WITHIN
    size = measures.large(random) if within else measures.size(_between(random, 1.5, 20))
    distance = random.uniform(0, 9.5 if within else 50)
    life = _between(random, 0.05, 60)
    return {
        "size": size,
        "distance": measures.ticks(distance),
        "life": _ms(life),
        "after": _ms(min(_between(random, *_AFTER_S), life / 4)),
        "fill": 1 if within else random.randrange(2),
    }


def _layering(random: Random, measures: Measures) -> dict[str, int]:
    within = random.random() < _WITHIN
    layers = random.randint(3, 10) if within else random.randint(1, 10)
    distance = random.uniform(0, 5 if within else 40)
    span = random.uniform(0, 4.5 if within else 10)
    life = _between(random, 0.2, 60)
    return {
        "layers": layers,
        "size": measures.size(_between(random, 5.2 if within else 1.5, 20)),
        "distance": measures.ticks(distance),
        "step": max(1, measures.ticks(span / layers)),
        "gap": round(_between(random, 2, 60)),
        "life": _ms(life),
        "after": _ms(min(_between(random, *_AFTER_S), life / 4)),
        "fill": 1 if within else random.randrange(2),
    }


def _quote_stuffing(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "rate": min(20_000, round(measures.rate * _between(random, 8, 24))),
        "seconds": random.randint(2, 5),
        "distance": measures.ticks(random.uniform(0, 10)),
    }


def _native_iceberg(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "peaks": random.randint(3, 12),
        "size": measures.size(_between(random, 0.5, 6)),
        "vary": random.randint(10, 50) if random.random() < 0.5 else 0,
        "life": _ms(_between(random, 2, 40)),
    }


def _synthetic_iceberg(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "tranches": random.randint(4, 12),
        "size": measures.size(_between(random, 0.5, 6)),
        "vary": random.randint(10, 50) if random.random() < 0.2 else 0,
        "delay": round(_between(random, 8, 160)),
        "pace": round(_between(random, 100, 3_000)),
        "stay": 2,
    }


def _momentum_ignition(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "steps": random.randint(5, 14),
        "size": measures.size(_between(random, 3, 20)),
        "pause": _ms(_between(random, 0.3, 4)),
    }


def _cancel_all(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "orders": random.randint(4, 24),
        "size": measures.size(_between(random, 0.5, 10)),
        "life": _ms(_between(random, 0.5, 60)),
    }


def _requotes(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "orders": random.randint(3, 8),
        "size": measures.size(_between(random, 0.5, 10)),
        "rounds": random.randint(2, 6),
        "life": _ms(_between(random, 0.2, 5)),
    }


def _twap(random: Random, measures: Measures) -> dict[str, int]:
    return {
        "slices": random.randint(5, 12),
        "size": measures.size(_between(random, 0.5, 6)),
        "every": _ms(_between(random, 1, 6)),
        "vary": 1,
    }


def _large_order(random: Random, measures: Measures) -> dict[str, int]:
    within = random.random() < 0.5
    size = measures.large(random) if within else measures.size(_between(random, 5, 20))
    return {
        "size": size,
        "distance": measures.ticks(random.uniform(0, 10 if within else 50)),
        "life": _ms(_between(random, 2, 60)),
    }


_DRAWS: Final[dict[str, Callable[[Random, Measures], dict[str, int]]]] = {
    "spoofing": _spoofing,
    "layering": _layering,
    "quote_stuffing": _quote_stuffing,
    "native_iceberg": _native_iceberg,
    "synthetic_iceberg": _synthetic_iceberg,
    "momentum_ignition": _momentum_ignition,
    "cancel_all": _cancel_all,
    "requotes": _requotes,
    "twap": _twap,
    "large_order": _large_order,
}
_HONEST: Final = ("cancel_all", "requotes", "large_order", "twap")


def draw_episode(script: str, random: Random, measures: Measures) -> dict[str, int]:
    """The parameters of one run of a script of the simulator."""
    return _DRAWS[script](random, measures)


def draw_honest(random: Random) -> str:
    """Which hard negative comes next; a restart of the venue is seldom."""
    return "venue_restart" if random.random() < 0.02 else random.choice(_HONEST)
