"""Events a second, from samples of a count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ordertape import limits

__all__ = ["Rate"]

_NS = 1_000_000_000


class Rate:
    """A count is sampled as each second begins, so that nothing is done for most events."""

    def __init__(self, count: Callable[[], int], seconds: int = limits.stream_rate_seconds) -> None:
        """``count`` answers how many there were so far."""
        self._count, self._seconds = count, seconds
        self._samples: deque[tuple[int, int]] = deque(maxlen=seconds + 1)
        self.next_sample = 0
        """When the next sample is due (ns)."""

    def sample(self, now: int, count: int) -> None:
        """``count`` stood so as the second of ``now`` (ns) began."""
        second = now // _NS
        self._samples.append((second, count))
        self.next_sample = (second + 1) * _NS

    def per_second(self, now: int) -> float:
        """Mean from the oldest sample within the window to ``now`` (ns)."""
        begin = now // _NS - self._seconds
        for second, before in self._samples:
            if second >= begin:
                return (self._count() - before) * _NS / max(now - second * _NS, _NS)
        return 0.0
