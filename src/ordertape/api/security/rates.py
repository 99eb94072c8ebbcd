"""How often one client may ask: a bucket of tokens each, which fills while nobody asks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ordertape import limits
from ordertape.kept import Kept

__all__ = ["Rates"]


class Rates:
    """Buckets of clients.  Each holds ``burst`` tokens at most, fills by ``per_second``, and gives
    one a request; one that is empty says how long to wait."""

    def __init__(
        self, per_second: float, burst: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._now = per_second, burst, now
        self._buckets: Kept[str, tuple[float, float]] = Kept(limits.clients_known)
        """By client: (tokens, when there were so many)."""

    def take(self, client: str) -> int:
        """0 where the client may go on, else the whole seconds it is to wait."""
        now = self._now()
        tokens, then = self._buckets.get(client) or (float(self._burst), now)
        tokens = min(self._burst, tokens + (now - then) * self._per_second)
        if tokens < 1:
            self._buckets.put(client, (tokens, now))
            return max(1, math.ceil((1 - tokens) / self._per_second))
        self._buckets.put(client, (tokens - 1, now))
        return 0
