"""``python -m bench.fanout``: what a server with many WebSocket clients takes, and holds.

Starts ``uvicorn app.main:app`` with all its roles in a folder that is removed afterwards, beside a
simulated venue, with the clients in a process of their own, and prints a table:

* ``load``: at 1,000 events a second, 1,000 clients on statistics at 10 a second and 100 on events
  with ``batch_ms=20``: gaps, ages (of an event since our receipt, of statistics since they were
  made), what the server's memory grows by;
* ``rate``: 100 clients with a frame an event, at rising rates: the highest without a gap and with
  a 99th percentile up to 100 ms;
* ``stuck``: 100 clients on events without and with one that reads nothing, in turn: when that one
  is closed, what waits for it, and what the others and REST notice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

from bench.server import EXCHANGE, LIVE, simulated
from bench.serving import API, started

_TOP = Path(__file__).resolve().parent.parent
_MS_MAX = 100.0
SYMBOLS = {EXCHANGE: LIVE, "coinbase": "BTC/USD"}


@dataclass
class Served:
    """A server whose stream is LIVE."""

    address: str
    pid: int
    exchange: str

    @property
    def socket(self) -> str:
        return f"{self.address.replace('http', 'ws', 1)}{API}/ws/{SYMBOLS[self.exchange]}"

    def memory(self) -> int:
        """Bytes of the server's own process."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def frames(self) -> float:
        return self.figure("ordertape_frames_sent_total")

    def figure(self, name: str) -> float:
        """One line of /metrics."""
        for line in httpx.get(f"{self.address}/metrics", timeout=30).text.splitlines():
            if line.split(" ")[0] == name:
                return float(line.split(" ")[1])
        return 0.0


@contextmanager
def live(rate: int, exchange: str, orders: int | None = None) -> Iterator[Served]:
    symbol = SYMBOLS[exchange]
    with (
        tempfile.TemporaryDirectory(prefix="ordertape-bench-") as name,
        simulated(rate, exchange, orders) as environment,
        started(Path(name), environment) as (address, process),
    ):
        wish = {"symbol": symbol, "exchanges": [exchange]}
        _begin(address, wish)
        while httpx.get(f"{address}{API}/status/{exchange}/{symbol}").json()["state"] != "LIVE":
            time.sleep(0.05)
        time.sleep(3)  # what a start costs is none of the figures
        yield Served(address, process.pid, exchange)


def _begin(address: str, wish: dict[str, Any]) -> None:
    """Again while the collector's process is not there yet, on a busy machine."""
    deadline = time.monotonic() + 60
    while (answer := httpx.post(f"{address}{API}/start", json=wish, timeout=60)).is_server_error:
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    answer.raise_for_status()


def listeners(
    served: Served, groups: Sequence[dict[str, Any]], seconds: float, warm: float = 3
) -> dict[str, Any]:
    """What clients in a process of their own found, and what the server took meanwhile."""
    plan = {"url": served.socket, "groups": groups, "seconds": seconds, "warm": warm}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.listeners"],
        cwd=_TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(json.dumps(plan), file=process.stdin, flush=True)
        connected = json.loads(process.stdout.readline())
        begun, cpu, sent = time.monotonic(), served.cpu_seconds(), served.frames()
        memory, found = served.memory(), ""
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while not found:
            if poll.poll(200):
                found = process.stdout.readline()
            memory = max(memory, served.memory())
        spent, sent = served.cpu_seconds() - cpu, served.frames() - sent
        told = {
            "server_cpu_share": round(spent / (time.monotonic() - begun), 2),
            "server_us_per_frame": round(spent / max(sent, 1) * 1e6, 1),
            "memory": memory,
        }
        return {**connected, **json.loads(found), **told}
    finally:
        process.kill()
        process.wait()


def orders(served: Served, count: int, batch_ms: int) -> dict[str, Any]:
    query = f"exchange={served.exchange}&frames=orders&batch_ms={batch_ms}"
    return {"name": f"events, batch_ms={batch_ms}", "query": query, "count": count}


def table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows with the same columns."""
    names = list(rows[0])
    texts = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(text[at]) for text in texts) for at in range(len(names))]
    for text in texts:
        print("  ".join(part.ljust(width) for part, width in zip(text, widths, strict=True)))


# Measurements -------------------------------------------------------------------------------------


def load(options: argparse.Namespace) -> None:
    with live(options.rate, options.exchange) as served:
        base = served.memory()
        query = f"exchange={options.exchange}&frames=statistics&statistics_ms=100"
        watching = {"name": "statistics, 10/s", "query": query, "count": options.watching}
        groups = [watching, orders(served, options.reading, 20)]
        found = listeners(served, groups, options.seconds)
        table(found["groups"])
        print(
            f"memory {base >> 20} MiB + {found['memory'] - base >> 20} MiB; server "
            f"{found['server_cpu_share']} of a core, {found['server_us_per_frame']} us a frame, "
            f"clients {found['cpu_share']}; "
            f"all connected after {found['connected_s']} s"
        )


def rate(options: argparse.Namespace) -> None:
    rows = []
    for offered in options.rates:
        with live(offered, options.exchange) as served:
            found = listeners(served, [orders(served, options.reading, 0)], options.seconds)
        shares = {
            "server_cpu": found["server_cpu_share"],
            "us_per_frame": found["server_us_per_frame"],
            "clients_cpu": found["cpu_share"],
        }
        rows.append({"offered": offered, **found["groups"][0], **shares})
        held = rows[-1]["p99_ms"] <= _MS_MAX and not rows[-1]["gaps"] + rows[-1]["lost"]
        rows[-1]["held"] = held
        print(f"{offered} a second offered: {'held' if held else 'not held'}", file=sys.stderr)
    table(rows)


@dataclass
class Stuck:
    """Clients that were let in and read nothing, from their last one's entry on."""

    count: int
    full_s: float = 0.0
    """Until the mailboxes of all were full."""
    closed_s: float = 0.0
    """Until all were closed."""
    closed: int = 0
    held: int = 0
    """The most that the kernel held for the first."""

    def run(self, served: Served, over: threading.Event) -> None:
        before = served.figure("ordertape_clients_too_slow_total")
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(_deaf(served)) for _ in range(self.count)]
            begun, poll = time.monotonic(), select.poll()
            for client in clients:
                poll.register(client, select.POLLERR | select.POLLHUP | select.POLLRDHUP)
            # Where there are none, too: what asking for the figures costs is none of them.
            while not over.is_set() and not 0 < self.count == self.closed:
                for file, _ in poll.poll(100):
                    poll.unregister(file)
                    self.closed += 1
                    self.closed_s = time.monotonic() - begun
                full = served.figure("ordertape_clients_too_slow_total") - before
                if clients:
                    self.held = max(self.held, _send_queue(clients[0]))
                if clients and not self.full_s and full >= self.count:
                    self.full_s = time.monotonic() - begun


@contextmanager
def _deaf(served: Served) -> Iterator[socket.socket]:
    parts = urlsplit(served.socket)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((parts.hostname, parts.port))
        head = (
            f"GET {parts.path}?exchange={served.exchange} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.sendall(head.encode())
        client.recv(12)
        yield client


def _send_queue(client: socket.socket) -> int:
    """Bytes that the kernel holds at the server's end of a connection."""
    port = f":{client.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(port):
            return int(fields[4].split(":")[0], 16)
    return 0


def asks(served: Served, over: threading.Event, took: list[float]) -> None:
    """REST beside the clients."""
    path = f"/status/{served.exchange}/{SYMBOLS[served.exchange]}"
    with httpx.Client(base_url=served.address + API, timeout=60) as client:
        while not over.is_set():
            begun = time.perf_counter()
            client.get(path)
            took.append((time.perf_counter() - begun) * 1000)
            over.wait(0.05)


def stuck(options: argparse.Namespace) -> None:
    rows = []
    with live(options.rate, options.exchange) as served:
        for turn in range(options.rounds):
            for count in (0, options.stuck):
                over, rest = threading.Event(), list[float]()
                deaf = Stuck(count)
                threads = [
                    threading.Thread(target=deaf.run, args=(served, over), daemon=True),
                    threading.Thread(target=asks, args=(served, over, rest), daemon=True),
                ]
                for thread in threads:
                    thread.start()
                found = listeners(served, [orders(served, options.reading, 20)], options.seconds, 1)
                over.set()
                for thread in threads:
                    thread.join()
                rows.append(
                    {
                        "turn": turn + 1,
                        "stuck": count,
                        "closed": deaf.closed,
                        "full_after_s": round(deaf.full_s, 1),
                        "closed_then_s": round(max(0, deaf.closed_s - deaf.full_s), 1),
                        "kernel_bytes": deaf.held,
                        "others_p99_ms": found["groups"][0]["p99_ms"],
                        "gaps": found["groups"][0]["gaps"],
                        "lost": found["groups"][0]["lost"],
                        "rest_p99_ms": round(float(np.quantile(rest, 0.99)), 1),
                        "server_cpu": found["server_cpu_share"],
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr)
        largest = served.figure("ordertape_mailbox_bytes_largest")
    table(rows)
    for name in ("others_p99_ms", "rest_p99_ms"):
        alone, beside = (
            statistics.median(row[name] for row in rows if bool(row["stuck"]) is there)
            for there in (False, True)
        )
        print(f"{name}: {alone} alone, {beside} beside, x {beside / alone:.2f} (medians)")
    print(f"most that waited in one mailbox: {largest / 2**20:.2f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench.fanout",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("load", "rate", "stuck"))
    parser.add_argument("--exchange", choices=SYMBOLS, default=EXCHANGE)
    # About half of what happens at Bitfinex lies in the window of the book that it shows.
    parser.add_argument(
        "--rate", type=int, default=2_000, help="operations a second; the table shows the events"
    )
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[500, 1_000, 2_000, 4_000, 8_000], help="of `rate`"
    )
    parser.add_argument("--watching", type=int, default=1_000, help="clients on statistics")
    parser.add_argument("--reading", type=int, default=100, help="clients on events")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of `stuck`, in turn")
    parser.add_argument("--stuck", type=int, default=1, help="clients that read nothing")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        {"load": load, "rate": rate, "stuck": stuck}[options.what](options)


if __name__ == "__main__":
    main()
