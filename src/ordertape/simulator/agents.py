"""The traders of a simulated market: they see its book and act on its `Matcher`."""

from __future__ import annotations

from typing import Any, Final

from ordertape.simulator.agents_crowd import Crowd
from ordertape.simulator.agents_floor import MS, SECOND, Floor
from ordertape.simulator.agents_layer import Layer
from ordertape.simulator.agents_makers import Makers
from ordertape.simulator.agents_oddities import Oddities
from ordertape.simulator.agents_takers import Retriers, Takers
from ordertape.simulator.markets import MarketShape
from ordertape.simulator.matcher import Matcher
from ordertape.simulator.presets import PRESETS

__all__ = ["Agents"]

COME_BACK_S: Final = 10
"""Of the traders' own time, within which they place again after a restart."""
WARM_UP_S: Final = 60
"""Of the traders' own time, before the market opens."""


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
        preset: str,
        first_order_id: int,
        live_orders: int | None,
        rejects_published: bool | None,
    ) -> None:
        self.preset = PRESETS[preset]
        self.matching = matching
        published = (
            self.preset.rejects_published if rejects_published is None else rejects_published
        )
        matching.rejects_published = published
        self.floor = Floor(
            *(shape, self.preset, matching, f"{seed} {shape.symbol} traders"),
            *(first_order_id, start_ns, rate),
        )
        live = self.preset.live_orders if live_orders is None else live_orders
        self.crowd = Crowd(self.floor)
        self.makers = Makers(self.floor, self.crowd)
        self.takers = Takers(self.floor, self.crowd)
        self.retriers = Retriers(self.floor, self.crowd)
        self.layer = Layer(self.floor, self.crowd, max(40, live - self.preset.active_orders))
        self.oddities = Oddities(self.floor, self.crowd)
        for member in (
            *(self.layer, self.crowd, self.makers, self.takers),
            *(self.retriers, self.oddities),
        ):
            member.start()
        self._watch(0, 0, 0)
        matching.time_ns = start_ns
        self._warm_up()

    @property
    def due_ns(self) -> int:
        return self.floor.due_ns

    def run(self, until_ns: int) -> None:
        """Everything due up to and at ``until_ns``."""
        self.floor.run(until_ns)

    def come_back(self) -> None:
        """After a restart of the venue."""
        self.layer.come_back(COME_BACK_S * SECOND)

    def _watch(self, _a: Any, _b: Any, _c: Any) -> None:
        self.floor.later(self.preset.watch_ms * MS, self._watch)
        self.makers.watch()

    def _warm_up(self) -> None:
        floor = self.floor
        floor.run(floor.market_ns(WARM_UP_S * SECOND))
        floor.restart_clock()
