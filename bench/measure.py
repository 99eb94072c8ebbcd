"""Measuring: thread CPU time, alternating rounds, medians.

Other load and the clock of a shared machine move every figure by tens of percent.  CPU time leaves
waiting out; what is compared takes turns round by round, so that both meet the same clock.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Sample", "alternate", "cpu_ns", "frozen_inputs"]


class Sample(NamedTuple):
    """One figure of each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def map(self, change: Callable[[float], float]) -> Sample:
        return Sample(tuple(change(value) for value in self.values))


def cpu_ns(work: Callable[[], object]) -> int:
    """CPU time of the calling thread in ns; what ``work`` returns is let go after the clock."""
    begun = time.thread_time_ns()
    kept = work()
    ended = time.thread_time_ns()
    del kept
    return ended - begun


def alternate(
    rounds: int, tell: Callable[[str], None], figures: Mapping[str, Callable[[], float]]
) -> dict[str, Sample]:
    """Takes each figure once a round, in turn."""
    values: dict[str, list[float]] = {name: [] for name in figures}
    for number in range(1, rounds + 1):
        tell(f"round {number} of {rounds}")
        for name, figure in figures.items():
            gc.collect()
            values[name].append(figure())
    return {name: Sample(tuple(found)) for name, found in values.items()}


@contextmanager
def frozen_inputs() -> Iterator[None]:
    """Prepared inputs are left out of garbage collection, which itself stays on."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
