"""``python -m bench.growth``: the memory of a keeper while days of a market go by in minutes.

A market that was simulated once is written again and again into a journal by a process of its own,
each lap with ids, numbers and times that go on, in batches of an event or two as a live collector
writes them.  A keeper archives it, copies it into an embedded PostgreSQL, stores the lives of
orders and looks for patterns; its own memory is told once an hour of the market.  What grows with
events goes on rising here; what is kept up to a bound levels off.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bench.demo_tape import SYMBOL, DemoTape
from ordertape._engine import EventBatch
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.told import read_copied
from ordertape.events import COLUMNS, Flag
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark

_HOUR = 3_600
_IDS = ("order_id", "trade_id")
_NONE = np.iinfo(np.uint64).max
_MARK_S = 10
"""Of the market's time between two marks, as `L3_SNAPSHOT_INTERVAL` has them at the least."""


class Laps:
    """The same market over and over, each lap behind the one before."""

    def __init__(self, events: EventBatch, rate: float) -> None:
        self._scales = {"price_scale": events.price_scale, "size_scale": events.size_scale}
        self._codecs = {"codec": events.codec, "trade_codec": events.trade_codec}
        columns = {name: events.column(name) for name in COLUMNS}
        self._columns = {n: np.asarray(c) for n, c in columns.items() if c is not None}
        flags = self._columns["flags"]
        ends = (flags[:-1] & Flag.LAST != 0) & (flags[1:] & Flag.SNAPSHOT == 0)
        self._ends = [*(np.flatnonzero(ends) + 1).tolist(), len(events)]
        self.events = int(self._columns["seq"][-1])
        step = int(1e9 / rate)
        self._ts = (self._columns["seq"] - self._columns["seq"][0]) * step
        self.ns = self.events * step
        self._ids = max(self._keys(name).max() for name in _IDS) + np.uint64(1)

    def _keys(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        low = self._columns[name].reshape(-1, 16).view("<u8")[:, 0]
        return low[low != _NONE]

    def lap(self, nth: int, began: int) -> Iterator[EventBatch]:
        """One lap, a message a batch, with whatever the messages of a snapshot are."""
        given = dict(self._columns)
        for name in _IDS:
            keys = given[name].reshape(-1, 16).copy()
            halves = keys.view("<u8")
            there = halves[:, 0] != _NONE
            halves[there, 0] += np.uint64(nth) * self._ids
            given[name] = keys
        given["seq"] = given["seq"] + nth * self.events
        given["ts_recv"] = self._ts + began + nth * self.ns
        given["ts_event"] = given["ts_recv"] - 3_000_000
        rows = EventBatch.from_arrays(**given, **self._scales, **self._codecs)
        first = 0
        for end in self._ends:
            yield rows[first:end]
            first = end


def write(data: Path, laps: Laps, hours: float, pace: float) -> None:
    """Appends so many hours of the market, at so many events a second; then says so."""
    total = int(hours * _HOUR * 1e9)
    began = time.time_ns() - total
    with JournalWriter(MarketFolder(data, "bitfinex", SYMBOL)) as writer:
        start, written, marked, nth = time.monotonic(), 0, 0, 0
        while nth * laps.ns < total:
            for rows in laps.lap(nth, began):
                writer.append(rows)
                written += len(rows)
                if rows.last_ts_recv - marked > _MARK_S * 1e9:
                    marked = rows.last_ts_recv
                    told = {"era": nth + 1, "orders": 500, "digest": "0" * 32}
                    writer.mark(Mark("digest", rows.last_seq, marked, told))
                if (early := start + written / pace - time.monotonic()) > 0.02:
                    time.sleep(early)
            nth += 1
            print(nth, flush=True)


def own_memory(pid: int) -> float:
    """MiB that are the process's own (no file's pages)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the process {pid} has gone")


def measure(options: argparse.Namespace) -> Iterator[tuple[float, float, float, int]]:
    """(hour of the market, least and median MiB in it, last event in PostgreSQL)."""
    with ExitStack() as held:
        data = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="ordertape-growth-")))
        server = held.enter_context(EmbeddedServer(data))
        environment = {
            **os.environ,
            "DATABASE_URL": server.url,
            "ORDERTAPE_LOGS": str(data / "logs"),
            "ORDERTAPE_DATABASE_DAYS": "36500",
        }
        command = [sys.executable, "-m", "ordertape.roles.keeper", "--data", str(data)]
        if not options.without_database:
            command.append("--database")
        keeper = subprocess.Popen(command, env=environment)
        held.callback(keeper.wait)
        held.callback(keeper.terminate)
        telling = [sys.executable, "-m", "bench.growth", "--write", str(data)]
        for name in ("hours", "rate", "pace", "updates"):
            telling += [f"--{name}", str(getattr(options, name))]
        writer = subprocess.Popen(telling, stdout=subprocess.PIPE)
        held.callback(writer.wait)
        held.callback(writer.terminate)
        assert writer.stdout is not None
        os.set_blocking(writer.stdout.fileno(), False)
        lap_hours = options.updates / options.rate / _HOUR
        laps, due, sizes = 0, 1.0, [own_memory(keeper.pid)]
        while writer.poll() is None:
            time.sleep(0.2)
            sizes.append(own_memory(keeper.pid))
            text = writer.stdout.read()
            laps = int(text.split()[-1]) if text else laps
            if laps * lap_hours >= due:
                yield laps * lap_hours, min(sizes), statistics.median(sizes), _copied(data)
                due, sizes = due + options.every, []


def _copied(data: Path) -> int:
    """The last event that PostgreSQL has."""
    told = read_copied(data)
    return max((market.seq for market in told.markets), default=0) if told is not None else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--hours", type=float, default=48, help="of the market")
    parser.add_argument("--rate", type=float, default=100, help="events a second of the market")
    parser.add_argument("--pace", type=float, default=10_000, help="events a second written")
    parser.add_argument("--updates", type=int, default=180_000, help="updates in one lap")
    parser.add_argument("--every", type=float, default=1, help="hours between two lines")
    parser.add_argument("--without-database", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        events = DemoTape.recorded(options.updates, options.write).events
        write(options.write, Laps(events, options.rate), options.hours, options.pace)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with keeper, writer and server
    print(f"{'hour':>6} {'least MiB':>10} {'median':>8} {'copied':>12}", flush=True)
    for hour, least, median, copied in measure(options):
        print(f"{hour:6.1f} {least:10.2f} {median:8.2f} {copied:12,}", flush=True)


if __name__ == "__main__":
    main()
