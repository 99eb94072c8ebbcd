"""Events a second, from samples of a count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ordertape import limits
from ordertape.times import NS_PER_SECOND

__all__ = ["Rate"]


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
        second = now // NS_PER_SECOND
        self._samples.append((second, count))
        self.next_sample = (second + 1) * NS_PER_SECOND

    def per_second(self, now: int) -> float:
        """Mean from the oldest sample within the window to ``now`` (ns)."""
        begin = now // NS_PER_SECOND - self._seconds
        for second, before in self._samples:
            if second >= begin:
                return (
                    (self._count() - before)
                    * NS_PER_SECOND
                    / max(now - second * NS_PER_SECOND, NS_PER_SECOND)
                )
        return 0.0
