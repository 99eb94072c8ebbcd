"""What a detector is judged by: episodes as they really went, and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["HONEST", "KINDS", "Finding", "Truth", "order_key"]

KINDS: Final = {
    "spoof-like": "spoofing",
    "layering": "layering",
    "quote stuffing": "quote_stuffing",
    "native iceberg": "native_iceberg",
    "synthetic iceberg": "synthetic_iceberg",
    "momentum ignition": "momentum_ignition",
}
"""What a detector finds, and the simulator's script of it."""
HONEST: Final = ("cancel_all", "requotes", "twap", "large_order", "venue_restart")
"""Hard negatives: what no detector may tell of."""


def order_key(key: bytes) -> int:
    """The number by which an order's id is known here: the low half of its key."""
    return int.from_bytes(key[:8], "little")


@dataclass(slots=True)
class Truth:
    """One episode, times in ns of the tape's clock.

    ``kind``: a name of KINDS, or of HONEST.  ``defined``: the last event that makes it what it is,
    from which a delay counts.  ``orders``: keys of its owner's orders.  ``counted``: whether it is
    of the kind as docs/detectors.md defines it; what is not is neither missed nor false, ``why``
    says what it lacks.  ``facts``: how large, how far, how long, as it came about.
    """

    kind: str
    side: int
    began: int
    ended: int
    defined: int
    orders: list[int]
    counted: bool
    why: str = ""
    facts: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Finding:
    """What a detector told, in the names of the engine's `Detectors`; ``orders``: keys of those it
    names.  ``detail``: whatever else it says."""

    kind: str
    side: int
    began: int
    ended: int
    told: int
    score: float
    orders: tuple[int, ...]
    detail: dict[str, Any] | None = None
