"""The patient: orders that rest far and near for long, which no repricing moves."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_crowd import Crowd
from ordertape.simulator.agents_floor import MS, PATIENT, Floor

__all__ = ["Layer"]

_ROUND: Final = 100 * MS
_ROUNDS_FOR_ALL: Final = 100
"""Every order is looked at once in so many rounds of 100 ms."""
_USUAL: Final = 6_000
"""Orders of a layer as large as the real one: larger ones reach farther."""


class Layer:
    """Keeps ``count`` orders in the book."""

    def __init__(self, floor: Floor, crowd: Crowd, count: int) -> None:
        self.floor, self.crowd = floor, crowd
        self._count = count
        self._ids: list[int] = []
        self._next = 0
        self._churn = floor.preset.patient_churn * min(1.0, _USUAL / count)
        self._nearest, farthest = floor.preset.patient_ticks
        self._range = farthest * max(1, count // _USUAL) - self._nearest

    def start(self) -> None:
        """All of them at once."""
        while len(self._ids) < self._count:
            self._ids.append(self._place())
        self.floor.later(_ROUND, self._look)

    def _look(self, _a: Any, _b: Any, _c: Any) -> None:
        floor, ids = self.floor, self._ids
        floor.later(_ROUND, self._look)
        # All of them in so many rounds, one after the other.
        end = self._next + max(1, self._count // _ROUNDS_FOR_ALL)
        for at in range(self._next, min(end, self._count)):
            if ids[at] not in floor.matching.orders:
                ids[at] = self._place()
            elif floor.uniform() < self._churn:
                floor.matching.cancel(ids[at])
                ids[at] = self._place()
        self._next = 0 if end >= self._count else end

    def come_back(self, within: int) -> None:
        """After a restart of the venue: everybody places again within so many ns."""
        for at in range(self._count):
            self.floor.later(self.floor.draws.below(within), self._again, at)

    def _again(self, at: int, _b: Any, _c: Any) -> None:
        if self._ids[at] not in self.floor.matching.orders:
            self._ids[at] = self._place()

    def _place(self) -> int:
        floor = self.floor
        side = floor.bits(1)
        # More near than far: the product of two draws.
        share = floor.uniform() * floor.uniform() if floor.bits(1) else floor.uniform()
        ticks = self._nearest + int(share * self._range)
        price = floor.touch(side) + (ticks if side else -ticks) * floor.tick
        order_id = floor.new_id()
        price = floor.clear(side, max(floor.tick, price))
        floor.matching.post_only(order_id, side, price, self.crowd.size(), PATIENT)
        return order_id
