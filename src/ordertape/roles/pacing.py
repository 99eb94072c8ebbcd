"""When to connect: at most so many attempts a minute, and ever rarer after failures."""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Callable

from ordertape import limits

__all__ = ["Backoff", "Pacer"]


class Pacer:
    """Lets at most ``per_minute`` connects begin in any 60 seconds, first come, first served.

    Bitfinex closes the door to an address that opens more than 20 connections a minute
    (docs.bitfinex.com, "WebSocket: rate limits").
    """

    window_seconds = 60.0

    def __init__(self, per_minute: int = limits.connects_per_minute_max) -> None:
        self._per_minute = per_minute
        self._begun: collections.deque[float] = collections.deque()
        self._turn = asyncio.Lock()

    async def wait(self) -> float:
        """Returns when a connect may begin; the seconds it waited."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        async with self._turn:
            if len(self._begun) >= self._per_minute:
                await asyncio.sleep(self._begun.popleft() + self.window_seconds - loop.time())
            self._begun.append(loop.time())
        return loop.time() - asked


class Backoff:
    """Waits that double from min to max, with full jitter: each is uniform between 0 and its bound.

    Full jitter spreads the clients of a venue that comes back (M. Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(
        self,
        ms_min: int = limits.reconnect_backoff_ms_min,
        ms_max: int = limits.reconnect_backoff_ms_max,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._ms_min, self._ms_max, self._uniform = ms_min, ms_max, uniform
        self.failures = 0

    def next_seconds(self) -> float:
        """The wait before the next attempt, in seconds."""
        bound_ms = min(self._ms_max, self._ms_min * 2 ** min(self.failures, 30))
        self.failures += 1
        return self._uniform(0, bound_ms) / 1000

    def reset(self) -> None:
        """The connection proved itself."""
        self.failures = 0
