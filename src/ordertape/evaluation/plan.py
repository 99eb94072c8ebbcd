"""Which tapes are made: kinds, backgrounds and seeds, those of tuning apart from those of judging.

A background is a preset of the simulator at an intensity (occurrences a second) and a depth of its
book; each seed has one of five of each regime, so that five seeds in a row see all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

from ordertape.errors import SettingRefused
from ordertape.evaluation.truth import KINDS

__all__ = [
    "BACKGROUNDS",
    "JUDGING_FROM",
    "TUNING_SEEDS",
    "Background",
    "TapePlan",
    "known_kinds",
    "plan_clean",
    "plan_kinds",
    "read_seeds",
]

TUNING_SEEDS: Final = range(1, 21)
"""Thresholds may be chosen on these alone."""
JUDGING_FROM: Final = 1_001
"""Seeds from here on judge, and have tuned nothing."""
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Background:
    """``rate``: occurrences a second; ``live_orders``: about how many rest."""

    preset: str
    symbol: str
    rate: int
    live_orders: int

    @property
    def name(self) -> str:
        return f"{self.preset} {self.rate}/s, {self.live_orders:,} orders"


BACKGROUNDS: Final = {
    "crypto": tuple(
        Background("crypto", "tBTCUST", rate, live)
        for rate, live in ((250, 6_500), (500, 6_500), (250, 1_500), (125, 3_000), (500, 1_500))
    ),
    "equity": tuple(
        Background("equity", "AAPL", rate, live)
        for rate, live in ((46, 329), (92, 329), (46, 160), (23, 240), (92, 160))
    ),
}
"""By regime; the first of each is the preset as it was fitted to a real session."""


@dataclass(frozen=True, slots=True)
class TapePlan:
    """A tape with ``episodes`` counted ones of ``kind`` (None: clean, ``seconds`` long, the
    ``piece``-th of its seed)."""

    kind: str | None
    background: Background
    seed: int
    episodes: int = 0
    seconds: int = 0
    piece: int = 0

    @property
    def name(self) -> str:
        what = "clean" if self.kind is None else self.kind.replace(" ", "-")
        length = self.seconds if self.kind is None else self.episodes
        shown = self.background
        market = f"{shown.preset}-{shown.rate}-{shown.live_orders}"
        return f"{what}-{market}-{self.seed}-{self.piece}-{length}"

    @property
    def market_seed(self) -> int:
        """Of the simulated market: pieces of one seed differ."""
        return self.seed + 1_000_000 * self.piece


def plan_kinds(kinds: tuple[str, ...], seeds: list[int], episodes: int) -> Iterator[TapePlan]:
    """``episodes`` a kind, spread evenly over regimes and seeds."""
    regimes = list(BACKGROUNDS.values())
    each = -(-episodes // (len(regimes) * len(seeds)))
    for kind in kinds:
        for place, seed in enumerate(seeds):
            for backgrounds in regimes:
                yield TapePlan(kind, backgrounds[place % len(backgrounds)], seed, each)


def plan_clean(seeds: list[int], hours: float) -> Iterator[TapePlan]:
    """Clean flow in pieces of at most an hour, regimes and seeds in turn, no two alike."""
    regimes = list(BACKGROUNDS.values())
    rounds = ceil(hours / len(regimes))
    for nth in range(rounds):
        for backgrounds in regimes:
            yield TapePlan(
                None,
                backgrounds[nth % len(backgrounds)],
                seeds[nth % len(seeds)],
                seconds=ceil(hours * _HOUR_S / rounds / len(regimes)),
                piece=1 + nth // len(seeds),
            )


def read_seeds(text: str, *, tuning: bool) -> list[int]:
    """``1001-1005`` or ``1001,1007``.  SettingRefused for what is none, and where a seed of tuning
    is to judge or the other way round."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise SettingRefused(f"expected seeds such as 1001-1005 or 1001,1007, found {text!r}")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(seeds)) < len(seeds) or len(seeds) > 100:
        raise SettingRefused(f"expected up to 100 seeds, each once, found {text!r}")
    if tuning and any(seed not in TUNING_SEEDS for seed in seeds):
        raise SettingRefused(
            f"expected seeds of tuning, {TUNING_SEEDS[0]} to {TUNING_SEEDS[-1]}, found {text!r}"
        )
    if not tuning and min(seeds) < JUDGING_FROM:
        raise SettingRefused(
            f"expected seeds that have tuned nothing, from {JUDGING_FROM} on, found {text!r}"
        )
    return seeds


def known_kinds(names: list[str]) -> tuple[str, ...]:
    """All where none is named; SettingRefused for others."""
    for name in names:
        if name not in KINDS:
            raise SettingRefused(f"expected a kind of {', '.join(KINDS)}, found {name!r}")
    return tuple(name for name in KINDS if not names or name in names)
