"""The event vocabulary: every kind, flag, reason and column, stated once.

``seq`` orders; timestamps explain.  Times are int64 nanoseconds since 1970 UTC; prices and sizes
are int64 at the batch's scales (digits after the point).  The engine mirrors these codes.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from ordertape._engine import NULL

__all__ = [
    "COLUMNS",
    "FLAG_NAMES",
    "ID_COLUMNS",
    "NO_SIDE",
    "NULL",
    "REASONS",
    "REASON_CODES",
    "ApplyResult",
    "EventKind",
    "Flag",
    "Reason",
    "Side",
]


class EventKind(IntEnum):
    """What happened to an order; ``size`` and the effect on the book differ by kind."""

    OPEN = 1
    """Starts to rest; size is its size; appended at the tail of its level."""
    CHANGE = 2
    """New size or price; a price change or a larger size goes to the tail, a smaller keeps
    its place."""
    MATCH = 3
    """A resting order traded; id, side and price are the maker's, size is the traded size."""
    DONE = 4
    """Ended; price is where it rested, size what was left of it."""
    CLEAR = 5
    """The book starts anew: a new era.  Its orders follow as OPEN with flag SNAPSHOT and its
    seq."""
    EVICT = 6
    """Left a windowed view, fate unknown; size is what it was."""
    TRADE = 7
    """A trade with no known resting order; side is the resting side; the book is untouched."""


class Side(IntEnum):
    BID = 0
    ASK = 1


NO_SIDE: Final = 255
"""Stands in columns of sides where there is none."""


class Flag(IntFlag):
    SNAPSHOT = 1
    """State, not an event: an order that stands in the snapshot after a CLEAR; uses no seq."""
    LAST = 2
    """The venue's message is complete: books are read, snapshotted and rebuilt only here."""
    INFERRED = 4
    """Concluded, not told by the venue."""
    PLACE_ASSUMED = 8
    """Its place in the queue is an assumption."""
    REENTRY = 16
    """An order that was evicted came back into the window."""
    LATE = 32
    """Attribution after the fact: touches no book."""


FLAG_NAMES: Final = {
    Flag.INFERRED: "inferred",
    Flag.LATE: "late",
    Flag.REENTRY: "reentry",
}
"""Those that every edge tells in an event's metadata."""


class Reason(IntEnum):
    """Why an order changed or ended; the text at every edge is in REASONS."""

    NONE = 0
    FILLED = 1
    CANCELED = 2
    UNKNOWN = 3
    AMENDED = 4
    SELF_TRADE = 5
    TRADED_AS_TAKER = 6
    EXPIRED = 7
    ADMIN = 8


REASONS: dict[int, str] = {
    Reason.FILLED: "filled",
    Reason.CANCELED: "canceled",
    Reason.UNKNOWN: "unknown",
    Reason.AMENDED: "amended",
    Reason.SELF_TRADE: "self-trade",
    Reason.TRADED_AS_TAKER: "traded-as-taker",
    Reason.EXPIRED: "expired",
    Reason.ADMIN: "admin",
}
REASON_CODES: Final = {text: int(code) for code, text in REASONS.items()}


class ApplyResult(IntEnum):
    """What ``OrderBook.apply_one`` answers; everything but APPLIED and LATE is also a counter."""

    APPLIED = 0
    UNKNOWN_ID = 1
    DUPLICATE_ID = 2
    NEGATIVE = 3
    OVERFLOW = 4
    OVERFILL = 5
    LATE = 6


COLUMNS: dict[str, str] = {
    "seq": "ours, +1 per event of a market, across restarts and eras; the only order of replay",
    "venue_seq": "the venue's own sequence, null where it has none",
    "ts_event": "ns, the venue's clock, null where it gives none",
    "ts_recv": "ns, our clock at receipt, never decreasing within a market",
    "kind": "EventKind",
    "side": "Side, null on CLEAR and on a TRADE of which the source tells none",
    "reason": "Reason, 0 where none",
    "flags": "Flag bits",
    "order_id": "128-bit key of the codec, null on CLEAR and TRADE",
    "price": "int64 at price_scale, null on CLEAR",
    "size": "int64 at size_scale, null on CLEAR",
    "trade_id": "128-bit key of the trade codec, null where the venue gives none",
    "taker_order_id": "128-bit key of the codec, null where the venue gives none",
    "taker_side": "Side of the taker, null where unknown",
    "price_before": "CHANGE only: the price before it (filled by the book)",
    "size_before": "CHANGE only: the size before it (filled by the book)",
}
ID_COLUMNS: Final = ("order_id", "trade_id", "taker_order_id")
