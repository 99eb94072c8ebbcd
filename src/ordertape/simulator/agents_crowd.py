"""The many: limit orders that come in clusters, live a while, and come back a little elsewhere."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_floor import FIRST_OWNER, MS, PATIENT, SECOND, Floor
from ordertape.simulator.draws import exponential
from ordertape.simulator.queues import Order

__all__ = ["Crowd"]

_TABLE_BITS: Final = 12
_TABLE: Final = 1 << _TABLE_BITS
_TAIL_POWER: Final = 1.2
_TAIL_TICKS_MAX: Final = 3_000
_FACTORS: Final = 4_000


class Crowd:
    """Births, lives and chains of re-quotes.

    A birth may cause others (two time scales) and a twin on the other side; an order is canceled at
    the end of its life, and then often quoted again.
    """

    def __init__(self, floor: Floor, life_percent: int = 100) -> None:
        self.floor = floor
        preset = self.preset = floor.preset
        self._distances = _distance_table(preset.distances)
        unit = floor.shape.program
        self._fixed: list[tuple[float, int]] = []
        sum_ = 0.0
        for weight, size in preset.fixed_sizes:
            sum_ += weight
            self._fixed.append((sum_, max(1, round(size * unit))))
        self._sizes = floor.mixture(preset.sizes, unit)
        self._lives = floor.mixture(preset.lives, MS * life_percent / 100)
        self._gaps = floor.mixture(preset.requote_gaps, MS)
        d0, power = preset.life_distance
        self._life_factors = [
            round(float(f"{((1 + ticks) / d0) ** power:.6g}") * 1024) for ticks in range(_FACTORS)
        ]
        self._steps = exponential(preset.requote_step * 1024)
        self._large = preset.large * unit
        self._births = exponential(SECOND / preset.births_per_second)
        self._inside = floor.mixture((preset.inside_gain,), 1 << 20)

    def start(self) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._births), self._immigrant)

    # Births ----------------------------------------------------------------------------------

    def _immigrant(self, _a: Any, _b: Any, _c: Any) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._births), self._immigrant)
        self.birth(floor.bits(1))

    def birth(self, side: int, _b: Any = 0, _c: Any = 0) -> None:
        """A new order, and what it causes."""
        floor, preset = self.floor, self.preset
        size = self.size()
        price = self._price(side)
        if size > self._large and price == floor.touch(side):
            # Who has much to show does not show it where the next taker finds it.
            price += (1 + floor.bits(4)) * (floor.tick if side else -floor.tick)
        self.place(side, max(floor.tick, price), size)
        for mean, delay_ms in preset.children:
            for _ in range(floor.few(mean)):
                child = side if floor.uniform() < preset.child_same_side else 1 - side
                floor.later(floor.wait(delay_ms), self.birth, child)
        if floor.uniform() < preset.twin:
            floor.later(floor.wait(preset.twin_ms), self._twin, 1 - side, size)

    def _twin(self, side: int, size: int, _c: Any) -> None:
        self.place(side, self._price(side), size)

    def place(self, side: int, price: int, size: int) -> Order | None:
        """A post-only order with a life of its own."""
        floor = self.floor
        owner = FIRST_OWNER + floor.bits(5)
        best = floor.matching.best(side)
        inside = best is not None and (price < best if side else price > best)
        order = floor.matching.post_only(floor.new_id(), side, price, size, owner)
        if order is not None:
            floor.later(self._life(order, inside), self._expire, order.order_id)
        return order

    def _life(self, order: Order, inside: bool = False) -> int:
        """Who betters the price means it: an order inside lives as the slow ones do."""
        floor = self.floor
        first, fast = self._lives[0]
        draw = floor.uniform()
        if inside and self.preset.inside_stays:
            draw = first + draw * (1 - first)
        if draw < first:
            return floor.one_of(fast)
        best = floor.matching.best(order.side) or order.price
        distance = min(_FACTORS - 1, abs(order.price - best) // floor.tick)
        table = next(table for weight, table in self._lives[1:] if draw < weight)
        return floor.one_of(table) * self._life_factors[distance] >> 10

    def _expire(self, order_id: int, _b: Any, _c: Any) -> None:
        order = self.floor.matching.orders.get(order_id)
        if order is None or order.owner == PATIENT:
            return
        if self.floor.uniform() >= self.preset.requote:
            self.floor.matching.cancel(order_id)
            return
        self.renew(order, self._step(), self.floor.mixed(self._gaps))

    def _step(self) -> int:
        """Ticks up or down, mostly none where the preset says so."""
        floor, preset = self.floor, self.preset
        if floor.uniform() < preset.requote_same_price:
            return 0
        ticks = 1 + (floor.one_of(self._steps) >> 10)
        return ticks if floor.bits(1) else -ticks

    def renew(self, order: Order, ticks: int, gap: int) -> None:
        """Quotes the same size again, ``ticks`` higher, after a gap in ns; or amends at once."""
        floor, preset = self.floor, self.preset
        price = order.price + ticks * floor.tick
        if ticks and floor.uniform() < preset.amend:
            price = floor.clear(order.side, price)
            floor.matching.amend(order.order_id, price, order.size)
            floor.later(self._life(order), self._expire, order.order_id)
            return
        floor.matching.cancel(order.order_id)
        floor.later(gap, self._again, order.side, price, order.size)

    def _again(self, side: int, price: int, size: int) -> None:
        self.place(side, self.floor.clear(side, price), size)

    # Draws -----------------------------------------------------------------------------------

    def _price(self, side: int) -> int:
        floor, preset = self.floor, self.preset
        best = floor.touch(side)
        other = floor.matching.best(1 - side)
        sign = floor.tick if side else -floor.tick
        if floor.matching.auction:
            # Around the last price: the touch of a crossed book is a price nobody means.
            return max(floor.tick, floor.anchor - (floor.bits(4) - 12) * sign)
        if other is not None:
            spread = abs(other - best) // floor.tick
            if spread > preset.inside_from:
                chance = preset.inside if spread <= preset.wide_from else preset.inside_wide
                room = spread - preset.spread_left
                # Who betters a price prefers to do so with the crowd behind.
                lean = -floor.imbalance() if side else floor.imbalance()
                if room > 0 and floor.uniform() < chance * (1 + lean):
                    better = 1 + (spread * floor.mixed(self._inside) >> 20)
                    return best - min(better, room) * sign
        price = best + self._distances[floor.bits(_TABLE_BITS)] * sign
        if preset.off_grid and floor.uniform() < preset.off_grid:
            price += floor.draws.below(floor.tick) * (1 if side else -1)
        return floor.clear(side, price)

    def fixed_size(self) -> int:
        """Of one of the programs."""
        draw = self.floor.uniform() * self._fixed[-1][0]
        return next(size for weight, size in self._fixed if draw < weight)

    def size(self) -> int:
        floor = self.floor
        draw = floor.uniform()
        for weight, size in self._fixed:
            if draw < weight:
                return size
        return max(1, self.rounded(floor.mixed(self._sizes)))

    def rounded(self, size: int) -> int:
        """To the significant digits that the preset's traders use."""
        digits = self.preset.size_digits
        if digits:
            unit = 10 ** max(0, len(str(size)) - digits)
            whole = 10**8  # sizes of such markets are whole
            size = max(whole, size // unit * unit // whole * whole)
        return size


def _distance_table(buckets: tuple[tuple[float, int, int], ...]) -> tuple[int, ...]:
    """Quantiles of the distance: dense near inside a bucket, a power tail beyond the last."""
    out: list[int] = []
    done = 0.0
    for weight, nearest, farthest in buckets:
        count = round((done + weight) * _TABLE) - len(out)
        done += weight
        low, high = nearest, farthest + 1
        for place in range(count):
            share = (place + 0.5) / count
            # Density falls with the square of the distance where the bucket is wide.
            if farthest > 20:
                out.append(int(1 / (1 / low - share * (1 / low - 1 / high))))
            else:
                out.append(low + int(share * (high - low)))
    last = buckets[-1][2] + 1
    count = _TABLE - len(out)
    for place in range(count):
        ticks = float(f"{last * ((place + 0.5) / count) ** (-1 / _TAIL_POWER):.6g}")
        out.append(min(_TAIL_TICKS_MAX, int(ticks)))
    return tuple(out)
