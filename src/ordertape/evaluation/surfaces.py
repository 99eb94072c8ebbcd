"""Recall over how large, how far and how long: where a detector sees and where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ordertape.evaluation.plan import TapePlan
from ordertape.evaluation.running import Judged
from ordertape.evaluation.scores import Share
from ordertape.evaluation.truth import Truth

__all__ = ["SURFACES", "Axis", "Surface", "cells"]

_SPOILT: Final = (
    *("filled", "not canceled", "not together", "life", "short", "kept"),
    *("too few in a row", "the price did not move"),
)
"""Episodes that did not become what was planned: nothing is there to be recalled."""

_FOREVER: Final = 1e9

Value = Callable[[Truth, TapePlan], float]


@dataclass(frozen=True, slots=True)
class Axis:
    """``edges``: bins are from one to below the next; ``names`` of them, else their numbers;
    ``whole``: values are whole numbers."""

    name: str
    value: Value
    edges: tuple[float, ...]
    names: tuple[str, ...] = ()
    whole: bool = False

    @property
    def bins(self) -> list[str]:
        if self.names:
            return list(self.names)
        return [_range(low, high, whole=self.whole) for low, high in pairwise(self.edges)]

    def place(self, truth: Truth, plan: TapePlan) -> int | None:
        value = self.value(truth, plan)
        for place, (low, high) in enumerate(pairwise(self.edges)):
            if low <= value < high:
                return place
        return None


def _range(low: float, high: float, *, whole: bool) -> str:
    if high >= _FOREVER:
        return f"{low:g} and more"
    if not whole:
        return f"{low:g} to {high:g}"
    return f"{low:g}" if high == low + 1 else f"{low:g} to {high - 1:g}"


@dataclass(frozen=True, slots=True)
class Surface:
    """``chosen``: which episodes of the kind."""

    kind: str
    title: str
    rows: tuple[Axis, ...]
    columns: Axis
    chosen: Callable[[Truth], bool] = lambda _truth: True


def _fact(name: str) -> Value:
    return lambda truth, _plan: truth.facts.get(name, 0.0)


_SIZE: Final = Axis("size, medians", _fact("size"), (1, 5, 10, 20, _FOREVER))
_DISTANCE: Final = Axis("distance, bp", _fact("distance_bp"), (0, 2, 5, 10, 25, 51))
_LIFE: Final = Axis("life, s", _fact("life_s"), (0, 0.3, 2, 10, 70))

SURFACES: Final = (
    Surface(
        *("spoof-like", "with a trade on the other side", (_SIZE, _DISTANCE), _LIFE),
        lambda truth: truth.facts["fill"] > 0,
    ),
    Surface(
        *("spoof-like", "without one", (_SIZE,), _LIFE),
        lambda truth: truth.facts["fill"] == 0,
    ),
    Surface(
        *("spoof-like", "with one, from 5 medians within 10 bp, by share of the depth"),
        (Axis("share", _fact("share"), (0, 0.05, 0.1, 0.2, 0.35, 1)),),
        _LIFE,
        lambda truth: (
            truth.facts["fill"] > 0
            and truth.facts["size"] >= 5
            and truth.facts["distance_bp"] <= 10
        ),
    ),
    Surface(
        *("layering", "with a trade on the other side"),
        (Axis("levels", _fact("layers"), (1, 2, 3, 5, 8, 11), whole=True), _DISTANCE),
        Axis("size of a layer, medians", _fact("size"), (1, 2, 5, 10, 21)),
        lambda truth: truth.facts["fill"] > 0,
    ),
    Surface(
        *("layering", "by life"),
        (Axis("a trade on the other side", _fact("fill"), (0, 1, 2), ("no", "yes")),),
        _LIFE,
        lambda truth: truth.facts["layers"] >= 3,
    ),
    Surface(
        *("quote stuffing", "all"),
        (
            Axis(
                "messages, times the market's",
                lambda truth, plan: truth.facts["rate"] / plan.background.rate,
                (4, 10, 14, 18, _FOREVER),
            ),
        ),
        Axis("seconds", _fact("life_s"), (1, 2.5, 3.5, 4.5, 6)),
    ),
    Surface(
        *("native iceberg", "all"),
        (Axis("refreshes", _fact("refreshes"), (1, 2, 4, 8, _FOREVER), whole=True),),
        Axis("of", _fact("background"), (0, 1, 2), ("an episode", "the background")),
    ),
    Surface(
        *("synthetic iceberg", "equal pieces"),
        (Axis("pieces in a row", _fact("pieces"), (3, 4, 6, 9, 13), whole=True),),
        Axis("delay, ms", _fact("delay_ms"), (0, 20, 50, 100, 1_001)),
        lambda truth: truth.facts["vary"] <= 0.02,
    ),
    Surface(
        *("synthetic iceberg", "pieces that differ"),
        (Axis("pieces in a row", _fact("pieces"), (3, 4, 6, 9, 13), whole=True),),
        Axis("largest over smallest, less 1", _fact("vary"), (0.02, 0.5, 1, _FOREVER)),
        lambda truth: truth.facts["vary"] > 0.02,
    ),
    Surface(
        *("momentum ignition", "all"),
        (Axis("the price went, bp", _fact("moved_bp"), (1, 2, 5, 10, _FOREVER)),),
        Axis("volume, medians", _fact("size"), (0, 50, 100, 200, _FOREVER)),
    ),
)


def cells(surface: Surface, judged: Iterable[Judged]) -> list[tuple[list[str], list[Share]]]:
    """(bins of the row axes, shares along the column axis) of each row that holds an episode."""
    sums: dict[tuple[int, ...], list[list[int]]] = {}
    width = len(surface.columns.bins)
    for one in judged:
        if one.plan.kind != surface.kind:
            continue
        for truth, found in one.truths:
            if truth.why in _SPOILT or not surface.chosen(truth):
                continue
            places = [axis.place(truth, one.plan) for axis in (*surface.rows, surface.columns)]
            if None in places:
                continue
            known = [place for place in places if place is not None]
            row = sums.setdefault(tuple(known[:-1]), [[0, 0] for _ in range(width)])
            row[known[-1]][0] += found
            row[known[-1]][1] += 1
    return [
        (_names(surface.rows, places), [Share(hits, count) for hits, count in sums[places]])
        for places in sorted(sums)
    ]


def _names(axes: Sequence[Axis], places: Sequence[int]) -> list[str]:
    return [axis.bins[place] for axis, place in zip(axes, places, strict=True)]
