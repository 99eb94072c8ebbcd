"""What each detector is to reach on seeds that tuned nothing, and what of it a score misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ordertape.evaluation.scores import Score

__all__ = ["AIMS", "Aim"]


@dataclass(frozen=True, slots=True)
class Aim:
    """``alarms``: a market hour of clean flow, at most; ``delay_ms``: 99 % are told within it."""

    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    alarms: float | None = None
    delay_ms: float | None = None

    def text(self) -> str:
        parts = [
            None if self.precision is None else f"precision {self.precision:.2f}",
            None if self.recall is None else f"recall {self.recall:.2f}",
            None if self.f1 is None else f"F1 {self.f1:.2f}",
            None if self.alarms is None else f"{self.alarms:g} alarms/h",
            None if self.delay_ms is None else f"p99 {self.delay_ms:g} ms",
        ]
        return ", ".join(part for part in parts if part) or "–"

    def missed(self, score: Score) -> list[str]:
        """What is not reached, or not known; [] where all is."""
        low = (
            ("precision", self.precision, score.precision.value),
            ("recall", self.recall, score.recall.value),
            ("F1", self.f1, score.f1),
        )
        high = (
            ("alarms", self.alarms, score.alarms_per_hour),
            ("delay", self.delay_ms, score.delay(0.99)),
        )
        missed = [n for n, aim, is_ in low if aim is not None and (is_ is None or is_ < aim)]
        missed += [n for n, aim, is_ in high if aim is not None and (is_ is None or is_ > aim)]
        return missed


AIMS: Final = {
    "spoof-like": Aim(precision=0.9, recall=0.9, alarms=0.5),
    "layering": Aim(precision=0.95, recall=0.95),
    "quote stuffing": Aim(recall=0.99, alarms=0.1),
    "native iceberg": Aim(precision=0.99, recall=0.99, delay_ms=250),
    "synthetic iceberg": Aim(f1=0.85),
    "momentum ignition": Aim(),
}
