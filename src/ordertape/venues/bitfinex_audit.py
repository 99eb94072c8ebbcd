"""The proof that Bitfinex's checksum lacks: the raw book over REST beside ours, prices and depth.

Source: docs.bitfinex.com, "REST public endpoints: book".  That book carries no sequence, so one
read can't tell a difference from a delay: only what two reads, some seconds apart, both show
otherwise than our book at the time is a difference.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.times import NS_PER_MILLISECOND
from ordertape.venues import bitfinex_wire as wire
from ordertape.venues.session import Audit

__all__ = ["BitfinexAudit", "audit_path"]

_ORDERS: Final = 100
"""The longest that the page of raw books names."""

Stands = tuple[int, Decimal, Decimal]
"""Side, price, size."""


def audit_path(symbol: str) -> str:
    return f"/v2/book/{wire.pair(symbol)}/R0?len={_ORDERS}"


class BitfinexAudit:
    """One comparison of two reads; ``due``: when the second is to be asked for (ns)."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book
        self._first: set[tuple[str, Stands | None, Stands | None]] | None = None
        self.due: int | None = None

    def read(self, body: bytes, now: int) -> Audit | None:
        """One answer; the end of it where it was the second, or no book."""
        try:
            theirs = _orders(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError):
            return Audit(None, "the venue's answer is no raw book")
        found = self._differences(theirs)
        if not found:
            return Audit(True, "")
        if self._first is None:
            self._first, self.due = found, now + limits.audit_second_read_ms * NS_PER_MILLISECOND
            return None
        lasting = sorted(self._first & found)
        if not lasting:
            return Audit(True, "")
        return Audit(False, f"{len(lasting)} orders differ, such as {lasting[0][0]}")

    def _differences(
        self, theirs: dict[str, Stands]
    ) -> set[tuple[str, Stands | None, Stands | None]]:
        found: set[tuple[str, Stands | None, Stands | None]] = set()
        for order_id, stands in theirs.items():
            ours = self._book.get(order_id)
            if ours != stands:
                found.add((order_id, ours, stands))
        for side in (0, 1):
            shown = [price for at, price, _ in theirs.values() if at == side]
            worst = None
            if len(shown) >= _ORDERS:
                worst = max(shown) if side else min(shown)
            for order_id, price, size in self._book.orders(side, _ORDERS):
                # At the worst price shown more orders may stand than the venue shows.
                inside = worst is None or (price < worst if side else price > worst)
                if inside and order_id not in theirs:
                    found.add((order_id, (side, price, size), None))
        return found


def _orders(body: bytes) -> dict[str, Stands]:
    orders = {}
    for order in wire.decode_orders(body):
        price, amount = (Decimal(bytes(raw).decode()) for raw in (order.price, order.amount))
        orders[str(order.order_id)] = (int(amount < 0), price, abs(amount))
    return orders
