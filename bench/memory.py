"""Memory: a book of many orders in a process of its own, made from text one order after another.

Two to three orders share a price, as in a deep crypto book; with one order a price the levels count
in full with each order.

``python -m bench.memory ORDERS`` prints JSON: bytes the process grew by at its most, and bytes an
order inside the engine.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from uuid import UUID

from bench.context import Bench
from bench.report import Row, Skipped

__all__ = ["run"]

GROWTH_MB, ORDER_BYTES = 100, 160


def run(bench: Bench) -> Iterator[Row | Skipped]:
    orders = bench.sizes.memory_orders
    if not Path("/proc/self/status").exists():
        yield Skipped("memory", "no /proc/self/status here")
        return
    command = [sys.executable, "-m", "bench.memory", str(orders)]
    top = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=top)
    found = json.loads(done.stdout)
    grown = found["grown_bytes"] / 1e6
    name = f"{orders:,} orders with UUIDs"
    yield Row(f"memory, process growth, {name}", grown, "MB").at_most(GROWTH_MB)
    engine = found["engine_bytes"] / orders
    levels = f"{orders / found['levels']:.1f} orders a level"
    row = Row(f"memory, inside the engine, {name}", engine, "B/order", compared_with=levels)
    yield row.at_most(ORDER_BYTES)


def _memory(field: str) -> int:
    """Bytes of this process by /proc: VmRSS now, VmHWM at its most."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _measured(orders: int) -> dict[str, int]:
    from ordertape._engine import OrderBook
    from ordertape.events import EventKind

    random = Random(7)
    away = orders * 0.09
    gc.collect()
    before = _memory("VmRSS")
    book = OrderBook(codec="uuid")
    for _ in range(orders):
        side = random.getrandbits(1)
        ticks = 1 + int(random.expovariate(1 / away))
        price = 10_000_000 + (ticks if side else -ticks)
        order_id = str(UUID(int=random.getrandbits(128), version=4))
        size = f"{random.randrange(1, 10**9)}e-8"
        book.apply_one(EventKind.OPEN, side, order_id, f"{max(1, price)}e-2", size)
    assert len(book) == orders
    return {
        "grown_bytes": _memory("VmHWM") - before,
        "engine_bytes": book.memory_bytes,
        "levels": sum(book.levels),
    }


if __name__ == "__main__":
    print(json.dumps(_measured(int(sys.argv[1]))))
