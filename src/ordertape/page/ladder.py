"""The ladder and the queues inside its prices: whole, and what changed since the last look."""

from __future__ import annotations

from collections.abc import Iterator

from ordertape._engine import OrderBook
from ordertape.events import Side
from ordertape.page.codec import Ladder, Level, Queue, QueueLevel
from ordertape.page.handles import Handles, Keeping

__all__ = ["LadderView", "QueueView"]

LADDER_LEVELS = 200
"""Levels a side: what a depth chart shows."""
QUEUE_LEVELS = 15
"""Levels a side whose orders are shown one by one."""
QUEUE_ORDERS = 48
"""Orders shown of one level, the front first; how many there are is told beside."""


class LadderView:
    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._shown: tuple[dict[int, Level], dict[int, Level]] = ({}, {})

    def key(self) -> Ladder:
        """Everything, best first."""
        bids, asks = self._now()
        self._shown = (
            {level.price: level for level in bids},
            {level.price: level for level in asks},
        )
        return Ladder(tuple(bids), tuple(asks))

    def changes(self) -> Ladder | None:
        """Levels that are otherwise than when it was last asked; size 0: gone from the window."""
        sides = []
        for before, now in zip(self._shown, self._now(), strict=True):
            there = {level.price: level for level in now}
            changed = [level for level in now if before.get(level.price) != level]
            gone = [Level(price, 0, 0) for price in before if price not in there]
            before.clear()
            before.update(there)
            sides.append(tuple(sorted((*changed, *gone), key=lambda level: level.price)))
        return Ladder(*sides) if any(sides) else None

    def _now(self) -> tuple[list[Level], list[Level]]:
        bids, asks = self._book.depth_scaled(LADDER_LEVELS)
        return [Level(*level) for level in bids], [Level(*level) for level in asks]


class QueueView:
    """The orders near the touch, one by one.  ``note`` says which prices events touched."""

    def __init__(self, book: OrderBook, handles: Handles) -> None:
        self._book, self._handles = book, handles
        self._touched: set[int] = set()
        self._shown: dict[tuple[int, int], QueueLevel] = {}
        self._keeping = Keeping(handles, self._handles_shown)

    def note(self, prices: set[int]) -> None:
        self._touched |= prices

    def key(self) -> Queue:
        self._touched.clear()
        levels = [self._level(side, price) for side, price in self._window()]
        self._shown = {(level.side, level.price): level for level in levels}
        return Queue(tuple(levels))

    def changes(self) -> Queue | None:
        self._keeping.look()
        window = self._window()
        changed = []
        for side, price in window:
            before = self._shown.get((side, price))
            if before is not None and price not in self._touched:
                continue
            level = self._level(side, price)
            if level != before:
                self._shown[side, price] = level
                changed.append(level)
        for side, price in self._shown.keys() - set(window):
            del self._shown[side, price]
            changed.append(QueueLevel(side, price, 0, ()))
        self._touched.clear()
        return Queue(tuple(sorted(changed, key=lambda level: level.price))) if changed else None

    def _handles_shown(self) -> Iterator[int]:
        return (handle for level in self._shown.values() for handle, _ in level.shown)

    def _window(self) -> list[tuple[int, int]]:
        bids, asks = self._book.depth_scaled(QUEUE_LEVELS)
        window = [(int(Side.BID), price) for price, _, _ in bids]
        return window + [(int(Side.ASK), price) for price, _, _ in asks]

    def _level(self, side: int, price: int) -> QueueLevel:
        queue, scale = self._book.queue(price, side), self._book.size_scale or 0
        shown = tuple(
            (self._handles.of(text), int(size.scaleb(scale))) for text, size in queue[:QUEUE_ORDERS]
        )
        return QueueLevel(side, price, len(queue), shown)
