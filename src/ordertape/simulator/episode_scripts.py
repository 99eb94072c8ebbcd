"""What the traders of labelled episodes do, step by step.

A script is a generator: it acts through its `Desk` and yields how many ns of market time it waits.
Sizes are in percent of the market's program size, times in ms, distances in ticks; side 0 is the
side of the orders that are shown (a spoofer who wants to sell shows bids: side 0).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from ordertape.simulator.agents_floor import EPISODE_OWNER, MS, Floor
from ordertape.simulator.draws import lognormal

__all__ = ["HARD_NEGATIVES", "SCRIPTS", "Desk"]

_COUNTERPARTY: Final = EPISODE_OWNER
"""Owner of the orders that meet an episode's and are not part of it."""
_LOOKS: Final = 200
"""How often a spoofer looks whether its true order was met."""


class Desk:
    """One trader's hands: places, takes and cancels, and keeps the ids for the label."""

    def __init__(self, floor: Floor, owner: int, order_ids: list[int]) -> None:
        self.floor, self.matching = floor, floor.matching
        self._owner, self._ids = owner, order_ids
        self._unit = floor.shape.program

    def size(self, percent: int) -> int:
        return max(1, self._unit * percent // 100)

    def behind(self, side: int, ticks: int) -> int:
        """The price so many ticks behind the touch of a side; it trades with nobody."""
        price = self.floor.touch(side) + (ticks if side else -ticks) * self.floor.tick
        return self.floor.clear(side, price)

    def place(self, side: int, price: int, size: int, peaks: tuple[int, ...] = ()) -> int:
        """A limit order; its id."""
        order_id = self._new_id()
        self.matching.limit(order_id, side, price, size, self._owner, peaks=peaks)
        return order_id

    def take(self, side: int, size: int) -> int:
        """A market order; its id."""
        order_id = self._new_id()
        self.matching.market(order_id, side, size, self._owner)
        return order_id

    def cancel(self, *order_ids: int) -> None:
        for order_id in order_ids:
            self.matching.cancel(order_id)

    def rests(self, order_id: int) -> bool:
        return order_id in self.matching.orders

    def met(self, order_id: int, size: int) -> None:
        """Somebody else trades with an order of ours, and with who stands before it."""
        order = self.matching.orders.get(order_id)
        if order is not None:
            self.matching.ioc(self.floor.new_id(), 1 - order.side, order.price, size, _COUNTERPARTY)

    def ahead(self, order_id: int) -> int:
        """The size that trades before an order, at better prices and in its queue."""
        order, sum_ = self.matching.orders.get(order_id), 0
        if order is None:
            return 0
        for other in self.matching.rows(order.side):
            if other is order:
                break
            sum_ += other.size
        return sum_

    def wait(self, median_ms: float, deviation: float) -> int:
        """Lognormal, ns."""
        return self.floor.one_of(lognormal(median_ms * MS, deviation))

    def _new_id(self) -> int:
        order_id = self.floor.new_id()
        self._ids.append(order_id)
        return order_id


def spoofing(
    desk: Desk,
    side: int,
    size: int = 3_000,
    distance: int = 3,
    life: int = 2_000,
    fill: int = 1,
    after: int = 0,
) -> Generator[int]:
    """A large order that is not meant to trade; a small true one on the other side while it stands
    (``fill`` 0: none); canceled after ``life``, ``after`` that trade (0: a quarter of ``life``),
    sooner where somebody met the true one by chance."""
    rest = min(after, life // 2) * MS or life * MS // 4
    shown = desk.place(side, desk.behind(side, distance), desk.size(size))
    yield life * MS // 2
    true_one = desk.place(1 - side, desk.behind(1 - side, 0), desk.size(100))
    waiting = life * MS // 2 - rest
    if after:
        for _ in range(_LOOKS):
            if desk.rests(true_one):
                yield waiting // _LOOKS
    else:
        yield waiting
    if fill:
        for _ in range(5):  # hidden orders and reserves may stand before it, too
            desk.met(true_one, desk.ahead(true_one) + desk.size(100))
        yield rest
    desk.cancel(shown, true_one)


def layering(
    desk: Desk,
    side: int,
    layers: int = 5,
    size: int = 1_200,
    distance: int = 1,
    life: int = 3_000,
    fill: int = 1,
    step: int = 1,
    gap: int = 30,
    after: int = 0,
) -> Generator[int]:
    """Several large orders on levels ``step`` ticks apart, about ``gap`` one after the other, one
    small trade on the other side, and ``after`` it (0: half of ``life``) all the layers canceled
    together."""
    rest = min(after, life) * MS or life * MS // 2
    shown = []
    for layer in range(layers):
        ticks = distance + layer * step
        shown.append(desk.place(side, desk.behind(side, ticks), desk.size(size)))
        yield desk.wait(gap, 0.5)
    yield life * MS - rest
    if fill:
        desk.take(1 - side, desk.size(50))
    yield rest
    for order_id in shown:
        desk.cancel(order_id)
        yield desk.wait(4, 0.5)


def quote_stuffing(
    desk: Desk, side: int, rate: int = 2_000, seconds: int = 2, distance: int = 5
) -> Generator[int]:
    """Orders placed and canceled at ``rate`` a second, of one size on few prices."""
    gap_ns, waiting = 1_000 * MS // rate, []
    for count in range(rate * seconds // 2):
        waiting.append(desk.place(side, desk.behind(side, distance + count % 3), desk.size(100)))
        yield gap_ns
        if len(waiting) > 4:
            desk.cancel(waiting.pop(0))
            yield gap_ns
    desk.cancel(*waiting)


def native_iceberg(
    desk: Desk, side: int, peaks: int = 6, size: int = 100, vary: int = 0, life: int = 10_000
) -> Generator[int]:
    """An iceberg of the venue at the touch and others who trade with it until it is gone or
    ``life`` is over; ``vary``: how many percent its peaks differ."""
    sizes = []
    for _ in range(peaks):
        percent = size + (desk.floor.draws.below(2 * vary + 1) - vary) * size // 100
        sizes.append(desk.size(percent))
    order_id = desk.place(side, desk.behind(side, 0), sum(sizes), tuple(sizes))
    step = life * MS // (3 * peaks)
    for _ in range(3 * peaks):
        yield desk.wait(step / MS, 0.3)
        if not desk.rests(order_id):
            return
        desk.met(order_id, desk.ahead(order_id) + desk.size(size) * 2 // 3)
    desk.cancel(order_id)


def synthetic_iceberg(
    desk: Desk,
    side: int,
    tranches: int = 6,
    size: int = 100,
    delay: int = 60,
    vary: int = 0,
    stay: int = 0,
    pace: int = 400,
) -> Generator[int]:
    """A trader who shows one equal piece after the other: the next comes some ``delay`` after the
    last was filled, at the same price as long as that is the touch, or no more than ``stay`` ticks
    from it; ``vary``: how many percent the pieces differ; ``pace``: about when one is met."""
    price = desk.behind(side, 0)
    for _ in range(tranches):
        percent = size
        if vary:
            percent += (desk.floor.draws.below(2 * vary + 1) - vary) * size // 100
        if abs(desk.behind(side, 0) - price) > stay * desk.floor.tick:
            price = desk.behind(side, 0)
        price = desk.floor.clear(side, price)
        order_id = desk.place(side, price, desk.size(percent))
        yield desk.wait(pace, 0.5)
        if desk.rests(order_id):
            desk.met(order_id, desk.ahead(order_id) + desk.size(percent))
        desk.cancel(order_id)  # where somebody came between
        yield desk.wait(delay, 0.4)


def momentum_ignition(
    desk: Desk, side: int, steps: int = 8, size: int = 400, pause: int = 1_500
) -> Generator[int]:
    """Trades aggressively one way (side 0: buys) within a second or two, and sells what it bought
    into those who follow."""
    passive = desk.place(1 - side, desk.behind(1 - side, 8), desk.size(size * steps // 2))
    for _ in range(steps):
        desk.take(side, desk.size(size))
        yield desk.wait(120, 0.5)
    yield pause * MS
    for _ in range(steps // 2):
        desk.take(1 - side, desk.size(size))
        yield desk.wait(60, 0.5)
    desk.cancel(passive)


def cancel_all(
    desk: Desk, side: int, orders: int = 12, size: int = 300, life: int = 5_000
) -> Generator[int]:
    """An honest maker with orders on both sides loses its connection, and the venue cancels all."""
    shown = []
    for count in range(orders):
        own = side if count % 2 else 1 - side
        shown.append(desk.place(own, desk.behind(own, count // 2), desk.size(size)))
        yield desk.wait(20, 0.5)
    yield life * MS
    desk.cancel(*shown)


def requotes(
    desk: Desk, side: int, orders: int = 6, size: int = 300, rounds: int = 5, life: int = 1_000
) -> Generator[int]:
    """An honest maker's ladder that follows the touch: all of it is canceled and quoted anew."""
    for _ in range(rounds):
        shown = [
            desk.place(side, desk.behind(side, count), desk.size(size)) for count in range(orders)
        ]
        yield desk.wait(life, 0.4)
        desk.cancel(*shown)
        yield desk.wait(3, 0.5)


def twap(
    desk: Desk, side: int, slices: int = 8, size: int = 100, every: int = 1_000, vary: int = 0
) -> Generator[int]:
    """Equal slices at equal times, each at the touch until it is filled or its time is over: what
    a synthetic iceberg is not.  ``vary`` 1: one is met at any time of its turn, not half way."""
    for _ in range(slices):
        order_id = desk.place(side, desk.behind(side, 0), desk.size(size))
        met_ns = desk.floor.draws.below(every) * MS if vary else every * MS // 2
        yield met_ns
        if desk.floor.bits(1) and desk.rests(order_id):
            desk.met(order_id, desk.ahead(order_id) + desk.size(size))
        yield every * MS - met_ns
        desk.cancel(order_id)


def large_order(
    desk: Desk, side: int, size: int = 3_000, distance: int = 3, life: int = 20_000
) -> Generator[int]:
    """An honest large order, withdrawn after long or when the touch has left it behind."""
    order_id = desk.place(side, desk.behind(side, distance), desk.size(size))
    price = desk.behind(side, distance)
    for _ in range(20):
        yield life * MS // 20
        away = abs(desk.floor.touch(side) - price) // desk.floor.tick
        if away > distance + 10 or not desk.rests(order_id):
            break
    desk.cancel(order_id)


HARD_NEGATIVES: Final = frozenset(("cancel_all", "requotes", "twap", "large_order"))

SCRIPTS: Final[dict[str, Callable[..., Generator[int]]]] = {
    script.__name__: script
    for script in (
        *(spoofing, layering, quote_stuffing, native_iceberg, synthetic_iceberg),
        *(momentum_ignition, cancel_all, requotes, twap, large_order),
    )
}
