"""An endless, seeded flow of orders into a `Matching`.

What is modelled, because recorded order flow shows it: arrivals in bursts on several time scales;
prices placed by a power law behind the touch; cancels that mostly hit young orders, often followed
by the same size again; price amendments under the same id, many at once when the price moves;
sizes that are round, repeated by a few programs, a round notional, or odd to the eighth decimal;
takers whose direction persists; some prices off the grid; a few hidden orders.

Everything is decided with ints from ``random.Random(seed)``, so a seed gives the same flow on
every machine.  Times are int nanoseconds since 1970, prices and sizes int at the market's scales.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final, NamedTuple

from ordertape.simulator.draws import Draws
from ordertape.simulator.markets import MarketShape
from ordertape.simulator.matching import ID_MASK, Fill, Matching, key_price

__all__ = ["EPOCH_NS", "Flow", "Trade"]

FIRST_ORDER_ID: Final = 210_000_000_000
FIRST_TRADE_ID: Final = 1_800_000_000
EPOCH_NS: Final = 1_793_491_200_000_000_000
"""2026-11-01T00:00:00Z.  Ids grow with the time since: a market that starts again uses new ones."""
ORDER_IDS_PER_SECOND: Final = 5_000
TRADE_IDS_PER_SECOND: Final = 500
"""More than the highest rate uses."""

ORDERS_PER_SIDE: Final = 1_000
"""Where the balance of births and cancels holds a side."""
WARM_UP_ACTIONS: Final = 3_000
"""Actions before the market opens, so that its book has the shape it keeps."""
OPERATIONS_PER_ACTION_PERCENT: Final = 164
"""Measured: one drawn action causes 1.64 operations on the book, follow-ups counted."""


class Trade(NamedTuple):
    """``taker_side`` 0: the taker bought; a taker that meets three makers is three trades."""

    trade_id: int
    time_ns: int
    taker_side: int
    price: int
    size: int


# Intensity (percent of the mean) and mean length of a regime; the next one is drawn from 16 places.
_CALM, _BUSY, _BURST = 0, 1, 2
_REGIMES: Final = (
    (48, 2_200_000_000, (_BUSY,) * 9 + (_BURST,) * 7),
    (150, 1_300_000_000, (_CALM,) * 8 + (_BURST,) * 8),
    (900, 60_000_000, (_CALM,) * 6 + (_BUSY,) * 10),
)

# Ticks behind its own side's best price: bound of the draw (of 1,024), nearest, farthest.
_DISTANCES: Final = (
    (90, 0, 0),
    (210, 1, 5),
    (360, 6, 20),
    (700, 21, 150),
    (920, 151, 500),
)
# The same for the orders of the starting book, which are those that outlived the others.
_STANDING: Final = (
    (105, 0, 20),
    (255, 21, 125),
    (510, 126, 240),
    (765, 241, 455),
    (920, 456, 900),
)
_FAR_TICKS: Final = 500
_FAR_TICKS_MAX: Final = 6_000

_REQUOTE, _AMEND, _PLACE_NEAR = 0, 1, 2


class Flow:
    """Orders of one market in time; ``run_until`` moves it on and returns the trades.

    ``rate``: operations a second in the long run.  ``start_ns``: when the market opens; its
    starting book is older.
    """

    def __init__(self, seed: int, shape: MarketShape, rate: int, start_ns: int) -> None:
        self.shape = shape
        self.matching = Matching()
        self._draws = Draws(f"{seed} {shape.symbol}")
        self._bits = self._draws.bits
        self._gap_ns = 10_000_000 * OPERATIONS_PER_ACTION_PERCENT // rate
        # Ids of a venue are shared by all its markets: steps shrink where this one is busy.
        self._id_step = max(2, 3 * ORDER_IDS_PER_SECOND // (2 * rate))
        seconds = max(0, start_ns - EPOCH_NS) // 1_000_000_000
        self._order_id = FIRST_ORDER_ID + ORDER_IDS_PER_SECOND * seconds
        self._trade_id = FIRST_TRADE_ID + TRADE_IDS_PER_SECOND * seconds
        self._recent: tuple[list[int], list[int]] = ([0] * 256, [0] * 256)
        self._recent_at = [0, 0]
        # A heap of (when, count, what, side, price or id, size or ticks).
        self._follow: list[tuple[int, int, int, int, int, int]] = []
        self._follow_count = 0
        self._side = 0
        self._taker_side = 0
        self._trades: list[Trade] = []
        self._sizes = self._program_sizes()
        self._regime = _CALM
        self._regime_end_ns = 0
        self._fill_book()
        self._now_ns = self._next_ns = 0
        for _ in range(WARM_UP_ACTIONS):
            self._step()
        # The warm-up ran in its own time: what it left to do is moved to the opening.
        shift = start_ns - self._now_ns
        self._follow = [(task[0] + shift, *task[1:]) for task in self._follow]
        self._now_ns, self._regime_end_ns = start_ns, self._regime_end_ns + shift
        self._next_ns = start_ns + self._draws.wait(self._gap_ns)
        self._trades.clear()
        self.matching.resized.clear()

    def run_until(self, time_ns: int) -> list[Trade]:
        """Everything that happens up to and at ``time_ns``; the trades of it, oldest first."""
        while min(self._next_ns, self._follow[0][0] if self._follow else self._next_ns) <= time_ns:
            self._step()
        trades, self._trades = self._trades, []
        return trades

    # Time ------------------------------------------------------------------------------------

    def _step(self) -> None:
        """The next thing that happens: a follow-up that is due, else a drawn action."""
        if self._follow and self._follow[0][0] <= self._next_ns:
            self._now_ns, _, what, side, number, size = heappop(self._follow)
            if what == _AMEND:
                self._move(number, size)
            elif what == _REQUOTE:
                self._place(side, number, size)
            else:
                self._place(side, self._near_price(side), self._size())
            return
        self._now_ns = self._next_ns
        self._act()
        self._next_ns = self._arrival(self._now_ns)

    def _arrival(self, time_ns: int) -> int:
        """The next drawn action.  A wait that outlasts its regime is drawn anew in the next one:
        exponential waits have no memory."""
        while True:
            percent, _, _ = _REGIMES[self._regime]
            at = time_ns + self._draws.wait(self._gap_ns) * 100 // percent
            if at <= self._regime_end_ns:
                return at
            time_ns = max(time_ns, self._regime_end_ns)
            self._regime = _REGIMES[self._regime][2][self._bits(4)]
            self._regime_end_ns = time_ns + self._draws.wait(_REGIMES[self._regime][1])

    def _later(self, mean_ns: int, what: int, side: int, number: int, size: int) -> None:
        self._follow_count += 1
        at = self._now_ns + self._draws.wait(mean_ns)
        heappush(self._follow, (at, self._follow_count, what, side, number, size))

    # Actions ---------------------------------------------------------------------------------

    def _act(self) -> None:
        draw = self._bits(10)
        if self._bits(4) < 7:
            self._side ^= 1
        side = self._side
        if draw < 760:
            self._turn_over(side)
        elif draw < 960:
            self._amend_somewhere(side)
        elif draw < 1000:
            self._resize_somewhere(side)
        elif draw < 1010:
            self._take_liquidity()
        elif draw < 1022:
            self._shock()
        else:
            self._hide(side)

    def _turn_over(self, side: int) -> None:
        """A birth or a cancel, so that a side stays near ORDERS_PER_SIDE."""
        if self._draws.below(3 * ORDERS_PER_SIDE) >= 2 * len(self.matching.keys[side]):
            self._place(side, self._new_price(side), self._size())
            return
        order_id = self._victim(side)
        order = self.matching.orders[order_id]
        self.matching.cancel(order_id)
        if self._bits(1):
            price = order.price
            if self._bits(4) < 7:
                price = self._clear_of_touch(side, price + self._jump() * self.shape.tick)
            gap_ns = 400_000 if self._bits(3) == 0 else 30_000_000
            self._later(gap_ns, _REQUOTE, side, price, order.size)

    def _amend_somewhere(self, side: int) -> None:
        """A step of a few ticks, a little more often toward the other side."""
        keys = self.matching.keys[side]
        if self._bits(3) < 5:
            order_id = keys[min(len(keys) - 1, self._bits(8) * self._bits(8) >> 8)] & ID_MASK
        else:
            order_id = self._victim(side)
        ticks = 1 + self._draws.geometric()
        away = self._bits(6) < 29
        self._move(order_id, -ticks if away == (side == 0) else ticks)

    def _resize_somewhere(self, side: int) -> None:
        order = self.matching.orders[self._victim(side)]
        if self._bits(2):
            size = max(1, order.size * (1 + self._draws.below(15)) >> 4)
        else:
            size = order.size + self._size()
        self.matching.amend(order.order_id, order.price, size)

    def _take_liquidity(self) -> None:
        """A market order, now and then a limit order that trades first and then rests."""
        if self._bits(4) < 4:
            self._taker_side ^= 1
        side = self._taker_side
        touch = self.matching.best(1 - side)
        if touch is None:
            return
        front = next(iter(self.matching.levels[1 - side][touch].values()))
        kind = self._bits(5)
        if kind < 9:
            size = front.size
        elif kind == 9:
            # All but a crumb: sizes below a millionth exist, and venues print them as 7e-7.
            size = max(1, front.size - 1 - self._draws.below(99))
        else:
            size = self._draws.lognormal(self.shape.program // 14, 52)
        size = min(size, 40 * self.shape.program)
        if kind < 28:
            fills = self.matching.market(side, size)
        else:
            order_id = self._new_id()
            reach = (self._draws.below(4) - 1) * self.shape.tick
            fills = self.matching.limit(order_id, side, touch + (-reach if side else reach), size)
            self._remember(side, order_id)
        self._record(side, fills)
        for _ in range(self._bits(2)):
            self._later(25_000_000, _PLACE_NEAR, 1 - side if self._bits(2) else side, 0, 0)

    def _shock(self) -> None:
        """The price other traders believe in moves: they take what is left behind and amend their
        own orders, all within some tens of milliseconds."""
        bid, ask = self.matching.best(0), self.matching.best(1)
        if bid is None or ask is None:
            return
        # The farther from where it began, the likelier back: an endless market must stay somewhere.
        middle = (bid + ask) // 2
        pull = (self.shape.start - middle) * 512 // self.shape.start
        up = self._draws.below(1024) < 512 + max(-400, min(400, 2 * pull))
        ticks = 0 if self._bits(2) == 0 else 1 + self._draws.geometric()
        side = 0 if up else 1
        moved = ticks if up else -ticks
        share = 2 + self._bits(2)
        for own, best in enumerate((bid, ask)):
            reach = ticks * self.shape.tick if own != side else 0
            for key in self.matching.keys[own][: 20 + self._draws.below(60)]:
                overrun = abs(key_price(key) - best) < reach
                if self._bits(4) < (13 if overrun else share):
                    self._later(22_000_000, _AMEND, own, key & ID_MASK, moved or self._jump())
        if ticks and self._bits(1):
            reach = (ticks - 1) * self.shape.tick
            limit = ask + reach if up else bid - reach
            fills = self.matching.market(side, self._size() * (2 + self._bits(3)), limit)
            self._record(side, fills)
        if self._bits(2):
            self._later(15_000_000, _PLACE_NEAR, side, 0, 0)

    def _hide(self, side: int) -> None:
        """A hidden order at the touch or just inside, seldom and never many."""
        hidden = self.matching.hidden[side]
        if len(hidden) > 6:
            self.matching.cancel(hidden[self._draws.below(len(hidden))] & ID_MASK)
            return
        price = self._near_price(side)
        self._record(side, self.matching.limit(self._new_id(), side, price, self._size(), True))

    # The book --------------------------------------------------------------------------------

    def _place(self, side: int, price: int, size: int) -> None:
        order_id = self._new_id()
        price = self._clear_of_touch(side, price)
        self._record(side, self.matching.limit(order_id, side, price, size))
        self._remember(side, order_id)

    def _move(self, order_id: int, ticks: int) -> None:
        """A price amendment; seldom with another size."""
        order = self.matching.orders.get(order_id)
        if order is None or order.hidden:
            return
        price = self._clear_of_touch(order.side, order.price + ticks * self.shape.tick)
        size = order.size
        if self._bits(3) == 0:
            size = self._size()
        if price != order.price or size != order.size:
            self._record(order.side, self.matching.amend(order_id, price, size))

    def _record(self, taker_side: int, fills: list[Fill]) -> None:
        for fill in fills:
            self._trade_id += 1 + self._bits(2)
            self._trades.append(
                Trade(self._trade_id, self._now_ns, taker_side, fill.price, fill.size)
            )

    def _remember(self, side: int, order_id: int) -> None:
        at = self._recent_at[side] = (self._recent_at[side] + 1) & 255
        self._recent[side][at] = order_id

    def _victim(self, side: int) -> int:
        """A resting order: mostly a young one, else one near the touch, else any."""
        orders = self.matching.orders
        if self._bits(4) < 13:
            ring, at = self._recent[side], self._recent_at[side]
            for _ in range(4):
                order_id = ring[(at - (self._bits(8) * self._bits(8) >> 8)) & 255]
                order = orders.get(order_id)
                if order is not None and order.side == side and not order.hidden:
                    return order_id
        keys = self.matching.keys[side]
        reach = len(keys) if self._bits(1) else min(len(keys), 200)
        return keys[self._draws.below(reach)] & ID_MASK

    def _fill_book(self) -> None:
        """The book before the warm-up: orders that came one after another, long ago."""
        shape, step = self.shape, max(1, self._id_step)
        self._order_id -= 2 * ORDERS_PER_SIDE * 40 * step
        for side in (0, 1):
            price = shape.start + side * shape.tick
            self.matching.limit(self._new_id(), side, price, shape.program)
        for count in range(2 * ORDERS_PER_SIDE):
            self._order_id += self._draws.below(80 * step)
            side = count & 1
            self._place(side, self._price_by(_STANDING, side, shape.start), self._size())

    # Draws -----------------------------------------------------------------------------------

    def _jump(self) -> int:
        ticks = 1 + self._draws.geometric()
        return ticks if self._bits(1) else -ticks

    def _new_id(self) -> int:
        """Programs place ladders at once (steps of 1); other markets' orders lie between."""
        wide = self._bits(2)
        self._order_id += 1 if wide == 0 else 1 + self._draws.below(self._id_step * wide)
        return self._order_id

    def _new_price(self, side: int) -> int:
        """By the table of distances; beyond it a tail whose density falls with the square."""
        best, other = self.matching.best(side), self.matching.best(1 - side)
        tick = self.shape.tick
        if best is None:
            best = self.shape.start if other is None else other + (tick if side else -tick)
        elif other is not None and abs(other - best) > tick and self._bits(2) == 0:
            return self._near_price(side)
        return self._price_by(_DISTANCES, side, best)

    def _price_by(self, distances: tuple[tuple[int, int, int], ...], side: int, best: int) -> int:
        """A price behind ``best`` by a table of distances, every eighth off the grid."""
        tick = self.shape.tick
        draw = self._bits(10)
        for bound, nearest, farthest in distances:
            if draw < bound:
                ticks = nearest + self._draws.below(farthest - nearest + 1)
                break
        else:
            ticks = min(_FAR_TICKS_MAX, (_FAR_TICKS << 16) // (1 + self._bits(16)))
        price = best + (ticks if side else -ticks) * tick
        price -= price % tick
        if self._bits(3) == 0:
            price += self._draws.below(tick)
        return price

    def _near_price(self, side: int) -> int:
        """One tick better than the best, where the spread has room."""
        best = self.matching.best(side)
        if best is None:
            return self.shape.start
        price = best + (-self.shape.tick if side else self.shape.tick)
        return price - price % self.shape.tick

    def _clear_of_touch(self, side: int, price: int) -> int:
        """Post-only: a price that would trade becomes the nearest grid price that does not."""
        tick = self.shape.tick
        other = self.matching.best(1 - side)
        if other is not None:
            if side == 0 and price >= other:
                price = (other - 1) // tick * tick
            elif side == 1 and price <= other:
                price = (other // tick + 1) * tick
        return max(tick, price)

    def _program_sizes(self) -> tuple[int, ...]:
        """Sizes of five programs; how often each stands here is how often it is drawn (of 16)."""
        base = self.shape.program
        shares = ((base, 6), (base // 2, 4), (base * 5 // 4, 3), (base // 24, 2), (base * 4, 1))
        return tuple(size for size, weight in shares for _ in range(weight))

    def _size(self) -> int:
        kind = self._bits(4)
        if kind < 6:
            size = self._sizes[self._bits(4)]
            return size + self._draws.below(64) * 100 if kind == 0 else size
        if kind < 9:
            notional = (20_000, 100_000, 400_000, 1_000_000)[self._bits(2)]
            bid = self.matching.best(0) or self.shape.start
            return max(1, self.shape.program * notional // 100_000 * self.shape.start // bid)
        if kind < 11:
            unit: int = 10 ** (len(str(self.shape.program)) - 1)
            return (1 + self._bits(3)) * (unit if self._bits(1) else unit // 10)
        return self._draws.lognormal(self.shape.program * 2 // 3, 28)
