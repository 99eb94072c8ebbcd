"""Small batches for tests."""

from __future__ import annotations

import numpy as np

from ordertape._engine import NULL, EventBatch

TS = 1_792_000_000_123_456_789


def batch(**columns: object) -> EventBatch:
    """A CLEAR, a snapshot of two orders, then OPEN, CHANGE, MATCH, DONE, TRADE."""
    made: dict[str, object] = {
        "kind": np.array([5, 1, 1, 1, 2, 3, 4, 7], np.uint8),
        "side": np.array([255, 0, 1, 0, 0, 1, 0, 1], np.uint8),
        "order_id": [None, "1", "2", "3", "3", "2", "3", None],
        "price": np.array([NULL, 10000, 10100, 9900, 9950, 10100, 9950, 10050]),
        "size": np.array([NULL, 5, 6, 7, 4, 6, 4, 1]),
        "ts_event": np.array([NULL, NULL, NULL, TS, TS, TS, TS, TS]),
        "ts_recv": np.full(8, TS + 1000),
        "flags": np.array([0, 1, 3, 2, 2, 2 | 4, 2, 2], np.uint16),
        "reason": np.array([0, 0, 0, 0, 4, 0, 2, 0], np.uint8),
        "seq": np.array([1, 1, 1, 2, 3, 4, 5, 6]),
        "venue_seq": np.array([NULL, NULL, NULL, 70, 71, 72, 73, 74]),
        "trade_id": [None, None, None, None, None, "t9", None, "t10"],
        "taker_side": np.array([255, 255, 255, 255, 255, 0, 255, 255], np.uint8),
        "price_scale": 2,
        "size_scale": 1,
    }
    return EventBatch.from_arrays(**{**made, **columns})
