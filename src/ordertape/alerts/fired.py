"""One alert that fired, and what keeps a rule from firing too often."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from ordertape import limits
from ordertape.alerts.rules import Kind, Rule
from ordertape.models import iso_from_ns
from ordertape.numbers import plain
from ordertape.times import NS_PER_SECOND

__all__ = ["Alert", "Gate", "alert_id"]

MINUTE_NS = 60 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Alert:
    """``subject``: what it is about; a rule fires once for each.  ``ts``: ns of our clock."""

    rule: int
    kind: Kind
    exchange: str
    symbol: str
    ts: int
    subject: str
    text: str
    price: Decimal | None = None
    size: Decimal | None = None
    side: str | None = None
    order_id: str | None = None
    left_out: int = 0
    """Alerts of its rule before it that came too often and were told to nobody."""

    @property
    def id(self) -> str:
        return alert_id(self.rule, self.subject)

    def as_json(self) -> dict[str, Any]:
        """As REST shows it."""
        return {
            "id": self.id,
            "rule": self.kind,
            "rule_id": self.rule,
            "exchange": self.exchange,
            "symbol": self.symbol,
            "t": iso_from_ns(self.ts),
            "price": self.price,
            "size": self.size,
            "side": self.side,
            "order_id": self.order_id,
            "text": self.text,
            "left_out": self.left_out,
        }

    def as_frame(self) -> dict[str, Any]:
        """As pages and webhooks are told: prices and sizes are texts."""
        texts = {
            name: value if value is None else plain(value)
            for name, value in (("price", self.price), ("size", self.size))
        }
        return {"op": "alert", **self.as_json(), **texts}


def alert_id(rule: int, subject: str) -> str:
    """The same for the same subject of a rule, whenever and wherever it is made."""
    return blake2b(f"{rule} {subject}".encode(), digest_size=10).hexdigest()


class Gate:
    """Lets each subject of one rule through once, and not too many."""

    def __init__(self, rule: Rule) -> None:
        self._cooldown_ns = int(rule.spec["cooldown_seconds"]) * NS_PER_SECOND
        self._per_minute = int(rule.spec["per_minute"])
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._passed: deque[int] = deque()
        self._last: int | None = None
        self.left_out = 0

    def cooling(self, ts: int) -> bool:
        """Whether the last one is too near.  What goes on waits for it."""
        # An end may be told late, with its own, earlier time.
        return self._last is not None and 0 <= ts - self._last < self._cooldown_ns

    def passes(self, subject: str, ts: int) -> int | None:
        """How many were left out before it, None: this is one of them, or was told already."""
        if subject in self._seen:
            return None
        self._seen[subject] = None
        if len(self._seen) > limits.alert_subjects_kept:
            self._seen.popitem(last=False)
        while self._passed and self._passed[0] <= ts - MINUTE_NS:
            self._passed.popleft()
        if self.cooling(ts) or len(self._passed) >= self._per_minute:
            self.left_out += 1
            return None
        self._passed.append(ts)
        self._last = ts
        left_out, self.left_out = self.left_out, 0
        return left_out
