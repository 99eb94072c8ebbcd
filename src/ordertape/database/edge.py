"""Rows of PostgreSQL as the public models."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ordertape.models import (
    L3BookOrder,
    L3EventType,
    L3Order,
    L3Side,
    L3Snapshot,
    L3Statistics,
    datetime_from_ns,
)

__all__ = ["order_of", "snapshot_of"]


def order_of(exchange: str, symbol: str, row: Sequence[Any]) -> L3Order:
    order_id, sequence, side, price, size, event_type, metadata = row
    for name in ("old_price", "old_size"):
        if name in metadata:
            metadata[name] = Decimal(metadata[name])
    return L3Order.model_construct(
        exchange=exchange,
        symbol=symbol,
        order_id=order_id,
        sequence=sequence,
        side=None if side is None else L3Side(side),
        price=price,
        size=size,
        event_type=L3EventType(event_type),
        timestamp=datetime_from_ns(metadata.get("ts_event_ns", metadata["ts_recv_ns"])),
        metadata=metadata,
    )


def snapshot_of(exchange: str, symbol: str, row: Sequence[Any]) -> L3Snapshot:
    sequence, ts_recv, era, bids, asks, bid_count, ask_count, bid_volume, ask_volume = row
    sides = [
        [
            L3BookOrder.model_construct(
                order_id=order["order_id"],
                price=Decimal(order["price"]),
                size=Decimal(order["size"]),
            )
            for order in side
        ]
        for side in (bids, asks)
    ]
    best = [side[0].price if side else None for side in sides]
    statistics = L3Statistics.of(bid_count, ask_count, bid_volume, ask_volume, *best)
    return L3Snapshot(
        exchange=exchange,
        symbol=symbol,
        sequence=sequence,
        timestamp=datetime_from_ns(ts_recv),
        ts_recv_ns=ts_recv,
        era=era,
        bids=sides[0],
        asks=sides[1],
        statistics=statistics,
    )
