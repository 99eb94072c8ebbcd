"""A book in plain Python, as one would write it: dicts of orders and queues, sorted prices."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

__all__ = ["ADD", "CANCEL", "CHANGE", "MATCH", "Operation", "PlainBook"]

ADD, CANCEL, MATCH, CHANGE = range(4)

Operation = tuple[int, int, int, int, int]
"""(operation, side, order id, price, size)"""


class PlainBook:
    """Orders are lists ``[side, price, size]``; a queue is a dict, which keeps its order."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}
        self.queues: tuple[dict[int, dict[int, list[int]]], ...] = ({}, {})
        self.prices: tuple[list[int], list[int]] = ([], [])

    def open(self, order_id: int, side: int, price: int, size: int) -> None:
        order = self.orders[order_id] = [side, price, size]
        queue = self.queues[side].get(price)
        if queue is None:
            self.queues[side][price] = {order_id: order}
            insort(self.prices[side], price)
        else:
            queue[order_id] = order

    def done(self, order_id: int) -> None:
        side, price, _ = self.orders.pop(order_id)
        queue = self.queues[side][price]
        del queue[order_id]
        if not queue:
            del self.queues[side][price]
            prices = self.prices[side]
            del prices[bisect_left(prices, price)]

    def match(self, order_id: int, size: int) -> None:
        order = self.orders[order_id]
        order[2] -= size
        if order[2] <= 0:
            self.done(order_id)

    def change(self, order_id: int, size: int) -> None:
        """To a smaller size, which keeps its place."""
        self.orders[order_id][2] = size

    def best(self, side: int) -> int | None:
        prices = self.prices[side]
        return prices[-1 if side == 0 else 0] if prices else None

    def front(self, side: int) -> int:
        """The id of the order that trades next; there must be one."""
        return next(iter(self.queues[side][self.prices[side][-1 if side == 0 else 0]]))

    def play(self, rows: Iterable[Operation]) -> None:
        for operation, side, order_id, price, size in rows:
            if operation == ADD:
                self.open(order_id, side, price, size)
            elif operation == CANCEL:
                self.done(order_id)
            elif operation == MATCH:
                self.match(order_id, size)
            else:
                self.change(order_id, size)

    def digest(self) -> int:
        """As ``streams.state_digest`` of a book of ours."""
        total = 0
        for side in (0, 1):
            for price, queue in self.queues[side].items():
                for place, order in enumerate(queue.values(), 1):
                    total += price * 31 + order[2] * (2 * place + side + 1)
        return total & 0xFFFF_FFFF_FFFF_FFFF
