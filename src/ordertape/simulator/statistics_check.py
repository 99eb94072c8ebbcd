"""A simulated session, or a tape, held against the bands of real order flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from math import gcd
from typing import Final

import numpy as np

from ordertape._engine import EventBatch
from ordertape.events import EventKind
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.markets import MARKETS
from ordertape.simulator.occurrences import to_batch
from ordertape.simulator.presets import PRESETS
from ordertape.simulator.statistics import figures
from ordertape.simulator.statistics_gates import ACCEPTED, Band, Gate, gates_of
from ordertape.simulator.statistics_walk import observe

__all__ = ["CHECKED", "Verdict", "check_session", "check_tape", "session", "tick_of"]

CHECKED: Final = {"crypto": "tBTCUST", "equity": "AAPL"}
"""The market whose session shows a preset."""
WARM_UP_S: Final = 100
_TICK_BATCHES: Final = 200
_STEP_NS: Final = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rows``: each gate with its band and the value found."""

    preset: str
    rows: list[tuple[Gate, Band, float]]

    @property
    def passed(self) -> list[Gate]:
        return [gate for gate, band, value in self.rows if band.low <= value <= band.high]

    @property
    def hard(self) -> tuple[int, int]:
        """(passed, of)."""
        return sum(g.hard for g in self.passed), sum(row[0].hard for row in self.rows)

    @property
    def share(self) -> float:
        return len(self.passed) / len(self.rows)

    @property
    def accepted(self) -> bool:
        every, share = ACCEPTED[self.preset]
        passed, count = self.hard
        return (passed == count or not every) and self.share >= share


def session(preset: str, seed: int, minutes: int) -> Iterator[EventBatch]:
    """A session of the preset's market at its own rate, the starting book and a warm-up first."""
    shape = MARKETS[CHECKED[preset]]
    rate = round(PRESETS[preset].events_per_second)
    market = SimulatedMarket(shape, seed, rate, EPOCH_NS, preset=preset)
    yield market.book.snapshot()
    end_ns = EPOCH_NS + (WARM_UP_S + 60 * minutes) * 1_000_000_000
    while market.now_ns < end_ns:
        log = market.advance(min(end_ns, market.now_ns + _STEP_NS))
        batch = to_batch(log, market.price_scale, market.size_scale)
        if batch is not None:
            yield batch


def check_session(preset: str, seed: int, minutes: int) -> Verdict:
    """Of a simulated session of ``minutes`` after the warm-up."""
    shape = MARKETS[CHECKED[preset]]
    tick = Decimal(shape.tick).scaleb(-shape.price_scale)
    found = figures(observe(session(preset, seed, minutes), tick, skip_ns=WARM_UP_S * 10**9))
    return _verdict(preset, found)


def check_tape(batches: Iterable[EventBatch], preset: str, tick: Decimal) -> Verdict:
    """Of a tape, which may be any market's, against a preset's bands.  A cancel and an add of one
    side at the same nanosecond count as one amendment where the preset has amendments."""
    return _verdict(preset, figures(observe(batches, tick, joined=preset == "equity")))


def tick_of(batches: Iterable[EventBatch]) -> Decimal:
    """The largest step that the prices of the first batches' new orders are multiples of."""
    step, scale = 0, 0
    for batch in islice(batches, _TICK_BATCHES):
        price, kind = batch.column("price"), batch.column("kind")
        if price is None or kind is None:
            continue
        prices = np.frombuffer(memoryview(price), dtype=np.int64)
        prices = prices[np.frombuffer(memoryview(kind), dtype=np.uint8) == EventKind.OPEN]
        if len(prices):
            grown = max(scale, batch.price_scale)
            here = int(np.gcd.reduce(prices)) * 10 ** (grown - batch.price_scale)
            step, scale = gcd(step * 10 ** (grown - scale), here), grown
    return Decimal(step or 1).scaleb(-scale)


def _verdict(preset: str, found: dict[str, float]) -> Verdict:
    rows = [(gate, band, found[gate.name]) for gate, band in gates_of(preset)]
    return Verdict(preset, rows)
