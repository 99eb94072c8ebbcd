"""What all traders of a simulated market share: the book they see, the clock, their draws."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, TypeAlias

from ordertape.simulator.draws import QUANTILE_BITS, Draws, exponential, lognormal
from ordertape.simulator.markets import MarketShape
from ordertape.simulator.matcher import Matcher
from ordertape.simulator.presets import Law, Preset

__all__ = ["EPISODE_OWNER", "FIRST_OWNER", "MS", "PATIENT", "SECOND", "Act", "Floor", "Law"]

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
PATIENT: Final = 9
"""Owner of the far, long-lived orders, which no repricing moves."""

FIRST_OWNER: Final = 10
"""Owners from here on are traders of the crowd, 32 of them, and takers."""
EPISODE_OWNER: Final = 9_999
"""Owners from here on act in labelled episodes."""

_SEEN_LEVELS: Final = 5
"""How deep traders look for an imbalance."""

Act: TypeAlias = Callable[[Any, Any, Any], None]


class Floor:
    """One market as its traders see it.

    ``now``: their own time in ns, in which the preset's rates hold; the market's clock runs
    ``stretch`` times as long (numerator, denominator), from ``start_ns``.
    """

    def __init__(
        self,
        shape: MarketShape,
        preset: Preset,
        matching: Matcher,
        key: str,
        first_order_id: int,
        start_ns: int,
        rate: int,
    ) -> None:
        self.shape, self.preset, self.matching = shape, preset, matching
        self.tick = shape.tick
        self.draws = Draws(key)
        self.bits, self.uniform = self.draws.bits, self.draws.uniform
        self.now = 0
        self.start_ns = start_ns
        self.anchor = shape.start
        """The best bid before an auction."""
        self._numerator, self._denominator = round(preset.events_per_second * 1_000), 1_000 * rate
        self._order_id = first_order_id
        self._tasks: list[tuple[int, int, Act, Any, Any, Any]] = []
        self._count = 0
        self._rate = rate
        self._id_step = 1

    # Time ------------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        """Market time of the next task; the traders never run out of them."""
        return self.market_ns(self._tasks[0][0])

    def market_ns(self, now: int) -> int:
        return self.start_ns + now * self._numerator // self._denominator

    def later(self, delay: int, act: Act, a: Any = 0, b: Any = 0, c: Any = 0) -> None:
        """Lets something be done after ``delay`` ns of the traders' time."""
        self._count += 1
        heappush(self._tasks, (self.now + delay, self._count, act, a, b, c))

    def later_on_market(self, delay_ns: int, act: Act, a: Any, b: Any) -> None:
        """The same after ``delay_ns`` of the market's time."""
        self.later(delay_ns * self._denominator // self._numerator, act, a, b)

    def meanwhile(self, market_ns: int) -> None:
        """Brings the traders' clock to a market time at which nothing of theirs is due."""
        self.now = (market_ns - self.start_ns) * self._denominator // self._numerator

    def run(self, until_ns: int) -> None:
        """Everything due up to and at this market time, in order."""
        tasks, matching = self._tasks, self.matching
        numerator, denominator, start = self._numerator, self._denominator, self.start_ns
        while True:
            time_ns = start + tasks[0][0] * numerator // denominator
            if time_ns > until_ns:
                break
            self.now, _, act, a, b, c = heappop(tasks)
            matching.time_ns = time_ns
            act(a, b, c)

    def restart_clock(self) -> None:
        """The market opens: what was to be done after now is to be done after ``start_ns``."""
        # Ids of a venue are shared by all its markets: steps shrink where this one is busy.
        self._id_step = max(1, 8_000 // self._rate)
        # Equal shifts keep the heap a heap.
        self._tasks[:] = [(task[0] - self.now, *task[1:]) for task in self._tasks]
        self.now = 0

    # Draws -----------------------------------------------------------------------------------

    def one_of(self, table: tuple[int, ...]) -> int:
        return table[self.bits(QUANTILE_BITS)]

    def few(self, mean: float) -> int:
        """0, 1, 2, …, geometric with this mean: offspring comes in clusters."""
        count, go_on = 0, mean / (1 + mean)
        while self.uniform() < go_on:
            count += 1
        return count

    def mixture(self, laws: tuple[Law, ...], unit: float) -> list[tuple[float, tuple[int, ...]]]:
        """(weight so far, quantiles) of each part; draw with `mixed`."""
        out, sum_ = [], 0.0
        for weight, median, deviation in laws:
            sum_ += weight
            out.append((sum_, lognormal(median * unit, deviation)))
        # Sums of floats may end below 1, and a draw just below 1 must find its part.
        out[-1] = (sum_ + 1, out[-1][1])
        return [(weight / sum_, table) for weight, table in out]

    def mixed(self, mixture: list[tuple[float, tuple[int, ...]]]) -> int:
        if len(mixture) > 1:
            draw = self.uniform()
            for weight, table in mixture:
                if draw < weight:
                    return table[self.bits(QUANTILE_BITS)]
        return mixture[-1][1][self.bits(QUANTILE_BITS)]

    def wait(self, mean_ms: float) -> int:
        """Exponential, ns."""
        return exponential(mean_ms * MS)[self.bits(QUANTILE_BITS)]

    # The book --------------------------------------------------------------------------------

    def new_id(self) -> int:
        self._order_id += 1 + self.draws.below(self._id_step)
        return self._order_id

    def touch(self, side: int) -> int:
        """The best price of a side; where there is none, a tick behind the other side's, else
        where the market began."""
        best = self.matching.best(side)
        if best is not None:
            return best
        other = self.matching.best(1 - side)
        tick = self.tick
        if other is None:
            return self.shape.start + (tick if side else 0)
        return max(tick, other + (tick if side else -tick))

    def clear(self, side: int, price: int) -> int:
        """The nearest price that trades with nobody who can be seen, and leaves of the spread what
        the preset's traders leave."""
        other, tick = self.matching.best(1 - side), self.tick
        if other is not None and not self.matching.auction:
            room = self.preset.spread_left * tick
            price = max(price, other + room) if side else min(price, other - room)
        return max(tick, price)

    def imbalance(self) -> float:
        """-1 (asks only) to 1 (bids only): sizes of the first levels."""
        sums = [0, 0]
        for side in (0, 1):
            levels = self.matching.levels[side]
            for key in self.matching.price_keys(side)[-_SEEN_LEVELS:]:
                for order in levels[abs(key)].values():
                    sums[side] += order.size
        total = sums[0] + sums[1]
        return (sums[0] - sums[1]) / total if total else 0.0
