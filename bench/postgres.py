"""``python -m bench.postgres``: the follower at a pace, its rows' size, their latency.

A process of its own appends events to a journal at ``--rate``; the follower copies them into an
embedded PostgreSQL with the index on order_id, in a folder that is removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from bench.serving import quantiles
from ordertape import EventBatch
from ordertape.database.address import Address, connect
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.service import DatabaseFollower
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter

EXCHANGE, SYMBOL = "bench", "A/B"
NO_ID = 2**64 - 1


def events(count: int, seq: int, ts: int, uuids: bool, draw: np.random.Generator) -> EventBatch:
    """Half opens, half ends of orders opened a little before, one in 25 a match."""
    kind = np.where(draw.random(count) < 0.5, 1, 4).astype(np.uint8)
    kind[draw.random(count) < 0.04] = 3
    opened = np.cumsum(kind == 1) + seq // 2
    ids = np.where(kind == 1, opened, np.maximum(1, opened - draw.integers(1, 3000, count)))
    order_id = np.zeros((count, 2), np.uint64)
    order_id[:, 0] = ids.astype(np.uint64) + np.uint64(180_000_000_000)
    if uuids:
        order_id[:, 1] = (order_id[:, 0] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(1)
    trade = np.full((count, 2), NO_ID, np.uint64)
    trade[kind == 3] = np.stack([np.arange(seq, seq + count), np.zeros(count)], 1)[kind == 3]
    seqs = np.arange(seq, seq + count)
    return EventBatch.from_arrays(
        kind=kind,
        side=draw.integers(0, 2, count).astype(np.uint8),
        order_id=order_id.view(np.uint8).reshape(count, 16),
        price=draw.integers(9_000_000, 9_100_000, count),
        size=draw.integers(1, 10**10, count),
        ts_event=np.full(count, ts - 3_000_000),
        ts_recv=np.full(count, ts),
        seq=seqs,
        flags=np.full(count, 2, np.uint16),
        reason=np.where(kind == 4, 2, 0).astype(np.uint8),
        venue_seq=seqs + 17,
        trade_id=trade.view(np.uint8).reshape(count, 16),
        price_scale=2,
        size_scale=8,
        codec="uuid" if uuids else "int",
        trade_codec="int",
    )


def write(data: Path, seconds: int, rate: int, uuids: bool) -> None:
    """Appends twenty batches a second, stamped as they are written."""
    draw, count, seq = np.random.default_rng(7), rate // 20, 1
    with JournalWriter(MarketFolder(data, EXCHANGE, SYMBOL)) as writer:
        print("writes", flush=True)
        begin = time.monotonic()
        while seq <= seconds * rate:
            time.sleep(max(0.0, begin + (seq - 1) / rate - time.monotonic()))
            writer.append(events(count, seq, time.time_ns(), uuids, draw))
            seq += count


def follow(data: Path, address: Address, total: int) -> dict[str, float]:
    """Copies until everything is there; how long that took, and how far behind it ever was."""
    follower, stop = DatabaseFollower(data, address), threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    began = time.monotonic()
    thread.start()
    try:
        while follower.persisted(EXCHANGE, SYMBOL) < total:
            time.sleep(0.02)
        return {"events": total, "seconds": round(time.monotonic() - began, 2)}
    finally:
        stop.set()
        thread.join()


def delays(address: Address, done: threading.Event, found: list[float]) -> None:
    """Milliseconds from the receipt of the newest row to when it is first seen."""
    last = 0
    with connect(address) as connection:
        while not done.wait(0.005):
            row = connection.execute(
                "SELECT sequence, ts_recv FROM level3_orders ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
            if row is not None and row[0] > last:
                last = row[0]
                found.append((time.time_ns() - row[1]) / 1e6)


def sizes(address: Address, total: int) -> dict[str, float]:
    with connect(address) as connection:
        heap, indexes = connection.execute(
            "SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)) FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
            "AND relname LIKE 'events%'"
        ).fetchone() or (0, 0)
    return {
        "rows": round(float(heap) / total, 1),
        "indexes": round(float(indexes) / total, 1),
        "total": round(float(heap + indexes) / total, 1),
    }


def measure(seconds: int, rate: int, uuids: bool) -> dict[str, object]:
    total = seconds * rate
    with tempfile.TemporaryDirectory(prefix="ordertape-bench-") as name:
        data = Path(name)
        with EmbeddedServer(data) as server:
            address = Address("bench", embedded=server)
            command = [sys.executable, "-m", "bench.postgres", "--write", name]
            command += ["--seconds", str(seconds), "--rate", str(rate)]
            writer = subprocess.Popen(
                [*command, *(["--uuids"] if uuids else [])], stdout=subprocess.PIPE
            )
            assert writer.stdout is not None
            writer.stdout.readline()
            done, seen = threading.Event(), [0.0]
            watch = threading.Timer(2, delays, (address, done, seen))
            watch.start()
            paced = follow(data, address, total)
            done.set()
            watch.join()
            writer.wait()
            return {
                **paced,
                "events_per_second": round(total / paced["seconds"]),
                "bytes_an_event": sizes(address, total),
                "receipt_to_row_ms": quantiles(seen),
            }


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.postgres", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--rate", type=int, default=80_000)
    parser.add_argument("--uuids", action="store_true", help="order ids are UUIDs")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write(options.write, options.seconds, options.rate, options.uuids)
    else:
        print(json.dumps(measure(options.seconds, options.rate, options.uuids)))


if __name__ == "__main__":
    main()
