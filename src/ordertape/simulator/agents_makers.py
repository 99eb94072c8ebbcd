"""Market makers: now and then they believe in another price and re-quote within milliseconds."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_crowd import Crowd
from ordertape.simulator.agents_floor import EPISODE_OWNER, MS, PATIENT, SECOND, Floor
from ordertape.simulator.draws import exponential, lognormal
from ordertape.simulator.queues import Order

__all__ = ["Makers"]

_PULL: Final = 80.0
"""How strongly the price is drawn back to where the market began: an endless market must stay
somewhere.  At one part in this of the start price the direction is certain."""
_LEAN: Final = 0.4
"""How much likelier the price rises where all that is seen is bid."""


class Makers:
    """Repricing shocks, which come in clusters; where the price moves, it mostly moves to where
    less stands in its way."""

    def __init__(self, floor: Floor, crowd: Crowd) -> None:
        self.floor, self.crowd = floor, crowd
        preset = self.preset = floor.preset
        self._shocks = exponential(SECOND / preset.shocks_per_second)
        self._shares = lognormal(preset.shock_share * 1_000_000, preset.shock_share_deviation)
        self._steps = exponential(preset.shock_step * 1024)
        self._reactions = floor.mixture((preset.reaction,), MS)
        self._gaps = floor.mixture((preset.shock_gap,), MS)
        self._spacing = exponential(preset.shock_spacing * MS)
        self._plans: dict[int, tuple[int, int]] = {}
        self._settled_ns = floor.market_ns(preset.settled_ms * MS) - floor.start_ns
        self._went_up = True
        self.moves = [0, 0]
        """Down and up, so far."""
        self._last_mid = 0

    def start(self) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._shocks), self._immigrant)

    def _immigrant(self, _a: Any, _b: Any, _c: Any) -> None:
        floor = self.floor
        floor.later(floor.one_of(self._shocks), self._immigrant)
        self._shock(0, 0, 0)

    def _shock(self, _a: Any, _b: Any, _c: Any) -> None:
        floor, preset = self.floor, self.preset
        mean, delay_ms = preset.shock_children
        for _ in range(floor.few(mean)):
            floor.later(floor.wait(delay_ms), self._shock)
        ticks = 0
        if floor.uniform() >= preset.shock_still:
            ticks = 1 + (floor.one_of(self._steps) >> 10)
            if not self._goes_up():
                ticks = -ticks
        share = min(0.95, floor.one_of(self._shares) / 1_000_000)
        self._plans.clear()
        matching, tick = floor.matching, floor.tick
        settled_ns = matching.time_ns - self._settled_ns
        for side in (0, 1):
            best = matching.best(side)
            if best is None:
                continue
            # A price that rises overruns the asks that stood below the new one.
            overrun = max(0, ticks if side else -ticks) * tick
            reach = preset.reach * tick
            for key in reversed(matching.price_keys(side)[-2 * preset.reach :]):
                distance = abs(abs(key) - best)
                if distance > reach:
                    break
                left_behind = distance < overrun
                first = distance == 0 and preset.first_stays
                for order in matching.levels[side][abs(key)].values():
                    if order.owner >= EPISODE_OWNER:
                        continue
                    if first and not left_behind:
                        first = False  # who is next to trade keeps the place
                        continue
                    chance = share if order.born_ns > settled_ns else share * preset.settled_share
                    if left_behind or (order.owner != PATIENT and floor.uniform() < chance):
                        self._plan(order, ticks)
        if ticks and floor.uniform() < preset.lead:
            side = 0 if ticks > 0 else 1
            floor.later(floor.mixed(self._reactions), self._lead, side, ticks)

    def _plan(self, order: Order, ticks: int) -> None:
        """When an order is renewed: on its own, or with the others of its owner, one after the
        other."""
        floor, preset = self.floor, self.preset
        if floor.uniform() >= preset.shock_together:
            delay, gap = floor.mixed(self._reactions), floor.mixed(self._gaps)
        else:
            known = self._plans.get(order.owner)
            if known is None:
                delay, gap = floor.mixed(self._reactions), floor.mixed(self._gaps)
            else:
                delay, gap = known[0] + floor.one_of(self._spacing), known[1]
            self._plans[order.owner] = delay, gap
        floor.later(delay, self._react, order.order_id, ticks, gap)

    def _goes_up(self) -> bool:
        """By the imbalance that is seen, and less likely away from where the market began."""
        floor = self.floor
        start = floor.shape.start
        pull = (start - floor.touch(0)) / start * _PULL
        lean = 0.5 + _LEAN * floor.imbalance() + max(-0.4, min(0.4, pull))
        lean += self.preset.trend if self._went_up else -self.preset.trend
        self._went_up = floor.uniform() < lean
        self.moves[self._went_up] += 1
        return self._went_up

    def _react(self, order_id: int, ticks: int, gap: int) -> None:
        floor = self.floor
        order: Order | None = floor.matching.orders.get(order_id)
        if order is None:
            return
        if floor.uniform() < self.preset.shock_requote:
            self.crowd.renew(order, ticks, gap)
        else:
            floor.matching.cancel(order_id)

    def _lead(self, side: int, ticks: int, _c: Any) -> None:
        """The first to follow the price quotes into the gap it left."""
        floor = self.floor
        price = floor.touch(side) + ticks * floor.tick
        self.crowd.place(side, floor.clear(side, price), self.crowd.size())

    # The touch -------------------------------------------------------------------------------

    def watch(self) -> None:
        """Quotes where the mid has moved since the last look."""
        floor = self.floor
        bid, ask = floor.matching.best(0), floor.matching.best(1)
        if bid is None or ask is None:
            return
        moved = bid + ask - self._last_mid
        if moved and self._last_mid:
            for _ in range(floor.few(self.preset.births_per_move)):
                side = 0 if (moved > 0) == (floor.bits(2) > 0) else 1
                floor.later(floor.wait(self.preset.children[0][1]), self.crowd.birth, side)
        self._last_mid = bid + ask
