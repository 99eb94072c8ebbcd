"""``python -m bench.depths``: what clients cost who come at once, each for a book of another depth.

Starts a server in a folder that is removed afterwards beside a simulated venue with a large book,
and lets clients in three times: none, all with one depth, each with a depth of its own.  Prints a
table: how long ``/healthz`` took at most and at the median meanwhile, when the last client had its
book (with the start of their process), and what the server's memory grew by at most.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Sequence

import httpx
from websockets.asyncio.client import connect

from bench.fanout import Served, live, table

_EXCHANGE = "coinbase"


async def _take(url: str, depth: int) -> None:
    async with connect(f"{url}?exchange={_EXCHANGE}&depth={depth}", max_size=None) as client:
        while not (await client.recv(decode=False)).startswith(b'{"type":"l3_snapshot"'):
            pass


def _take_all(url: str, depths: Sequence[int]) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(_take(url, depth) for depth in depths))

    asyncio.run(all_of_them())


def beside(served: Served, name: str, depths: Sequence[int]) -> dict[str, str | int | float]:
    """What the others notice while these take their books."""
    base = most = served.memory()
    clients = multiprocessing.get_context("spawn").Process(
        target=_take_all, args=(served.socket, depths)
    )
    took, begun = list[float](), time.monotonic()
    clients.start()
    over = begun
    with httpx.Client(base_url=served.address, timeout=120) as asking:
        while clients.is_alive() or time.monotonic() < begun + 5:
            over = time.monotonic() if clients.is_alive() else over
            asked = time.perf_counter()
            asking.get("/healthz").raise_for_status()
            took.append((time.perf_counter() - asked) * 1000)
            most = max(most, served.memory())
            clients.join(0.01)
    assert clients.exitcode == 0
    return {
        "clients": name,
        "healthz_p50_ms": round(statistics.median(took), 1),
        "healthz_max_ms": round(max(took)),
        "all_served_s": round(over - begun, 1),
        "memory_mib": most - base >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench.depths", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=40_000, help="of the book, both sides")
    parser.add_argument("--rate", type=int, default=200, help="operations a second")
    parser.add_argument("--clients", type=int, default=40)
    options = parser.parse_args()
    first = options.orders // 3
    each = range(first, first + options.clients)
    with live(options.rate, _EXCHANGE, options.orders) as served:
        rows = [
            beside(served, "none", []),
            beside(served, f"{len(each)} of one depth", [first] * len(each)),
            beside(served, f"{len(each)} of {len(each)} depths", each),
        ]
    table(rows)


if __name__ == "__main__":
    main()
