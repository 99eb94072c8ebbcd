"""The traders of a simulated market: they see its book and act on its `Matcher`."""

from __future__ import annotations

from ordertape.simulator.draws import Draws
from ordertape.simulator.markets import MarketShape
from ordertape.simulator.matcher import Matcher

__all__ = ["Agents"]

EVENTS_PER_ACTION_PERCENT = 110


class Agents:
    """Everybody who trades in one market; ``run`` lets them act up to a time."""

    def __init__(
        self,
        shape: MarketShape,
        seed: int,
        rate: int,
        start_ns: int,
        matching: Matcher,
        *,
        first_order_id: int,
        live_orders: int | None,
        rejects_published: bool | None,
    ) -> None:
        self.shape, self.matching = shape, matching
        self._draws = Draws(f"{seed} {shape.symbol} agents")
        self._order_id = first_order_id
        self._live = live_orders or 2_000
        self._gap_ns = 10_000_000 * EVENTS_PER_ACTION_PERCENT // rate
        self._ids: list[int] = []
        matching.rejects_published = bool(rejects_published)
        matching.time_ns = start_ns
        for _ in range(self._live):
            self._place()
        self.due_ns = start_ns + self._draws.wait(self._gap_ns)

    def run(self, until_ns: int) -> None:
        """Everything due up to and at ``until_ns``."""
        while self.due_ns <= until_ns:
            self.matching.time_ns = self.due_ns
            self._act()
            self.due_ns += self._draws.wait(self._gap_ns)

    def _act(self) -> None:
        draw = self._draws.bits(6)
        if draw == 0:
            size = self._draws.lognormal(self.shape.program // 4, 20)
            self.matching.market(self._new_id(), self._draws.bits(1), size, 1)
        elif draw < 8:
            order = self.matching.orders.get(self._victim())
            if order is not None:
                ticks = self._draws.geometric() - 1
                size = order.size if draw < 6 else self._draws.lognormal(self.shape.program, 12)
                price = order.price + (ticks if order.side else -ticks) * self.shape.tick
                self.matching.amend(order.order_id, max(self.shape.tick, price), size)
        elif self._draws.below(2 * self._live) >= len(self._ids):
            self._place()
        else:
            self.matching.cancel(self._victim())

    def _victim(self) -> int:
        """An id that rested once; it is forgotten if it does no more."""
        while self._ids:
            at = self._draws.below(len(self._ids))
            order_id = self._ids[at]
            if order_id in self.matching.orders:
                return order_id
            self._ids[at] = self._ids[-1]
            self._ids.pop()
        return 0

    def _place(self) -> None:
        side = self._draws.bits(1)
        tick, best = self.shape.tick, self.matching.best(side)
        if best is None:
            best = self.shape.start + (tick if side else 0)
        ticks = self._draws.lognormal(8, 8) - 3
        price = max(tick, best + (ticks if side else -ticks) * tick)
        size, order_id = self._draws.lognormal(self.shape.program, 12), self._new_id()
        kind = self._draws.bits(5)
        if kind == 0:
            peak = max(1, size // 5)
            peaks = [peak] * (size // peak) + ([size % peak] if size % peak else [])
            self.matching.limit(order_id, side, price, size, 2, peaks=peaks)
        elif kind == 1:
            self.matching.limit(order_id, side, price, size, 3, hidden=True)
        elif kind < 8:
            self.matching.limit(order_id, side, price, size, kind)
        else:
            self.matching.post_only(order_id, side, price, size, kind)
        self._ids.append(order_id)

    def _new_id(self) -> int:
        self._order_id += 1 + self._draws.below(8)
        return self._order_id
