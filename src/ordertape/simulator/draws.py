"""Seeded draws, the same on every machine.

Distributions are tables of quantiles, rounded to six digits: the last bit of a C library's
logarithm, in which machines differ, reaches no draw.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp, log
from random import Random
from statistics import NormalDist
from typing import Final

__all__ = ["QUANTILE_BITS", "Draws", "exponential", "lognormal", "normal_quantiles", "source_of"]

QUANTILE_BITS: Final = 11
"""A table has 2**QUANTILE_BITS entries; a draw is ``table[draws.bits(QUANTILE_BITS)]``."""


def _places() -> list[float]:
    count: int = 1 << QUANTILE_BITS
    return [(2 * place + 1) / (2 * count) for place in range(count)]


@cache
def normal_quantiles() -> tuple[float, ...]:
    """Of mean 0 and deviation 1."""
    unit = NormalDist()
    return tuple(float(f"{unit.inv_cdf(place):.6g}") for place in _places())


@cache
def lognormal(median: float, deviation: float) -> tuple[int, ...]:
    """Quantiles as ints; ``deviation`` is that of the logarithm."""
    return tuple(int(float(f"{median * exp(deviation * z):.6g}")) for z in normal_quantiles())


@cache
def exponential(mean: float) -> tuple[int, ...]:
    """Quantiles as ints."""
    return tuple(int(float(f"{-mean * log(place):.6g}")) for place in _places())


def source_of(key: str) -> Random:
    """A stream of the standard library; equal keys give equal streams."""
    return Random(key)  # noqa: S311 - nothing secret is drawn


class Draws:
    """One stream of draws; ``key`` names it, equal keys give equal streams."""

    def __init__(self, key: str) -> None:
        source = source_of(key)
        self.bits: Callable[[int], int] = source.getrandbits
        """An int of so many random bits."""
        self.uniform: Callable[[], float] = source.random
        """0 to below 1."""

    def below(self, bound: int) -> int:
        """0 to bound - 1; bound below 2**32 keeps it even."""
        return self.bits(32) * bound >> 32
