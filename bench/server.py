"""``python -m bench.server``: what a server's clients feel, and what they cost its collector.

Starts ``uvicorn app.main:app`` in a folder that is removed afterwards, over a day of 5,000,000
events with 50,000 resting orders and beside a live simulated market, and prints one line of JSON:

* ``start_ms``: from the start of the process to the first answered request, first and second time;
* ``snapshot_at_ms``: ``GET /snapshot?at=`` at random moments of the day;
* ``receipt_to_websocket_ms``: from the receipt of an event to a WebSocket client, nothing else
  running;
* ``ingest_ms``: from the venue's clock (milliseconds, less its smallest difference to ours) to the
  receipt by the collector, idle and while two clients ask for whole books of the past and pages of
  10,000 without a pause.  Where we are root the venue is preferred by the scheduler, so that its
  own lateness counts less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.peers import Peers
from bench.serving import API, quantiles, serving
from bench.streams import make_stream
from ordertape import EventBatch, read_tape
from ordertape._engine import NULL
from ordertape.events import NO_SIDE, EventKind, Flag
from ordertape.models import iso_from_ns
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.tape.archive import ArchiveWriter
from ordertape.tape.folder import MarketFolder

DAY_START = 1_793_491_200_000_000_000
DAY_NS = 86_400 * 10**9
EXCHANGE, PAST, LIVE = "bitfinex", "OLD/USD", "BTC/USDT"
_APPEND_ROWS = 100_000
_LOOKS = 300
_CLIENTS = 2


def write_day(data: Path, events: int, live: int) -> None:
    """An archived day: a CLEAR with ``live`` orders, then ``events`` spread evenly."""
    stream, _ = make_stream(Peers(True), events, live)
    book, rest = stream.batches()
    clear = EventBatch.from_arrays(
        kind=np.array([EventKind.CLEAR], np.uint8),
        side=np.array([NO_SIDE], np.uint8),
        order_id=np.full((1, 16), 0xFF, np.uint8),
        price=np.array([NULL]),
        size=np.array([NULL]),
        ts_event=np.array([DAY_START]),
        seq=np.array([1]),
        price_scale=book.price_scale,
        size_scale=book.size_scale,
        codec="uuid",
    )
    writer = ArchiveWriter(MarketFolder(data, EXCHANGE, PAST))
    writer.append(EventBatch.concat([clear, _timed(book, None, np.zeros(len(book), np.int64))]))
    times = np.linspace(0, DAY_NS - 1, len(rest)).astype(np.int64)
    for first in range(0, len(rest), _APPEND_ROWS):
        part = rest[first : first + _APPEND_ROWS]
        writer.append(_timed(part, 2 + first, times[first : first + len(part)]))
    writer.close_file()
    writer.commit()


def _timed(batch: EventBatch, first_seq: int | None, times: np.ndarray[Any, Any]) -> EventBatch:
    """With our times and seqs; ``first_seq`` None: orders that stand in the CLEAR before them."""
    standing = first_seq is None
    flags = np.full(len(batch), Flag.SNAPSHOT if standing else Flag.LAST, np.uint16)
    flags[-1] |= Flag.LAST
    seq = np.ones(len(batch), np.int64) if standing else np.arange(len(batch)) + (first_seq or 0)
    names = ("kind", "side", "order_id", "price", "size")
    return EventBatch.from_arrays(
        **{name: np.asarray(batch.column(name)) for name in names},
        ts_event=DAY_START + times,
        seq=seq,
        flags=flags,
        price_scale=batch.price_scale,
        size_scale=batch.size_scale,
        codec="uuid",
    )


@contextmanager
def simulated(
    rate: int, exchange: str = EXCHANGE, orders: int | None = None
) -> Iterator[dict[str, str]]:
    """The addresses of a simulated venue, and its keys, as a server takes them.  ``orders``: that
    rest in its book, where not as many as it has by itself."""
    preferred = ["nice", "-n", "-10"] if os.geteuid() == 0 else []
    command = [*preferred, sys.executable, "-m", "ordertape.simulator", exchange]
    resting = [] if orders is None else ["--orders", str(orders)]
    venue = subprocess.Popen(
        [*command, "--rate", str(rate), *resting, "--watch-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert venue.stdout is not None
    told = json.loads(venue.stdout.readline())
    try:
        yield {
            f"ORDERTAPE_{exchange.upper()}_WS_URL": told["url"],
            f"ORDERTAPE_{exchange.upper()}_REST_URL": told["rest_url"],
            "COINBASE_API_KEY": DEMO_KEYS.key,
            "COINBASE_API_SECRET": DEMO_KEYS.secret,
            "COINBASE_API_PASSPHRASE": DEMO_KEYS.passphrase,
        }
    finally:
        venue.terminate()
        venue.wait(10)


def looks_back(address: str) -> dict[str, float]:
    """Books of random moments of the day, one after the other."""
    draw, found = random.Random(7), []
    with httpx.Client(base_url=address + API, timeout=60) as client:
        for _ in range(_LOOKS):
            at = iso_from_ns(DAY_START + draw.randrange(DAY_NS))
            begun = time.perf_counter()
            client.get(f"/snapshot/{EXCHANGE}/{PAST}", params={"at": at}).raise_for_status()
            found.append((time.perf_counter() - begun) * 1000)
    return quantiles(np.array(found))


class Arrivals(WSListener):
    """Keeps each text and when it came; what it says is read afterwards."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            self.frames.append((time.time_ns(), frame.get_payload_as_bytes()))


async def arrivals(url: str, seconds: int) -> list[tuple[int, bytes]]:
    transport, listener = await ws_connect(Arrivals, url, max_frame_size=2**30)
    await asyncio.sleep(seconds)
    transport.disconnect()
    assert isinstance(listener, Arrivals)
    return listener.frames


def listens(address: str, seconds: int) -> dict[str, float]:
    """Each event's age when a WebSocket client has it."""
    url = f"{address.replace('http', 'ws', 1)}{API}/ws/{LIVE}"
    found: list[float] = []
    for here, text in asyncio.run(arrivals(url, seconds)):
        if text.startswith(b'{"type":"l3_order"'):
            found.append((here - json.loads(text)["data"]["metadata"]["ts_recv_ns"]) / 1e6)
    return {**quantiles(np.array(found)), "events_per_second": round(len(found) / seconds)}


def asks_heavily(address: str, done: threading.Event, asked: list[int]) -> None:
    """Whole books of the past and large pages, without a pause."""
    # Clients are elsewhere as a rule: what they do themselves is not to count.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    draw = random.Random(threading.get_ident())
    with httpx.Client(base_url=address + API, timeout=60) as client:
        while not done.is_set():
            at = iso_from_ns(DAY_START + draw.randrange(DAY_NS))
            client.get(f"/snapshot/{EXCHANGE}/{PAST}", params={"at": at, "depth": 0})
            page = {"limit": 10_000, "start_time": at}
            client.get(f"/orders/{EXCHANGE}/{PAST}", params=page).raise_for_status()
            asked.append(2)


def ingests(address: str, data: Path, seconds: int) -> dict[str, Any]:
    """Receipt by the collector after the venue's clock: idle, then beside heavy clients."""
    idle_from = time.time_ns()
    time.sleep(seconds)
    idle_to, done, asked = time.time_ns(), threading.Event(), list[int]()
    clients = [
        threading.Thread(target=asks_heavily, args=(address, done, asked)) for _ in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(seconds)
    heavy_to = time.time_ns()
    done.set()
    for client in clients:
        client.join()
    idle, heavy = delays(data, idle_from, idle_to), delays(data, idle_to, heavy_to)
    idle, heavy = idle - idle.min(), heavy - heavy.min()
    return {
        "idle": quantiles(idle),
        "heavy": quantiles(heavy),
        "p99_ratio": round(float(np.quantile(heavy, 0.99) / np.quantile(idle, 0.99)), 2),
        "heavy_answers_per_second": round(sum(asked) / seconds, 1),
        "events_per_second": round(len(heavy) / seconds),
    }


def delays(data: Path, start: int, end: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Milliseconds from the venue's clock to receipt, of the orders opened in between: what a
    trade led to carries the trade's own, earlier time."""
    found = []
    for batch in read_tape(data, exchange=EXCHANGE, symbol=LIVE, start=start, end=end):
        column = batch.column("ts_event")
        if column is not None:
            ages = np.asarray(batch.column("ts_recv")) - np.asarray(column)
            opened = np.asarray(batch.column("kind")) == EventKind.OPEN
            found.append(
                ages[opened & (np.asarray(batch.column("flags")) & Flag.SNAPSHOT == 0)] / 1e6
            )
    return np.concatenate(found)


def measure(events: int, live: int, seconds: int, rate: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ordertape-bench-") as name:
        folder = Path(name)
        data = folder / "data"
        write_day(data, events, live)
        with serving(folder, {}) as (_, first_ms):
            pass
        with (
            simulated(rate) as environment,
            serving(folder, environment) as (address, second_ms),
        ):
            found: dict[str, Any] = {"start_ms": [round(first_ms), round(second_ms)]}
            found["snapshot_at_ms"] = looks_back(address)
            wish = {"symbol": LIVE, "exchanges": [EXCHANGE]}
            httpx.post(f"{address}{API}/start", json=wish, timeout=30).raise_for_status()
            while httpx.get(f"{address}{API}/status/{EXCHANGE}/{LIVE}").json()["state"] != "LIVE":
                time.sleep(0.05)
            found["receipt_to_websocket_ms"] = listens(address, seconds)
            found["ingest_ms"] = ingests(address, data, seconds)
            return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.server", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="of the day")
    parser.add_argument("--live", type=int, default=50_000, help="orders resting in its book")
    parser.add_argument("--seconds", type=int, default=30, help="of each live measurement")
    parser.add_argument("--rate", type=int, default=900, help="operations a second of the venue")
    options = parser.parse_args()
    print(json.dumps(measure(options.events, options.live, options.seconds, options.rate)))


if __name__ == "__main__":
    main()
