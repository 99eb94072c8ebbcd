"""A venue that sends twenty times as much for a minute, row 16 of the fault matrix: nothing is
lost, every store says how far behind it is, and catches up.

``ORDERTAPE_BURST_SECONDS`` (60) says how long; ``make test`` has a second of it
(tests/test_durability_burst.py).
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from bench.fanout import Served, listeners, orders
from bench.serving import API, started
from ordertape.tape.verify import verify
from support.burst import RATE, BurstClock, bursting_venue
from support.processes import SYMBOL, wait_for
from support.tries import run_tries

pytestmark = pytest.mark.torture

EXCHANGE, SECONDS = "bitfinex", float(os.environ.get("ORDERTAPE_BURST_SECONDS") or 60)
DRAINED_S_MAX = 60.0


def test_a_burst_is_recorded_whole_and_drained() -> None:
    assert run_tries("burst", {"twenty times as much": 3}, attempt) == []


def attempt(_case: str, seed: int) -> list[str]:
    """What did not hold."""
    with bursting_venue(seed, SECONDS) as (venue, clock), TemporaryDirectory() as name:
        environment = {
            "ORDERTAPE_BITFINEX_WS_URL": venue.url,
            "ORDERTAPE_BITFINEX_REST_URL": venue.rest_url,
        }
        folder = Path(name)
        with started(folder, environment) as (address, process):
            served = Served(address, process.pid, EXCHANGE)
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
    wrong: list[str] = []
    before = _status(served)["orders_received"]
    bursting = threading.Thread(target=clock.burst, args=(SECONDS,))
    bursting.start()
    found = listeners(served, [orders(served, 10, 20), orders(served, 2, 0)], SECONDS, warm=0.1)
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
