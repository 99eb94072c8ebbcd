"""The resting orders of one market in the queues they stand in."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import TypeAlias

__all__ = ["Level", "Order", "Queues"]

Level: TypeAlias = "dict[int, Order]"
"""The orders of one price by id, the front of the queue first."""


class Order:
    """An order.  ``size`` is what it shows (all of it, if hidden); ``peaks`` are the later peaks of
    an iceberg, the next one last; ``owner`` 0 is nobody in particular; ``born_ns`` when it came."""

    __slots__ = ("born_ns", "hidden", "order_id", "owner", "peaks", "price", "side", "size")

    def __init__(
        self,
        order_id: int,
        side: int,
        price: int,
        size: int,
        owner: int,
        born_ns: int,
        hidden: bool = False,
    ) -> None:
        self.order_id, self.side, self.price, self.size = order_id, side, price, size
        self.owner, self.born_ns, self.hidden = owner, born_ns, hidden
        self.peaks: list[int] = []

    @property
    def reserve(self) -> int:
        """What an iceberg does not show."""
        return sum(self.peaks)


class Queues:
    """``orders``: all that rest, by id; ``levels[side]``: the shown ones by price and, in a price,
    front of the queue first; ``hidden[side]``: the hidden ones."""

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.levels: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        self.hidden: tuple[dict[int, Level], dict[int, Level]] = ({}, {})
        # Bids as they are, asks negated: the best price of either side is the last.
        self._shown: tuple[list[int], list[int]] = ([], [])
        self._unseen: tuple[list[int], list[int]] = ([], [])

    def best(self, side: int) -> int | None:
        """The best shown price of a side."""
        keys = self._shown[side]
        return abs(keys[-1]) if keys else None

    def prices(self, side: int) -> Iterator[int]:
        """The shown prices of a side, best first."""
        return map(abs, reversed(self._shown[side]))

    def price_keys(self, side: int) -> list[int]:
        """The shown prices of a side, best last, those of asks negated: not to be changed."""
        return self._shown[side]

    def rows(self, side: int) -> Iterator[Order]:
        """The shown orders of a side: best price first, the front of the queue first."""
        levels = self.levels[side]
        for price in self.prices(side):
            yield from levels[price].values()

    def reaches(self, side: int, price: int) -> bool:
        """Whether an order would meet somebody on the other side, seen or not."""
        shown, unseen = self._shown[1 - side], self._unseen[1 - side]
        if shown and (price <= shown[-1] if side else -shown[-1] <= price):
            return True
        return bool(unseen) and (price <= unseen[-1] if side else -unseen[-1] <= price)

    def front(self, side: int, limit: int | None) -> Order | None:
        """The maker whose turn it is on ``side``, if ``limit`` reaches it."""
        shown, unseen = self._shown[side], self._unseen[side]
        if unseen and (not shown or unseen[-1] > shown[-1]):
            key, levels = unseen[-1], self.hidden[side]
        elif shown:
            key, levels = shown[-1], self.levels[side]
        else:
            return None
        price = abs(key)
        if limit is not None and (price > limit if side else price < limit):
            return None
        return next(iter(levels[price].values()))

    def to_tail(self, order: Order) -> None:
        """To the end of its level's queue."""
        level = (self.hidden if order.hidden else self.levels)[order.side][order.price]
        level[order.order_id] = level.pop(order.order_id)

    def rest(self, order: Order) -> None:
        """At the tail of its level."""
        side, price = order.side, order.price
        self.orders[order.order_id] = order
        levels = (self.hidden if order.hidden else self.levels)[side]
        level = levels.get(price)
        if level is None:
            levels[price] = {order.order_id: order}
            insort((self._unseen if order.hidden else self._shown)[side], -price if side else price)
        else:
            level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """From its level and from ``orders``."""
        side, price = order.side, order.price
        del self.orders[order.order_id]
        levels = (self.hidden if order.hidden else self.levels)[side]
        level = levels[price]
        del level[order.order_id]
        if not level:
            del levels[price]
            keys = (self._unseen if order.hidden else self._shown)[side]
            del keys[bisect_left(keys, -price if side else price)]
