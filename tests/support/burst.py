"""A simulated Bitfinex that may send many times as much for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ordertape.simulator import SimulatedBitfinex
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock
from support.processes import PAIR

__all__ = ["RATE", "TIMES", "BurstClock", "bursting_venue"]

RATE, TIMES = 200, 20


class BurstClock(Clock):
    """Time at the venue, which stands behind ours and may run faster until it has caught up."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.speed = 1

    async def _run(self) -> None:
        seen = time.monotonic_ns()
        venue_ns = self.exchange.now_ns
        while True:
            now = time.monotonic_ns()
            venue_ns += (now - seen) * self.speed
            seen = now
            self.exchange.run_until(venue_ns)
            await asyncio.sleep(0.005)

    def burst(self, seconds: float) -> None:
        """``TIMES`` as much for so long; returns at its end."""
        self.speed = TIMES
        time.sleep(seconds)
        self.speed = 1


@contextmanager
def bursting_venue(seed: int, seconds: float) -> Iterator[tuple[SimulatedBitfinex, BurstClock]]:
    """In a thread; starts so far in the past that a burst of ``seconds`` ends in the present."""
    start_ns = time.time_ns() - int(seconds * TIMES) * 10**9
    markets = [SimulatedMarket(s, seed, RATE, start_ns) for s in chosen_markets([PAIR], RATE)]
    clock = BurstClock(Exchange(seed, markets, start_ns))
    venue = SimulatedBitfinex(clock=clock, buffer_bytes_max=2**30)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(venue.start(), loop).result(30)
        yield venue, clock
    finally:
        asyncio.run_coroutine_threadsafe(venue.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
