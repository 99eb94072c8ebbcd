"""Frames that could not be parsed, kept within bounds for whoever wants to know why."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ordertape import limits

__all__ = ["Quarantine", "Quarantined"]


class Quarantined(NamedTuple):
    """``ts``: ns at receipt; ``text``: at most ``limits.quarantine_frame_bytes_max`` of it."""

    ts: int
    reason: str
    text: bytes
    length: int


class Quarantine:
    """The last frames refused; ``total`` counts all there were."""

    def __init__(
        self,
        frames_max: int = limits.quarantine_frames_max,
        frame_bytes_max: int = limits.quarantine_frame_bytes_max,
    ) -> None:
        self._frame_bytes_max = frame_bytes_max
        self.frames: deque[Quarantined] = deque(maxlen=frames_max)
        self.total = 0

    def add(self, ts: int, reason: str, text: bytes) -> None:
        self.total += 1
        self.frames.append(Quarantined(ts, reason, text[: self._frame_bytes_max], len(text)))
