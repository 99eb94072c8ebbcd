"""One pattern of orders that was found, as everybody is told of it.

Public feeds name no traders: a finding says what the orders looked like, never who meant what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from ordertape import limits
from ordertape.events import Side
from ordertape.numbers import plain
from ordertape.times import NS_PER_SECOND, iso_from_ns

__all__ = ["FINDING_KINDS", "PHASES", "Finding", "finding_of"]

FINDING_KINDS: Final = (
    "spoof-like",
    "layering",
    "quote stuffing",
    "native iceberg",
    "synthetic iceberg",
    "momentum ignition",
)
REPLAY_BEFORE_NS: Final = 5 * NS_PER_SECOND
"""A replay of a finding begins so long before it."""
PHASES: Final = ("detected", "traded", "executed", "cancelled")
"""An iceberg is detected, traded with again, then executed or cancelled; others are detected."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Times are ns of our clock.  ``side``: of the orders that were shown; of momentum ignition the
    taker's.  ``told``: when it was found, by the event ``told_seq``.  ``score`` and the parts of
    it, ``evidence`` and ``against``, go from 0 to 1."""

    kind: str
    side: Side
    phase: str
    began: int
    ended: int
    told: int
    began_seq: int
    told_seq: int
    price_low: Decimal
    price_high: Decimal
    size: Decimal
    """Everything that was shown."""
    filled: Decimal
    score: float
    evidence: Mapping[str, float]
    against: Mapping[str, float]
    order_ids: tuple[str, ...]
    """The venue's texts, the first ones where there are many."""
    orders: int
    """How many there were."""
    phases: tuple[tuple[str, int], ...]
    """Each phase so far and when it was told (ns), the last ones where there are many."""

    @property
    def id(self) -> str:
        """The same in every phase, and unique in its market."""
        return f"{self.kind.replace(' ', '-')}-{self.side.name.lower()}-{self.began_seq}"

    def is_known_to(self, earlier: Finding) -> bool:
        """Whether it was told before: a walk that began anew tells phases again."""
        known = all(phase in earlier.phases for phase in self.phases)
        return known and self.told_seq <= earlier.told_seq

    def after(self, earlier: Finding) -> Finding:
        """As it is now, with the phases that it went through before."""
        phases = (*earlier.phases, *self.phases)[-limits.finding_phases_kept :]
        return replace(self, phases=phases)

    def replay(self, exchange: str, symbol: str) -> str:
        """The address of the page, from where a server has it, that plays its moment again."""
        at = iso_from_ns(self.began - REPLAY_BEFORE_NS)
        return f"/?{urlencode({'exchange': exchange, 'symbol': symbol, 'at': at})}"

    def as_json(self) -> dict[str, Any]:
        """As REST shows it: exact numbers, times ISO."""
        return {
            "id": self.id,
            "kind": self.kind,
            "side": self.side.name.lower(),
            "phase": self.phase,
            "began": iso_from_ns(self.began),
            "ended": iso_from_ns(self.ended),
            "told": iso_from_ns(self.told),
            "began_sequence": self.began_seq,
            "told_sequence": self.told_seq,
            "price_low": self.price_low,
            "price_high": self.price_high,
            "size": self.size,
            "filled": self.filled,
            "score": self.score,
            "evidence": dict(self.evidence),
            "against": dict(self.against),
            "order_ids": list(self.order_ids),
            "orders": self.orders,
            "phases": [{"phase": phase, "at": iso_from_ns(at)} for phase, at in self.phases],
        }

    def as_frame(self) -> dict[str, Any]:
        """As pages are told: prices and sizes are texts, of many phases the first and the last."""
        names = ("price_low", "price_high", "size", "filled")
        told, later = self.as_json(), max(1, len(self.phases) - limits.finding_phases_told)
        told["phases"] = told["phases"][:1] + told["phases"][later:]
        return told | {name: plain(getattr(self, name)) for name in names}


def finding_of(told: Mapping[str, Any]) -> Finding:
    """What the engine's ``Detectors`` tell."""
    price_scale, size_scale = int(told["price_scale"]), int(told["size_scale"])
    return Finding(
        kind=told["kind"],
        side=Side(told["side"]),
        phase=told["phase"],
        began=told["began"],
        ended=told["ended"],
        told=told["told"],
        began_seq=told["began_seq"],
        told_seq=told["told_seq"],
        price_low=Decimal(told["price_low"]).scaleb(-price_scale),
        price_high=Decimal(told["price_high"]).scaleb(-price_scale),
        size=Decimal(told["size"]).scaleb(-size_scale),
        filled=Decimal(told["filled"]).scaleb(-size_scale),
        score=told["score"],
        evidence=told["evidence"],
        against=told["against"],
        order_ids=tuple(told["order_ids"]),
        orders=told["orders"],
        phases=((told["phase"], told["told"]),),
    )
