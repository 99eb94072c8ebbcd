"""What happens seldom on a real venue and must be met nevertheless: icebergs, hidden orders, sizes
amended, prices amended through the other side, owners who would trade with themselves."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_crowd import Crowd
from ordertape.simulator.agents_floor import EPISODE_OWNER, SECOND, Floor
from ordertape.simulator.draws import exponential
from ordertape.simulator.queues import Order

__all__ = ["Oddities"]

_HIDDEN_MAX: Final = 6
_ICEBERG_LIFE_MS: Final = 20_000.0


class Oddities:
    """One of them at a time, ``oddities_per_second`` of the preset."""

    def __init__(self, floor: Floor, crowd: Crowd) -> None:
        self.floor, self.crowd = floor, crowd
        rate = floor.preset.oddities_per_second
        self._waits = exponential(SECOND / rate) if rate else ()
        self._acts = (
            *(self._iceberg, self._iceberg, self._hide, self._resize),
            *(self._resize, self._resize, self._amend_through, self._trade_with_itself),
        )

    def start(self) -> None:
        if self._waits:
            self.floor.later(self.floor.one_of(self._waits), self._act)

    def _act(self, _a: Any, _b: Any, _c: Any) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._waits), self._act)
        self._acts[floor.bits(3)](floor.bits(1))

    def _near(self, side: int) -> Order | None:
        """A shown order at the best price, or near it; nobody acts for an episode's trader."""
        matching = self.floor.matching
        keys = matching.price_keys(side)
        if not keys:
            return None
        place = min(len(keys), 1 + self.floor.bits(2))
        order = next(iter(matching.levels[side][abs(keys[-place])].values()))
        return order if order.owner < EPISODE_OWNER else None

    def _iceberg(self, side: int) -> None:
        floor = self.floor
        peak = self.crowd.fixed_size()
        order_id, price = floor.new_id(), floor.clear(side, floor.touch(side))
        peaks = [peak] * (3 + floor.bits(2))
        floor.matching.limit(order_id, side, price, sum(peaks), 40 + floor.bits(3), peaks=peaks)
        floor.later(floor.wait(_ICEBERG_LIFE_MS), self._melt, order_id)

    def _melt(self, order_id: int, _b: Any, _c: Any) -> None:
        self.floor.matching.cancel(order_id)

    def _hide(self, side: int) -> None:
        floor = self.floor
        hidden = [
            order for level in floor.matching.hidden[side].values() for order in level.values()
        ]
        if len(hidden) >= _HIDDEN_MAX:
            floor.matching.cancel(hidden[0].order_id)
        size, price = self.crowd.size(), floor.clear(side, floor.touch(side))
        floor.matching.limit(floor.new_id(), side, price, size, hidden=True)

    def _resize(self, side: int) -> None:
        order = self._near(side)
        if order is not None:
            size = order.size // 2 if self.floor.bits(2) else order.size + self.crowd.size()
            self.floor.matching.amend(order.order_id, order.price, max(1, size))

    def _amend_through(self, side: int) -> None:
        order, other = self._near(side), self._near(1 - side)
        if order is not None and other is not None:
            best = self.floor.touch(1 - side)
            size = order.size if self.floor.bits(1) else 2 * other.size
            self.floor.matching.amend(order.order_id, best, size)

    def _trade_with_itself(self, side: int) -> None:
        floor = self.floor
        maker = floor.matching.front(1 - side, None)
        if maker is None or not 0 < maker.owner < EPISODE_OWNER or maker.hidden:
            return
        size = maker.size // 2 if floor.bits(1) else maker.size * 2
        floor.matching.ioc(floor.new_id(), side, maker.price, max(1, size), maker.owner)
