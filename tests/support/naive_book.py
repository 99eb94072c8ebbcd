"""A book as plain as can be: a dict of orders and a dict of ids a level.  Slow, right at a glance.

Numbers are whatever is given, as long as it is exact: ``int`` at one scale, or ``Decimal``.  Ids
are any hashable.  What each kind does is the table "Event kinds" of the design, one branch a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from ordertape.events import ApplyResult, EventKind, Flag, Side

__all__ = ["Effect", "NaiveBook", "Order", "javascript_text"]


@dataclass(slots=True)
class Order:
    side: int
    price: Any
    size: Any


class Effect(NamedTuple):
    """What an event did, in the names of ``Effects``; None where a column does not apply."""

    price_before: Any = None
    size_before: Any = None
    level_size: Any = None
    level_orders: int | None = None
    best_bid: Any = None
    best_ask: Any = None
    orders_ahead: int | None = None


_BEHIND_IT = (EventKind.CHANGE, EventKind.MATCH, EventKind.DONE, EventKind.EVICT)


class NaiveBook:
    def __init__(self) -> None:
        self.orders: dict[Any, Order] = {}
        self.levels: tuple[dict[Any, dict[Any, None]], dict[Any, dict[Any, None]]] = ({}, {})
        """By side and price: the ids of the queue, front first (a dict keeps its order)."""
        self.era = 0

    def __len__(self) -> int:
        return len(self.orders)

    # Events ---------------------------------------------------------------------------------------

    def apply(
        self, kind: int, side: int | None, order_id: Any, price: Any, size: Any, flags: int = 0
    ) -> ApplyResult:
        """What ``OrderBook.apply_one`` answers; an absent price or size is None."""
        if flags & Flag.LATE:
            return ApplyResult.LATE
        if kind == EventKind.OPEN:
            return self._open(side, order_id, price, size)
        if kind == EventKind.CLEAR:
            self.orders.clear()
            self.levels = ({}, {})
            self.era += 1
            return ApplyResult.APPLIED
        if kind == EventKind.TRADE:
            return ApplyResult.APPLIED
        order = self.orders.get(order_id)
        if order is None:
            harmless = kind == EventKind.DONE and size == 0
            return ApplyResult.APPLIED if harmless else ApplyResult.UNKNOWN_ID
        if kind in (EventKind.DONE, EventKind.EVICT):
            self._remove(order_id)
            return ApplyResult.APPLIED
        if size is None or size < 0:
            return ApplyResult.NEGATIVE
        if kind == EventKind.MATCH:
            return self._match(order_id, order, size)
        return self._change(order_id, order, side, price, size)

    def step(
        self, kind: int, side: int | None, order_id: Any, price: Any, size: Any, flags: int = 0
    ) -> tuple[ApplyResult, Effect]:
        """Applies an event and says what ``apply(effects=True)`` says of it."""
        known = kind in _BEHIND_IT and order_id in self.orders and not flags & Flag.LATE
        old = self.orders[order_id] if known else None
        before = (old.price, old.size) if old else (None, None)
        ahead = self.place(order_id)[0] if old else None
        at = (old.side, old.price) if old else None
        result = self.apply(kind, side, order_id, price, size, flags)
        if kind == EventKind.OPEN and result in (ApplyResult.APPLIED, ApplyResult.DUPLICATE_ID):
            ahead = self.place(order_id)[0]
        if (new := self.orders.get(order_id)) is not None and (old or ahead is not None):
            at = (new.side, new.price)
        level: tuple[Any, int | None] = (None, None)
        if at is not None:
            queue = self.levels[at[0]].get(at[1], {})
            level = (sum(self.orders[name].size for name in queue), len(queue))
        return result, Effect(*before, *level, *self.best(), ahead)

    def _open(self, side: int | None, order_id: Any, price: Any, size: Any) -> ApplyResult:
        if size is None or size <= 0 or price is None:
            return ApplyResult.NEGATIVE
        twin = order_id in self.orders
        if twin:
            self._remove(order_id)
        self._add(order_id, Order(side or 0, price, size))
        return ApplyResult.DUPLICATE_ID if twin else ApplyResult.APPLIED

    def _match(self, order_id: Any, order: Order, size: Any) -> ApplyResult:
        left = order.size - size
        if left > 0:
            order.size = left
            return ApplyResult.APPLIED
        self._remove(order_id)
        return ApplyResult.OVERFILL if left < 0 else ApplyResult.APPLIED

    def _change(
        self, order_id: Any, order: Order, side: int | None, price: Any, size: Any
    ) -> ApplyResult:
        if size == 0:
            self._remove(order_id)
            return ApplyResult.APPLIED
        price = order.price if price is None else price
        if (side, price) == (order.side, order.price) and size <= order.size:
            order.size = size
        else:
            self._remove(order_id)
            self._add(order_id, Order(side or 0, price, size))
        return ApplyResult.APPLIED

    def _add(self, order_id: Any, order: Order) -> None:
        self.orders[order_id] = order
        self.levels[order.side].setdefault(order.price, {})[order_id] = None

    def _remove(self, order_id: Any) -> None:
        order = self.orders.pop(order_id)
        queue = self.levels[order.side][order.price]
        del queue[order_id]
        if not queue:
            del self.levels[order.side][order.price]

    # Reads ----------------------------------------------------------------------------------------

    def best(self) -> tuple[Any, Any]:
        bids, asks = self.levels
        return max(bids, default=None), min(asks, default=None)

    @property
    def crossed(self) -> bool:
        bid, ask = self.best()
        return bid is not None and ask is not None and bid >= ask

    def prices(self, side: int) -> list[Any]:
        """Best first."""
        return sorted(self.levels[side], reverse=side == Side.BID)

    def depth(self, levels: int | None = None) -> tuple[list[Any], list[Any]]:
        """[(price, size, orders)] of bids and asks, best first."""
        bids, asks = (
            [
                (price, sum(self.orders[name].size for name in queue), len(queue))
                for price in self.prices(side)[:levels]
                if (queue := self.levels[side][price])
            ]
            for side in Side
        )
        return bids, asks

    def queue(self, price: Any, side: int | None = None) -> list[tuple[Any, Any]]:
        sides = list(Side) if side is None else [side]
        return [
            (name, self.orders[name].size)
            for one in sides
            for name in self.levels[one].get(price, {})
        ]

    def place(self, order_id: Any) -> tuple[int, Any]:
        """(orders ahead, size ahead)."""
        order, ahead = self.orders[order_id], []
        for name in self.levels[order.side][order.price]:
            if name == order_id:
                break
            ahead.append(self.orders[name].size)
        return len(ahead), sum(ahead)

    def walk(self, side: int) -> Iterator[tuple[Any, Order]]:
        """Best price first, front of the queue first."""
        for price in self.prices(side):
            for name in self.levels[side][price]:
                yield name, self.orders[name]

    def rows(self) -> list[tuple[int, Any, Any, Any]]:
        """The whole state: (side, id, price, size), bids then asks, as ``snapshot`` has it."""
        return [
            (side, name, order.price, order.size)
            for side in Side
            for name, order in self.walk(side)
        ]

    def top_text(self, orders: int = 25) -> str:
        """Bitfinex's checksum text; ids and sizes must be ``int`` and ``Decimal``."""
        tops = []
        for side in Side:
            row: list[tuple[Any, Any]] = []
            for price in self.prices(side):
                row += sorted(self.queue(price, side))
            tops.append(row[:orders])
        parts = []
        for nth in range(max(map(len, tops))):
            for top, sign in zip(tops, (1, -1), strict=True):
                if nth < len(top):
                    name, size = top[nth]
                    parts += [str(name), javascript_text(sign * Decimal(size))]
        return ":".join(parts)


def javascript_text(number: Decimal) -> str:
    """A number as JavaScript prints it: an exponent only below a millionth, not zero padded."""
    number = number.normalize()
    if number == 0:
        return "0"
    if number.adjusted() >= -6:
        return format(number, "f")
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits))
    rest = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' if sign else ''}{text[0]}{rest}e-{-number.adjusted()}"
