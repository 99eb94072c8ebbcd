"""A small exchange of one market: orders meet in price-time priority.

Prices and sizes are int at the market's scales.  The shown orders of a side are also kept in the
order venues print them: best price first and, inside a price, the lowest id first.  That is not
the order in which they trade: an order that changed its price keeps its id and goes to the end of
its new level's queue.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, NamedTuple

__all__ = ["ID_BITS", "ID_MASK", "Fill", "Matching", "Order", "key_price", "rank_key"]

ID_BITS: Final = 44
"""Room for an order id below the price inside a rank key; ids stay below 2**44."""
ID_MASK: Final = (1 << ID_BITS) - 1


class Order:
    """A resting order.  ``text`` is room for how a publisher prints the size, None when stale."""

    __slots__ = ("hidden", "key", "order_id", "price", "side", "size", "text")

    def __init__(self, order_id: int, side: int, price: int, size: int, hidden: bool) -> None:
        self.order_id, self.side, self.price, self.size = order_id, side, price, size
        self.hidden = hidden
        self.key = rank_key(side, price, order_id)
        self.text: str | None = None


class Fill(NamedTuple):
    """One maker's part in a trade: ``left`` is what still rests of it."""

    order_id: int
    side: int
    price: int
    size: int
    left: int


def rank_key(side: int, price: int, order_id: int) -> int:
    """Sorts a side by price (bids high first, asks low first), then by id; side 0 is bid."""
    return (price << ID_BITS) + order_id if side else order_id - (price << ID_BITS)


def key_price(key: int) -> int:
    """The price inside a rank key."""
    return abs(key >> ID_BITS)


class Matching:
    """The orders of one market.

    ``keys[side]`` are the rank keys of the shown orders, sorted; ``orders`` holds them by id
    (hidden ones too); ``resized`` collects ids whose size changed until a reader empties it.
    """

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.keys: tuple[list[int], list[int]] = ([], [])
        self.hidden: tuple[list[int], list[int]] = ([], [])
        self.levels: tuple[dict[int, dict[int, Order]], dict[int, dict[int, Order]]] = ({}, {})
        self.resized: set[int] = set()
        self.operations = 0

    def best(self, side: int) -> int | None:
        """The best shown price of a side."""
        keys = self.keys[side]
        return key_price(keys[0]) if keys else None

    def limit(
        self, order_id: int, side: int, price: int, size: int, hidden: bool = False
    ) -> list[Fill]:
        """A new limit order: trades as far as its price reaches, the rest of it rests."""
        self.operations += 1
        fills = self._take(side, size, price)
        for fill in fills:
            size -= fill.size
        if size:
            self._rest(Order(order_id, side, price, size, hidden))
        return fills

    def market(self, side: int, size: int, limit: int | None = None) -> list[Fill]:
        """A market order (``limit``: as far as this price); what finds nobody is dropped."""
        self.operations += 1
        return self._take(side, size, limit)

    def cancel(self, order_id: int) -> bool:
        """False where nothing rests under this id."""
        order = self.orders.get(order_id)
        if order is None:
            return False
        self.operations += 1
        self._remove(order)
        return True

    def amend(self, order_id: int, price: int, size: int) -> list[Fill]:
        """Another price or size under the same id.  A smaller size keeps its place in the queue,
        everything else goes to the end; a price that reaches the other side trades."""
        order = self.orders[order_id]
        self.operations += 1
        if price == order.price and order.hidden is False:
            if size > order.size:
                level = self.levels[order.side][price]
                level[order_id] = level.pop(order_id)
            self._resize(order, size)
            return []
        self._remove(order)
        fills = self._take(order.side, size, price)
        for fill in fills:
            size -= fill.size
        if size:
            if size != order.size:
                order.text = None
                self.resized.add(order_id)
            order.price, order.size = price, size
            order.key = rank_key(order.side, price, order_id)
            self._rest(order)
        return fills

    def _take(self, side: int, size: int, limit: int | None) -> list[Fill]:
        """Shown before hidden at one price, else first come first served."""
        fills: list[Fill] = []
        maker_side = 1 - side
        shown, hidden = self.keys[maker_side], self.hidden[maker_side]
        while size and (shown or hidden):
            if not hidden or (shown and shown[0] >> ID_BITS <= hidden[0] >> ID_BITS):
                price = key_price(shown[0])
                maker = next(iter(self.levels[maker_side][price].values()))
            else:
                price = key_price(hidden[0])
                maker = self.orders[hidden[0] & ID_MASK]
            if limit is not None and (price < limit if side else price > limit):
                break
            traded = min(size, maker.size)
            size -= traded
            left = maker.size - traded
            if left:
                self._resize(maker, left)
            else:
                self._remove(maker)
            fills.append(Fill(maker.order_id, maker_side, price, traded, left))
        return fills

    def _resize(self, order: Order, size: int) -> None:
        order.size = size
        order.text = None
        self.resized.add(order.order_id)

    def _rest(self, order: Order) -> None:
        side = order.side
        self.orders[order.order_id] = order
        if order.hidden:
            insort(self.hidden[side], order.key)
            return
        insort(self.keys[side], order.key)
        level = self.levels[side].get(order.price)
        if level is None:
            self.levels[side][order.price] = {order.order_id: order}
        else:
            level[order.order_id] = order

    def _remove(self, order: Order) -> None:
        side, order_id = order.side, order.order_id
        del self.orders[order_id]
        keys = self.hidden[side] if order.hidden else self.keys[side]
        del keys[bisect_left(keys, order.key)]
        if order.hidden:
            return
        level = self.levels[side][order.price]
        del level[order_id]
        if not level:
            del self.levels[side][order.price]
