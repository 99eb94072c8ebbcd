"""The exchange of a soak: two venues in a thread of the test, with a log of what it did to them."""

from __future__ import annotations

import asyncio
import bisect
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from ordertape import limits
from ordertape.simulator.bitfinex import SimulatedBitfinex
from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.faults_rules import Kind, Rule
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock

__all__ = ["MARKETS", "Loss", "Venues"]

MARKETS = {"bitfinex": "BTC/USD", "coinbase": "BTC-USD"}
_TEXTS = {"bitfinex": 20_000, "coinbase": 80_000}
"""One text in so many is hit by each rule."""
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that was done, by the wall's clock (ns).  ``shown``: a client can tell at once."""

    venue: str
    what: str
    at: int
    until: int
    shown: bool


class Venues:
    """Both venues show one exchange, between enter and exit.  Every fault comes with the seed."""

    def __init__(self, seed: int, rate: int, orders: int = 400) -> None:
        self._seed, self._rate, self._orders = seed, rate, orders
        kinds = (Kind.DROP, Kind.GARBLE, Kind.RESET, Kind.CLOSE)
        self._plans = {
            name: FaultPlan(
                seed + nth,
                [Rule(kind, message=200, every=every) for kind in kinds],
            )
            for nth, (name, every) in enumerate(_TEXTS.items())
        }
        self._times: list[tuple[int, int]] = []
        """The exchange's time and the wall's, ten times a second."""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="venues")
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # A clock that stands still with the machine would refuse our signatures as too new.
        vars(limits).update(simulator_lag_ms_max=3_600_000)
        start = time.time_ns()
        markets = [
            SimulatedMarket(shape, self._seed, self._rate, start, live_orders=self._orders)
            for shape in chosen_markets(("BTC-USD",), self._rate)
        ]
        clock = Clock(Exchange(self._seed, markets, start))
        async with (
            SimulatedBitfinex(clock=clock, plan=self._plans["bitfinex"]) as bitfinex,
            SimulatedCoinbase(clock=clock, plan=self._plans["coinbase"]) as coinbase,
        ):
            self.environment = {
                "ORDERTAPE_BITFINEX_WS_URL": bitfinex.url,
                "ORDERTAPE_BITFINEX_REST_URL": bitfinex.rest_url,
                "ORDERTAPE_COINBASE_WS_URL": coinbase.url,
                "ORDERTAPE_COINBASE_REST_URL": coinbase.rest_url,
                "COINBASE_API_KEY": DEMO_KEYS.key,
                "COINBASE_API_SECRET": DEMO_KEYS.secret,
                "COINBASE_API_PASSPHRASE": DEMO_KEYS.passphrase,
            }
            self._ready.set()
            ended = asyncio.create_task(clock.wait())
            while not self._stop.is_set():
                # The exchange's time stands still where the machine did.
                self._times.append((clock.exchange.now_ns, time.time_ns()))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.1)
                assert not ended.done(), ended.exception()
            ended.cancel()

    def losses(self) -> list[Loss]:
        """Everything so far that a client may have missed."""
        found = []
        for name, plan in self._plans.items():
            for injected in list(plan.losses()):
                ends = injected.kind in (Kind.RESET, Kind.CLOSE)
                at, until = injected.time_ns, injected.until_ns or injected.time_ns
                found.append(
                    Loss(
                        name,
                        f"{injected.kind.value} on connection {injected.connection}, text "
                        f"{injected.message}",
                        self._wall(at),
                        self._wall(until),
                        ends or injected.first is not None,
                    )
                )
        return found

    def _wall(self, at: int) -> int:
        """The wall's time when the exchange's came to that."""
        reached = bisect.bisect_left(self._times, (at, 0))
        if reached == len(self._times):
            return self._times[-1][1]
        return self._times[reached][1] - (self._times[reached][0] - at)
