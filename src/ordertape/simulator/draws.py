"""Seeded draws made of ints alone, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from random import Random

__all__ = ["Draws"]


@cache
def _exponential() -> tuple[int, ...]:
    """1,024 quantiles of the exponential distribution, mean 1,024 (Decimal rounds the same way on
    every machine, the C library's logarithm need not)."""
    return tuple(int(-(Decimal(2 * step + 1) / 2048).ln() * 1024) for step in range(1024))


class Draws:
    """One stream of draws; ``key`` names it, equal keys give equal streams."""

    def __init__(self, key: str) -> None:
        self.bits: Callable[[int], int] = Random(key).getrandbits  # noqa: S311 (nothing secret)
        """An int of so many random bits."""

    def below(self, bound: int) -> int:
        """0 to bound - 1; bound below 2**32 keeps it even."""
        return self.bits(32) * bound >> 32

    def geometric(self) -> int:
        """0, 1, 2, … each half as likely as the one before: coins until the first tail."""
        coins = self.bits(12)
        return (~coins & (coins + 1)).bit_length() - 1

    def wait(self, mean: int) -> int:
        """Exponential."""
        return mean * _exponential()[self.bits(10)] >> 10

    def lognormal(self, median: int, coins: int) -> int:
        """Nearly: a power of two by the binomial of so many coins, smeared over one octave;
        at least 1."""
        power = self.bits(coins).bit_count() - coins // 2
        value = median * (741_455 + self.below(741_455)) >> 20
        return max(1, value << power if power >= 0 else value >> -power)
