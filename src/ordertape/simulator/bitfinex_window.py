"""What a Bitfinex raw book (``R0``) shows of a market: the best orders of each side.

A `Window` is published in iterations.  Each compares the book with what was published before:
first the orders that left (``[id,0,1]`` a bid, ``[id,0,-1]`` an ask), then new and changed ones
(``[id,price,amount]``), both parts bids before asks and each in book order.  An order that came and
went in between never shows; one that a better order pushed out leaves with the same frame as one
that ended, and comes back under its id when there is room.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from ordertape import limits
from ordertape.simulator.markets import SIZE_SCALE
from ordertape.simulator.matching import ID_MASK, Matching, key_price

__all__ = ["CHECKSUM_ORDERS", "WINDOW_LENGTHS", "Window", "WindowState", "checksum", "number_text"]

WINDOW_LENGTHS: Final = (1, 25, 100, 250)
"""Orders a side that a subscriber may ask for."""
CHECKSUM_ORDERS: Final = 25
"""Orders a side that the venue's checksum covers."""

Row = tuple[int, str, str]
"""(order id, price, amount) as printed; the amount of an ask is negative."""


class WindowState(NamedTuple):
    """A window as it stood after one iteration; ``time_ms`` is the iteration's venue time."""

    iteration: int
    time_ms: int
    checksum: int
    bids: list[Row]
    asks: list[Row]


def number_text(value: int, scale: int) -> str:
    """An int at a scale as JavaScript prints the number: shortest digits, an exponent only below
    a millionth (``7e-7``).  Exact, for values below 1e21."""
    digits = str(abs(value))
    sign = "-" if value < 0 else ""
    exponent = len(digits) - 1 - scale
    if value and exponent < -6:
        digits = digits.rstrip("0")
        point = "." if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}{digits[1:]}e{exponent}"
    if not scale:
        return sign + digits
    digits = digits.zfill(scale + 1)
    fraction = digits[-scale:].rstrip("0")
    return f"{sign}{digits[:-scale]}.{fraction}" if fraction else sign + digits[:-scale]


_price_text = lru_cache(limits.simulator_texts_kept)(number_text)


def checksum(bids: list[str], asks: list[str]) -> int:
    """CRC-32, as the signed int the venue sends, of ``id:amount`` texts, best first: a bid, an ask,
    the next bid, …; where a side is short its places are left out."""
    items = []
    for place in range(CHECKSUM_ORDERS):
        items += bids[place : place + 1]
        items += asks[place : place + 1]
    value = crc32(":".join(items).encode())
    return value - (1 << 32) if value >> 31 else value


class Window:
    """The best ``length`` orders a side as last published; see the module's text.

    ``keep``: how many past states `states` holds, for comparing what a reader rebuilt.
    """

    def __init__(self, matching: Matching, price_scale: int, length: int, keep: int = 0) -> None:
        self.length = length
        self.states: deque[WindowState] = deque(maxlen=keep)
        self.iteration = 0
        self._matching = matching
        self._price_scale = price_scale
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._amounts: dict[int, str] = {}

    def publish(self, resized: set[int], time_ms: int) -> tuple[list[str], int] | None:
        """The frames of one iteration and its checksum, None where nothing changed.  ``resized``:
        orders whose size may have changed since the last iteration."""
        deletes: list[str] = []
        changes: list[str] = []
        for side in (0, 1):
            self._compare(side, resized, deletes, changes)
        if not deletes and not changes:
            return None
        self.iteration += 1
        value = self.checksum()
        if self.states.maxlen:
            bids, asks = self.rows()
            self.states.append(WindowState(self.iteration, time_ms, value, bids, asks))
        return deletes + changes, value

    def _compare(
        self, side: int, resized: set[int], deletes: list[str], changes: list[str]
    ) -> None:
        old, new = self._keys[side], self._matching.keys[side][: self.length]
        amounts, orders = self._amounts, self._matching.orders
        come: set[int] = set()
        if old != new:
            come = set(new).difference(old)
            moved = {key & ID_MASK for key in come}
            for key in sorted(set(old).difference(new)):
                order_id = key & ID_MASK
                if order_id not in moved:
                    deletes.append(f"[{order_id},0,{-1 if side else 1}]")
                    del amounts[order_id]
            old[:] = new
        for order_id in resized:
            order = orders.get(order_id)
            if (
                order is not None
                and order.side == side
                and order_id in amounts
                and self._amount(order_id) != amounts[order_id]
            ):
                come.add(order.key)
        for key in sorted(come):
            order_id = key & ID_MASK
            text = amounts[order_id] = self._amount(order_id)
            changes.append(f"[{order_id},{_price_text(key_price(key), self._price_scale)},{text}]")

    def _amount(self, order_id: int) -> str:
        order = self._matching.orders[order_id]
        if order.text is None:
            order.text = number_text(-order.size if order.side else order.size, SIZE_SCALE)
        return order.text

    def rows(self, length: int | None = None) -> tuple[list[Row], list[Row]]:
        """(bids, asks) as last published, in book order, at most ``length`` a side."""
        scale, amounts = self._price_scale, self._amounts
        bids, asks = (
            [
                (key & ID_MASK, _price_text(key_price(key), scale), amounts[key & ID_MASK])
                for key in keys[:length]
            ]
            for keys in self._keys
        )
        return bids, asks

    def snapshot(self) -> str:
        """The whole window in one array, bids before asks."""
        bids, asks = self.rows()
        return "[" + ",".join(f"[{i},{price},{amount}]" for i, price, amount in bids + asks) + "]"

    def checksum(self) -> int:
        """The venue's checksum over what was last published."""
        amounts = self._amounts
        bids, asks = (
            [f"{key & ID_MASK}:{amounts[key & ID_MASK]}" for key in keys[:CHECKSUM_ORDERS]]
            for keys in self._keys
        )
        return checksum(bids, asks)
