"""A venue that sends twenty times as much for a minute, row 16 of the fault matrix: nothing is
lost, every store says how far behind it is, and catches up.

``ORDERTAPE_BURST_SECONDS`` (60) says how long.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from bench.fanout import Served, listeners, orders
from bench.serving import API, started
from ordertape.simulator import SimulatedBitfinex
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.markets import chosen_markets
from ordertape.simulator.sockets import Clock
from ordertape.tape.verify import verify
from support.processes import wait_for
from support.tries import run_tries

pytestmark = pytest.mark.torture

EXCHANGE, SYMBOL, PAIR = "bitfinex", "BTC/USDT", "tBTCUST"
RATE, TIMES, SECONDS = 200, 20, float(os.environ.get("ORDERTAPE_BURST_SECONDS") or 60)
DRAINED_S_MAX = 60.0


def test_a_burst_is_recorded_whole_and_drained() -> None:
    assert run_tries("burst", {"twenty times as much": 3}, attempt) == []


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


@contextmanager
def bursting_venue(seed: int) -> Iterator[tuple[SimulatedBitfinex, BurstClock]]:
    """In a thread; starts so far in the past that a burst ends in the present."""
    start_ns = time.time_ns() - int(SECONDS * TIMES) * 10**9
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


def attempt(_case: str, seed: int) -> list[str]:
    """What did not hold."""
    with bursting_venue(seed) as (venue, clock), TemporaryDirectory() as name:
        environment = {
            "ORDERTAPE_BITFINEX_WS_URL": venue.url,
            "ORDERTAPE_BITFINEX_REST_URL": venue.rest_url,
        }
        folder = Path(name)
        with started(folder, environment) as (address, process):
            served = Served(address, process.pid)
            wish = {"symbol": SYMBOL, "exchanges": [EXCHANGE]}
            wait_for(
                lambda: httpx.post(f"{address}{API}/start", json=wish, timeout=60).is_success,
                "the stream",
                60,
                pause=0.5,
            )
            wait_for(lambda: _status(served)["state"] == "LIVE", "LIVE", 30, pause=0.1)
            wrong = _burst(served, clock)
            answer = httpx.post(f"{address}{API}/stop/{EXCHANGE}/{SYMBOL}", timeout=60)
            recorded = answer.json()["status"]["orders_received"]
        report = verify(folder / "data", EXCHANGE, SYMBOL)
        if not report.equal or report.gaps:
            wrong.append(f"expected a whole tape, found {report}")
        if report.events < recorded:
            wrong.append(f"{recorded} events were received, {report.events} are on the tape")
    return wrong


def _burst(served: Served, clock: BurstClock) -> list[str]:
    def quicken() -> None:
        clock.speed = TIMES
        time.sleep(SECONDS)
        clock.speed = 1

    wrong: list[str] = []
    before = _status(served)["orders_received"]
    bursting = threading.Thread(target=quicken)
    bursting.start()
    found = listeners(served, [orders(10, 20), orders(2, 0)], SECONDS, warm=0.1)
    bursting.join()
    ended = time.monotonic()
    wrong += [f"{group}" for group in found["groups"] if group["gaps"] or group["lost"]]
    shown = f'{{exchange="{EXCHANGE}",symbol="{SYMBOL}"}}'
    behind = "ordertape_database_behind_events" + shown

    def drained() -> bool:
        page = httpx.get(f"{served.address}/metrics", timeout=30).text
        assert behind in page, "how far the database is behind is not told"
        return (
            served.figure(behind) < RATE
            and served.figure("ordertape_unsynced_events" + shown) < RATE
        )

    wait_for(drained, "the end of what was behind", 2 * DRAINED_S_MAX, pause=0.2)
    if (took := time.monotonic() - ended) > DRAINED_S_MAX:
        wrong.append(f"expected it drained within {DRAINED_S_MAX} s, took {took:.1f} s")
    came = _status(served)["orders_received"] - before
    print(
        json.dumps({"events": came, "a_second": round(came / SECONDS), "drained_s": round(took, 1)})
    )
    return wrong


def _status(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(
        f"{served.address}{API}/status/{EXCHANGE}/{SYMBOL}", timeout=30
    ).json()
    return found
