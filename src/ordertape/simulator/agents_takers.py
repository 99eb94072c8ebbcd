"""Takers, who trade at once, and retriers, whose post-only orders the venue keeps rejecting."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_crowd import Crowd
from ordertape.simulator.agents_floor import FIRST_OWNER, MS, SECOND, Floor
from ordertape.simulator.draws import exponential, lognormal

__all__ = ["Retriers", "Takers"]

_LEARN: Final = 0.02
"""How fast the takers' belief in the imbalance follows what it was worth."""
_HORIZON_MS: Final = 2_000.0
"""After which they look what the mid did."""


class Takers:
    """Market orders whose direction persists; else it is what the book's imbalance promised so far:
    ``belief`` is the running mean of imbalance times the move that followed (-1 to 1), so orders
    that are only shown move these traders for as long as imbalance used to pay."""

    def __init__(self, floor: Floor, crowd: Crowd) -> None:
        self.floor, self.crowd = floor, crowd
        preset = self.preset = floor.preset
        self.belief = 0.0
        self._waits = (
            exponential(SECOND / preset.takers_per_second) if preset.takers_per_second else ()
        )
        _, median, deviation = preset.taker_sizes
        self._sizes = lognormal(median * floor.shape.program, deviation)
        self._side = 0

    def start(self) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._waits), self._immigrant)

    def _immigrant(self, _a: Any, _b: Any, _c: Any) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._waits), self._immigrant)
        self._take(0, 0, 0)

    def _take(self, _a: Any, _b: Any, _c: Any) -> None:
        floor, preset = self.floor, self.preset
        mean, delay_ms = preset.taker_children
        for _ in range(floor.few(mean)):
            floor.later(floor.wait(delay_ms), self._take)
        imbalance = floor.imbalance()
        if floor.uniform() >= preset.taker_same_side:
            buys = floor.uniform() < 0.5 + 0.5 * self.belief * imbalance
            self._side = 0 if buys else 1
        side = self._side
        mid = floor.touch(0) + floor.touch(1)
        floor.later(round(_HORIZON_MS * MS), self._learn, imbalance, mid)
        size = self.crowd.rounded(floor.one_of(self._sizes))
        front = floor.matching.front(1 - side, None)
        if front is None:
            return
        kind = floor.bits(4)
        if kind < 5:
            size = front.size
        size = max(1, min(size, 40 * floor.shape.program))
        order_id, owner = floor.new_id(), FIRST_OWNER + floor.bits(8)
        if kind < 10:
            floor.matching.market(order_id, side, size, owner)
        elif kind < 15 or preset.spread_left > 1:
            floor.matching.ioc(order_id, side, front.price, size, owner)
        else:
            floor.matching.limit(order_id, side, front.price, size, owner)
        for _ in range(floor.few(preset.births_per_trade)):
            birth_side = side if floor.bits(1) else 1 - side
            floor.later(floor.wait(preset.children[0][1]), self.crowd.birth, birth_side)

    def _learn(self, imbalance: float, mid: int, _c: Any) -> None:
        moved = self.floor.touch(0) + self.floor.touch(1) - mid
        if moved:
            worth = 3 * (imbalance if moved > 0 else -imbalance)
            self.belief += _LEARN * (max(-1.0, min(1.0, worth)) - self.belief)


class Retriers:
    """Programs that quote post-only at or through the other side's best and try again until the
    book lets them."""

    def __init__(self, floor: Floor, crowd: Crowd) -> None:
        self.floor, self.crowd = floor, crowd
        preset = floor.preset
        self._waits = (
            exponential(SECOND / preset.chains_per_second) if preset.chains_per_second else ()
        )
        _, median, deviation = preset.chain_length
        self._lengths = lognormal(median * 1024, deviation)
        _, median, deviation = preset.retry
        self._gaps = lognormal(median * MS, deviation)

    def start(self) -> None:
        if self._waits:
            self.floor.later(self.floor.one_of(self._waits), self._begin)

    def _begin(self, _a: Any, _b: Any, _c: Any) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._waits), self._begin)
        length = min(400, max(1, floor.one_of(self._lengths) + 512 >> 10))
        side = floor.bits(1)
        fixed = floor.uniform() < 0.84
        size = self.crowd.fixed_size() if fixed else self.crowd.size()
        price = floor.touch(1 - side) + (-1 if side else 1) * (floor.bits(1)) * floor.tick
        self._try(side, (max(floor.tick, price), size), length)

    def _try(self, side: int, quote: tuple[int, int], left: int) -> None:
        floor = self.floor
        price, size = quote
        if self.crowd.place(side, price, size) is None and left > 1:
            if floor.bits(4) == 0:
                price = floor.touch(1 - side)
            floor.later(floor.one_of(self._gaps), self._try, side, (price, size), left - 1)
