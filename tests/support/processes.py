"""Venue and collector as processes of their own, as people run them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ordertape.roles.children import Child
from ordertape.roles.status import StreamReport, read_report
from ordertape.tape.folder import MarketFolder

PAIR = "tBTCUST"
SYMBOL = "BTC/USDT"


@contextmanager
def simulated_venue(
    rate: int = 500, pairs: tuple[str, ...] = (PAIR,), port: int = 0
) -> Iterator[dict[str, str]]:
    """The environment of a collector whose Bitfinex is a simulated one."""
    arguments = ["--rate", str(rate), "--port", str(port), "--watch-parent"]
    for pair in pairs:
        arguments += ["--symbol", pair]
    venue = Child("the venue", "ordertape.simulator", arguments)
    try:
        listening = json.loads(venue.first_line())
        yield {
            "ORDERTAPE_BITFINEX_WS_URL": listening["url"],
            "ORDERTAPE_BITFINEX_REST_URL": listening["rest_url"],
        }
    finally:
        venue.stop()


def start_collector(
    data: Path, environment: dict[str, str], *arguments: str, symbols: tuple[str, ...] = (SYMBOL,)
) -> Child:
    """A collector that reports every few milliseconds; its logs lie beside the data."""
    return Child(
        "the collector",
        "ordertape.roles.collector",
        ["bitfinex", *symbols, "--data", str(data), "--simulated", "--report-ms", "10", *arguments],
        {**environment, "ORDERTAPE_LOGS": str(data.parent / "logs")},
    )


def wait_for(
    condition: Callable[[], bool], what: str, seconds: float = 60.0, pause: float = 0.005
) -> None:
    """Returns as soon as the condition holds: files of other processes tell no one.

    ``pause``: seconds between two looks; longer where a look is work for a server.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)


def report_of(data: Path, child: Child, symbol: str = SYMBOL) -> StreamReport | None:
    """What this very collector reports."""
    report = read_report(MarketFolder(data, "bitfinex", symbol).root)
    return report if report is not None and report.pid == child.pid else None


def wait_live(data: Path, child: Child, events: int = 1, symbol: str = SYMBOL) -> StreamReport:
    """Its report once the market is LIVE and that many events came."""

    def there() -> bool:
        assert child.status is None, child.ending()
        report = report_of(data, child, symbol)
        return report is not None and report.state == "LIVE" and report.events >= events

    wait_for(there, f"{symbol} LIVE with {events} events")
    report = report_of(data, child, symbol)
    assert report is not None
    return report


def load() -> float:
    """By how much this machine is slower than one of its own."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def slowness() -> float:
    """By how much work takes longer here and now than 30 ms, which a machine of two virtual cores
    takes (34 at best) where nothing else computes."""
    began, total = time.perf_counter(), 0
    for number in range(1_000_000):
        total += number
    return max(load(), (time.perf_counter() - began) / 0.03)
