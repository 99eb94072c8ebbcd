"""A stream of our own, in plain Python.

Prices by a power law behind a moving touch, cancels mostly of young orders, 8 % matches at the
front of the best queue, 2 % reductions, a book of steady size.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from bench.book import ADD, CANCEL, CHANGE, MATCH, Operation, PlainBook

__all__ = ["operations"]

_MIDDLE = 1 << 20
_AWAY_MAX = 200_000
_SIZE_MAX = 100_000_000


def operations(events: int, live: int, seed: int) -> Iterator[Operation]:
    """``live`` opens of a standing book, then ``events``; order ids count from 0."""
    market = _Market(Random(seed), live)
    for _ in range(live):
        yield market.open(standing=True)
    for _ in range(events):
        yield market.event()


class _Market:
    """A book, and its order ids in a list to draw from."""

    def __init__(self, random: Random, target: int) -> None:
        self._random = random
        self._target = target
        self._book = PlainBook()
        self._opened = 0
        self._ids: list[int] = []
        self._places: dict[int, int] = {}

    def event(self) -> Operation:
        draw = self._random.random()
        if not all(self._book.prices):
            return self.open()
        if draw < 0.08:
            return self._match()
        if draw < 0.10:
            return self._change()
        missing = (self._target - len(self._ids)) / self._target
        if self._random.random() < 0.522 + 2 * missing:
            return self.open()
        return self._cancel(self._victim())

    def open(self, standing: bool = False) -> Operation:
        random = self._random
        side = random.getrandbits(1)
        sign = 1 if side else -1
        best = [self._best(0), self._best(1)]
        away = min(int(3 * (random.random() ** (-1 / 0.55) - 1)), _AWAY_MAX)
        if standing:
            price = _MIDDLE + sign * (1 + away)
        elif best[1] - best[0] > 1 and random.random() < 0.15:
            price = best[side] - sign
        else:
            price = best[side] + sign * away
        price = max(price, best[0] + 1) if side else min(price, best[1] - 1)
        size = 1 + min(int(1000 * (random.random() ** (-1 / 1.5) - 1)), _SIZE_MAX)
        order_id, self._opened = self._opened, self._opened + 1
        self._places[order_id] = len(self._ids)
        self._ids.append(order_id)
        self._book.open(order_id, side, price, size)
        return ADD, side, order_id, price, size

    def _best(self, side: int) -> int:
        best = self._book.best(side)
        return best if best is not None else _MIDDLE + (1 if side else -1)

    def _match(self) -> Operation:
        side = self._random.getrandbits(1)
        order_id = self._book.front(side)
        _, price, left = self._book.orders[order_id]
        size = left
        if left > 1 and self._random.random() < 0.5:
            size = self._random.randrange(1, left)
        self._book.match(order_id, size)
        if size == left:
            self._forget(order_id)
        return MATCH, side, order_id, price, size

    def _change(self) -> Operation:
        order_id = self._victim()
        side, price, left = self._book.orders[order_id]
        if left == 1:
            return self._cancel(order_id)
        size = self._random.randrange(1, left)
        self._book.change(order_id, size)
        return CHANGE, side, order_id, price, size

    def _cancel(self, order_id: int) -> Operation:
        side, price, left = self._book.orders[order_id]
        self._book.done(order_id)
        self._forget(order_id)
        return CANCEL, side, order_id, price, left

    def _victim(self) -> int:
        """Of 10, 7 young ones where there are any, else any order."""
        if self._random.random() < 0.7:
            for _ in range(8):
                young = self._opened - 1 - int(self._random.expovariate(1 / 1500))
                if young in self._places:
                    return young
        return self._ids[int(self._random.random() * len(self._ids))]

    def _forget(self, order_id: int) -> None:
        place, last = self._places.pop(order_id), self._ids.pop()
        if last != order_id:
            self._ids[place] = last
            self._places[last] = place
