"""What happens on a tape, event by event, as the order-flow statistics want it.

The definitions are those under which the bands of `ordertape.simulator.statistics_gates` were
measured: an order that crosses the opposite best is held out of the book until it no longer
crosses, one that ends while held out is half of a crossing pair and counts as nothing else; an
aggressor's fills are one trade; a price amendment ends a life and begins another.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np

from ordertape._engine import EventBatch
from ordertape.events import EventKind, Flag, Reason
from ordertape.simulator.queues import Order, Queues

__all__ = ["ADD", "AMEND", "CANCEL", "TRADE", "Observation", "observe"]

ADD, CANCEL, AMEND, TRADE = range(4)
"""Types of visible events."""

_SECOND: Final = 1_000_000_000
_SEEN: Final = 100
"""Adds of the same side among which an equal size is looked for."""

_OPEN, _CHANGE, _MATCH, _DONE, _CLEAR = (
    int(kind)
    for kind in (
        EventKind.OPEN,
        EventKind.CHANGE,
        EventKind.MATCH,
        EventKind.DONE,
        EventKind.CLEAR,
    )
)
_SNAPSHOT: Final = int(Flag.SNAPSHOT)
_CANCELED, _AS_TAKER = int(Reason.CANCELED), int(Reason.TRADED_AS_TAKER)


@dataclass
class Observation:
    """Plain lists, one entry an event of the named type unless said otherwise; times ns, prices
    and distances ticks, sizes at the tape's scale."""

    time_ns: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    side: list[int] = field(default_factory=list)
    """The three of every visible event: ADD, CANCEL, AMEND, TRADE (its side: the taker's)."""
    crossing_adds: int = 0
    size_cuts: int = 0
    replaced: int = 0
    add_time: list[int] = field(default_factory=list)
    add_side: list[int] = field(default_factory=list)
    add_size: list[int] = field(default_factory=list)
    add_distance: list[int] = field(default_factory=list)
    """Behind the same side's best; negative: inside the spread."""
    add_bps: list[float] = field(default_factory=list)
    add_seen: list[bool] = field(default_factory=list)
    requote_ns: list[int] = field(default_factory=list)
    """Since an equal size was canceled on the same side, -1: never."""
    requote_ticks: list[int] = field(default_factory=list)
    canceled_life: list[int] = field(default_factory=list)
    filled_life: list[int] = field(default_factory=list)
    canceled: int = 0
    ended: int = 0
    ended_with_fill: int = 0
    cancel_distance: list[int] = field(default_factory=list)
    cancel_rank: list[float] = field(default_factory=list)
    """0 the front of its queue, 1 its back; only where at least two stood."""
    fills: int = 0
    spread_ns: Counter[int] = field(default_factory=Counter)
    """How long each spread lasted."""
    second_mid: list[float] = field(default_factory=list)
    second_orders: list[int] = field(default_factory=list)
    second_touch: list[int] = field(default_factory=list)
    """Orders at the best price, both sides."""
    second_depth: list[tuple[int, ...]] = field(default_factory=list)
    """Sizes of the first ten levels of a side."""
    first_ns: int = 0
    last_ns: int = 0


def observe(
    batches: Iterable[EventBatch], tick: Decimal, *, skip_ns: int = 0, joined: bool = False
) -> Observation:
    """``tick``: the step of the prices that are quoted.  ``skip_ns``: this much at the beginning
    only builds the book.  ``joined``: a cancel and an add of one side at the same nanosecond are
    one amendment, as on LOBSTER's tapes."""
    walk = _Walk(tick, skip_ns)
    for batch in batches:
        walk.batch(batch, joined=joined)
    return walk.seen


class _Walk:
    def __init__(self, tick: Decimal, skip_ns: int) -> None:
        self.seen = Observation()
        self._step, self._skip_ns = tick, skip_ns
        self._tick = 1
        self._book = Queues()
        self._held: dict[int, Order] = {}
        self._filled: set[int] = set()
        self._recent: tuple[deque[int], deque[int]] = (deque(maxlen=_SEEN), deque(maxlen=_SEEN))
        self._canceled: dict[tuple[int, int], tuple[int, int]] = {}
        self._aggressor: tuple[int, int, int] = (0, 0, 0)
        self._start_ns = -1
        self._counting = False
        self._now = 0
        self._next_second = 0

    def batch(self, batch: EventBatch, *, joined: bool) -> None:
        self._tick = max(1, int(self._step.scaleb(batch.price_scale)))
        columns = [_integers(batch, name) for name in ("kind", "side", "price", "size", "reason")]
        flags = _integers(batch, "flags")
        times = _integers(batch, "ts_event")
        if not any(times):
            times = _integers(batch, "ts_recv")
        ids, takers = _ids(batch, "order_id"), _ids(batch, "taker_order_id")
        rows = list(zip(times, *columns, flags, ids, takers, strict=True))
        skip = False
        for at, (time_ns, kind, side, price, size, reason, flag, order_id, taker) in enumerate(
            rows
        ):
            if skip:
                skip = False
                continue
            if flag & _SNAPSHOT:
                self._book.rest(Order(order_id, side, price // self._tick, size, 0, -1))
                continue
            self._tell_time(time_ns)
            if kind == _OPEN:
                self._open(order_id, side, price // self._tick, size)
            elif kind == _DONE:
                follower = rows[at + 1] if joined and at + 1 < len(rows) else None
                if (
                    follower is not None
                    and follower[:3] == (time_ns, _OPEN, side)
                    and reason != Reason.FILLED
                    and order_id in self._book.orders
                ):
                    skip = True
                    self._replace(order_id, follower[7], follower[3] // self._tick, follower[4])
                else:
                    self._done(order_id, reason)
            elif kind == _MATCH:
                self._match(order_id, side, size, taker)
            elif kind == _CHANGE:
                self._change(order_id, price // self._tick, size, reason)
            elif kind == _CLEAR:
                self._book, self._held = Queues(), {}
            if self._held:
                self._let_in()

    # Time ------------------------------------------------------------------------------------

    def _tell_time(self, time_ns: int) -> None:
        if self._start_ns < 0:
            self._start_ns = self._now = time_ns
        if time_ns <= self._now:
            return
        seen = self.seen
        if not self._counting:
            if time_ns - self._start_ns >= self._skip_ns:
                self._counting = True
                seen.first_ns = time_ns
                self._next_second = time_ns
        else:
            bid, ask = self._book.best(0), self._book.best(1)
            if bid is not None and ask is not None:
                seen.spread_ns[ask - bid] += time_ns - self._now
                while self._next_second <= time_ns:
                    self._next_second += _SECOND
                    self._sample(bid, ask)
            seen.last_ns = time_ns
        self._now = time_ns

    def _sample(self, bid: int, ask: int) -> None:
        seen, book = self.seen, self._book
        seen.second_mid.append((bid + ask) / 2)
        seen.second_orders.append(len(book.orders))
        for side, best in ((0, bid), (1, ask)):
            levels = book.levels[side]
            seen.second_touch.append(len(levels[best]))
            keys = book.price_keys(side)[-10:]
            if len(keys) == 10:
                seen.second_depth.append(
                    tuple(
                        sum(order.size for order in levels[abs(key)].values())
                        for key in reversed(keys)
                    )
                )

    def _event(self, kind: int, side: int) -> None:
        self.seen.time_ns.append(self._now)
        self.seen.kind.append(kind)
        self.seen.side.append(side)

    # Events ----------------------------------------------------------------------------------

    def _open(self, order_id: int, side: int, price: int, size: int) -> None:
        order = Order(order_id, side, price, size, 0, self._now if self._counting else -1)
        if order_id in self._book.orders:  # an iceberg that shows its next peak
            self._book.remove(self._book.orders[order_id])
        if self._book.reaches(side, price):
            self._held[order_id] = order
            if self._counting:
                self.seen.crossing_adds += 1
            return
        best = self._book.best(side)
        if self._counting:
            self._count_add(side, price, size, best)
        self._recent[side].append(size)
        self._book.rest(order)

    def _count_add(self, side: int, price: int, size: int, best: int | None) -> None:
        seen = self.seen
        self._event(ADD, side)
        seen.add_time.append(self._now)
        seen.add_side.append(side)
        seen.add_size.append(size)
        seen.add_seen.append(size in self._recent[side])
        if best is not None:
            distance = price - best if side else best - price
            seen.add_distance.append(distance)
            seen.add_bps.append(distance / best * 10_000)
        time_ns, old_price = self._canceled.get((side, size), (-1, 0))
        if time_ns >= 0:
            seen.requote_ns.append(self._now - time_ns)
            seen.requote_ticks.append(abs(price - old_price))
        else:
            seen.requote_ns.append(-1)
            seen.requote_ticks.append(0)

    def _done(self, order_id: int, reason: int) -> None:
        order = self._held.pop(order_id, None)
        if order is not None:
            return
        order = self._book.orders.get(order_id)
        if order is None:
            return
        if reason == _CANCELED and self._counting:
            self._count_cancel(order)
            self._canceled[order.side, order.size] = self._now, order.price
        if self._counting:
            self._count_end(order)
        self._book.remove(order)

    def _count_cancel(self, order: Order) -> None:
        seen = self.seen
        seen.canceled += 1
        self._event(CANCEL, order.side)
        best = self._book.best(order.side)
        if best is not None:
            seen.cancel_distance.append(abs(order.price - best))
        level = self._book.levels[order.side][order.price]
        if len(level) > 1:
            place = 0
            for place, order_id in enumerate(level):  # noqa: B007 (its value is used after)
                if order_id == order.order_id:
                    break
            seen.cancel_rank.append(place / (len(level) - 1))

    def _count_end(self, order: Order) -> None:
        seen = self.seen
        with_fill = order.order_id in self._filled
        self._filled.discard(order.order_id)
        if order.born_ns < 0:
            return
        seen.ended += 1
        seen.ended_with_fill += with_fill
        if order.size:
            seen.canceled_life.append(self._now - order.born_ns)
        else:
            seen.filled_life.append(self._now - order.born_ns)

    def _match(self, order_id: int, side: int, size: int, taker: int) -> None:
        aggressor = (taker, self._now if taker < 0 else 0, side)
        if self._counting:
            if aggressor != self._aggressor:
                self._event(TRADE, 1 - side)
            self.seen.fills += 1
        self._aggressor = aggressor
        order = self._held.get(order_id) or self._book.orders.get(order_id)
        if order is None:
            return
        self._filled.add(order_id)
        order.size -= size
        if order.size > 0:
            return
        order.size = 0
        if self._held.pop(order_id, None) is None:
            if self._counting:
                self._count_end(order)
            self._book.remove(order)

    def _change(self, order_id: int, price: int, size: int, reason: int) -> None:
        order = self._held.get(order_id) or self._book.orders.get(order_id)
        if order is None or order_id in self._held:
            if order is not None:
                order.size = size
            return
        if reason == _AS_TAKER:
            order.size = size
            return
        if price == order.price or price < 0:
            if self._counting and reason != Reason.SELF_TRADE:
                self._event(AMEND, order.side)
                self.seen.size_cuts += 1
            if size > order.size:
                self._book.to_tail(order)
            order.size = size
            return
        self._replace(order_id, order_id, price, size)

    def _replace(self, order_id: int, new_id: int, price: int, size: int) -> None:
        order = self._book.orders[order_id]
        if self._counting:
            self._event(AMEND, order.side)
            self.seen.replaced += 1
            self._count_end(order)
        self._book.remove(order)
        side = order.side
        order = Order(new_id, side, price, size, 0, self._now if self._counting else -1)
        if self._book.reaches(side, price):
            self._held[new_id] = order
        else:
            self._book.rest(order)

    def _let_in(self) -> None:
        """Those that no longer cross."""
        for order_id, order in list(self._held.items()):
            if not self._book.reaches(order.side, order.price):
                del self._held[order_id]
                self._book.rest(order)


def _integers(batch: EventBatch, name: str) -> list[int]:
    column = batch.column(name)
    if column is None:
        return [0] * len(batch)
    kinds = {"q": np.int64, "H": np.uint16, "B": np.uint8}
    view = memoryview(column)
    values: list[int] = np.frombuffer(view, dtype=kinds[view.format]).tolist()
    return values


def _ids(batch: EventBatch, name: str) -> list[int]:
    """Keys as ints, -1 where the column is absent."""
    column = batch.column(name)
    if column is None:
        return [-1] * len(batch)
    halves = np.frombuffer(memoryview(column), dtype="<u8").reshape(-1, 2)
    low: list[int] = halves[:, 0].tolist()
    if not halves[:, 1].any():
        return low
    return [a | b << 64 for a, b in zip(low, halves[:, 1].tolist(), strict=True)]
