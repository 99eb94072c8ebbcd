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
from itertools import groupby
from typing import Final, NamedTuple
from zlib import crc32

from ordertape import limits
from ordertape.simulator.markets import SIZE_SCALE
from ordertape.simulator.matcher import Matcher

__all__ = [
    "CHECKSUM_ORDERS",
    "WINDOW_LENGTHS",
    "Row",
    "Window",
    "WindowState",
    "checksum",
    "number_text",
    "top_orders",
]

WINDOW_LENGTHS: Final = (1, 25, 100, 250)
"""Orders a side that a subscriber may ask for."""
CHECKSUM_ORDERS: Final = 25
"""Orders a side that the venue's checksum covers."""

Row = tuple[int, str, str]
"""(order id, price, amount) as printed; the amount of an ask is negative."""


Standing = tuple[int, int, int]
"""(order id, price, size) at the market's scales."""


class WindowState(NamedTuple):
    """A window as it stood after one iteration; ``time_ms`` is the iteration's venue time."""

    iteration: int
    time_ms: int
    checksum: int
    bids: list[Row]
    asks: list[Row]
    places: dict[int, int]
    """By order id: when the window last told of it in a way that puts it behind the others of its
    price (new, back again, another price, a bigger size); counts up over all iterations."""
    last_place: int

    def queues(self, since: int) -> tuple[list[Row], list[Row]]:
        """(bids, asks) as a client holds them whose snapshot was sent at ``last_place`` ``since``:
        inside a price first what stood in the snapshot, by id, then the others as they were told.
        """

        def place(row: Row) -> tuple[int, int]:
            told = self.places[row[0]]
            return (0, row[0]) if told <= since else (1, told)

        def queued(rows: list[Row]) -> list[Row]:
            found: list[Row] = []
            for _, level in groupby(rows, key=lambda row: row[1]):
                found += sorted(level, key=place)
            return found

        return queued(self.bids), queued(self.asks)


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


_number_text = lru_cache(limits.simulator_texts_kept)(number_text)


def checksum(bids: list[str], asks: list[str]) -> int:
    """CRC-32, as the signed int the venue sends, of ``id:amount`` texts, best first: a bid, an ask,
    the next bid, …; where a side is short its places are left out."""
    items = []
    for place in range(CHECKSUM_ORDERS):
        items += bids[place : place + 1]
        items += asks[place : place + 1]
    value = crc32(":".join(items).encode())
    return value - (1 << 32) if value >> 31 else value


def top_orders(matching: Matcher, length: int) -> tuple[list[Standing], list[Standing]]:
    """The best shown orders a side (bids, asks): by price, then by id."""
    sides: tuple[list[Standing], list[Standing]] = ([], [])
    for side, rows in enumerate(sides):
        levels = matching.levels[side]
        for price in matching.prices(side):
            rows += sorted((o.order_id, price, o.size) for o in levels[price].values())
            if len(rows) >= length:
                del rows[length:]
                break
    return sides


class Window:
    """The best ``length`` orders a side as last published; see the module's text.

    ``keep``: how many past states `states` holds, for comparing what a reader rebuilt.
    """

    def __init__(self, price_scale: int, length: int, keep: int = 0) -> None:
        self.length = length
        self.states: deque[WindowState] = deque(maxlen=keep)
        self.iteration = 0
        self._price_scale = price_scale
        self._rows: tuple[list[Standing], list[Standing]] = ([], [])
        self._shown: tuple[dict[int, Standing], dict[int, Standing]] = ({}, {})
        self._places: dict[int, int] = {}
        self._last_place = 0

    def publish(
        self, top: tuple[list[Standing], list[Standing]], time_ms: int
    ) -> tuple[list[str], int] | None:
        """The frames of one iteration and its checksum, None where nothing changed.  ``top``: the
        best orders now, as many a side as the window is long, or more."""
        deletes: list[str] = []
        changes: list[str] = []
        for side in (0, 1):
            self._compare(side, top[side][: self.length], deletes, changes)
        if not deletes and not changes:
            return None
        self.iteration += 1
        value = self.checksum()
        if self.states.maxlen:
            bids, asks = self.rows()
            self.states.append(
                WindowState(
                    *(self.iteration, time_ms, value, bids, asks),
                    *(dict(self._places), self._last_place),
                )
            )
        return deletes + changes, value

    def _compare(
        self, side: int, new: list[Standing], deletes: list[str], changes: list[str]
    ) -> None:
        old = self._rows[side]
        if old == new:
            return
        shown, stay = self._shown[side], {row[0] for row in new}
        for row in old:
            if row[0] not in stay:
                deletes.append(f"[{row[0]},0,{-1 if side else 1}]")
                del shown[row[0]], self._places[row[0]]
        for row in new:
            before = shown.get(row[0])
            if before == row:
                continue
            shown[row[0]] = row
            if before is None or before[1] != row[1] or before[2] < row[2]:
                self._last_place += 1
                self._places[row[0]] = self._last_place
            order_id, price, amount = self._text(side, row)
            changes.append(f"[{order_id},{price},{amount}]")
        old[:] = new

    def _text(self, side: int, row: Standing) -> Row:
        order_id, price, size = row
        amount = _number_text(-size if side else size, SIZE_SCALE)
        return order_id, _number_text(price, self._price_scale), amount

    def rows(self, length: int | None = None) -> tuple[list[Row], list[Row]]:
        """(bids, asks) as last published, in book order, at most ``length`` a side."""
        bids, asks = (
            [self._text(side, row) for row in rows[:length]] for side, rows in enumerate(self._rows)
        )
        return bids, asks

    def snapshot(self) -> str:
        """The whole window in one array, bids before asks."""
        bids, asks = self.rows()
        return "[" + ",".join(f"[{i},{price},{amount}]" for i, price, amount in bids + asks) + "]"

    def checksum(self) -> int:
        """The venue's checksum over what was last published."""
        bids, asks = (
            [f"{i}:{amount}" for i, _, amount in rows] for rows in self.rows(CHECKSUM_ORDERS)
        )
        return checksum(bids, asks)
