"""What every answer of the interface has in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.served import FINISHED, Served

BOTH_DATABASES = pytest.mark.parametrize("served", ["embedded", "installed"], indirect=True)
"""For what is answered from PostgreSQL: once with each server that ``served`` can have."""
ENVELOPE = {"state", "era", "age_ms", "simulated"}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
OLD = f"bitfinex/{FINISHED}"
STATUS = {
    *("symbol", "exchanges", "is_active", "orders_received", "orders_persisted"),
    *("snapshots_taken", "started_at", "last_update", "errors"),
}
ORDER = {
    *("exchange", "symbol", "order_id", "sequence", "side", "price", "size", "event_type"),
    *("timestamp", "metadata"),
}
METADATA = {
    *("reason", "trade_id", "taker_order_id", "taker_side", "old_price", "old_size", "venue_seq"),
    *("ts_event_ns", "ts_recv_ns", "era", "inferred", "late", "reentry"),
}
STATISTICS = {
    *("total_orders", "bid_count", "ask_count", "total_bid_volume", "total_ask_volume"),
    *("best_bid", "best_ask", "spread", "mid_price"),
}


def pages(server: Served, market: str = OLD, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Every page of a query."""
    cursor = None
    while True:
        page = server.answer(
            f"/orders/{market}", **parameters, **({} if cursor is None else {"cursor": cursor})
        )
        assert page["count"] == len(page["orders"])
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)


def sequences(server: Served, market: str = OLD, **parameters: Any) -> list[int]:
    found = pages(server, market, **parameters)
    return [order["sequence"] for page in found for order in page["orders"]]
