"""``python -m bench.tiles``: what the past costs on the page.

Starts ``uvicorn app.main:app`` in a folder that is removed afterwards, over an archived day, and
asks as a page does, one question after the other, for moments that nobody asked for before:

* ``tile``: ``GET …/tile`` of 512 columns, of each level of detail;
* ``seek``: over the page's socket, from asking for a moment to the first picture of it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

from bench.server import DAY_NS, DAY_START, EXCHANGE, PAST, write_day
from bench.serving import API, quantiles, serving
from ordertape.models import iso_from_ns
from ordertape.page.heat import BUCKET_NS
from ordertape.page.tiles import TILE_COLUMNS

_SEED = 7


def tiles(address: str, group: int, level: int, asks: int) -> list[float]:
    """Milliseconds of each answer."""
    width = BUCKET_NS[level] * TILE_COLUMNS
    # Whole tiles of the day, none twice.
    indices = range(-(-DAY_START // width), (DAY_START + DAY_NS) // width)
    asked = random.Random(_SEED).sample(indices, min(asks, len(indices)))
    where = f"{address}{API.rsplit('/', 1)[0]}/heatmap/{EXCHANGE}/{PAST}/tile"
    found = []
    with httpx.Client(timeout=60) as client:
        for index in asked:
            began = time.perf_counter()
            answer = client.get(where, params={"index": index, "lod": level, "group": group})
            found.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
    return found


def seeks(address: str, asks: int) -> tuple[int, list[float]]:
    """The group of the picture, and milliseconds from each wish to its first picture."""
    draw = random.Random(_SEED)
    moments = [iso_from_ns(DAY_START + draw.randrange(DAY_NS)) for _ in range(asks + 1)]
    url = f"{address}{API.rsplit('/', 1)[0]}/page/ws".replace("http", "ws", 1)
    with connect(url, max_size=None) as page:
        wish = {"op": "open", "stream": 1, "exchange": EXCHANGE, "symbol": PAST}
        page.send(json.dumps({**wish, "source": "replay", "at": moments[0]}))
        group = int(_first_picture(page)["group"])
        found = []
        for at in moments[1:]:
            began = time.perf_counter()
            page.send(json.dumps({"op": "seek", "at": at}))
            _first_picture(page)
            found.append((time.perf_counter() - began) * 1000)
    return group, found


def _first_picture(page: ClientConnection) -> dict[str, Any]:
    """What ``opened`` said, once the key frame behind it came."""
    opened: dict[str, Any] = {}
    while True:
        frame = page.recv(timeout=60)
        if isinstance(frame, str):
            told = json.loads(frame)
            opened = told if told["op"] == "opened" else opened
        elif opened and frame[1] == 1 and int.from_bytes(frame[16:20], "little") == opened["epoch"]:
            return opened


def measure(events: int, live: int, asks: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="ordertape-bench-") as name:
        folder = Path(name)
        write_day(folder / "data", events, live)
        with serving(folder, {}) as (address, _):
            group, found = seeks(address, asks)
            figures = {"seek to the first picture": quantiles(found)}
            for level, ns in enumerate(BUCKET_NS):
                label = f"tile of 512 columns of {ns / 1e9:g} s"
                figures[label] = quantiles(tiles(address, group, level, asks))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.tiles", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="of the day")
    parser.add_argument("--live", type=int, default=50_000, help="orders resting in its book")
    parser.add_argument("--asks", type=int, default=100, help="of each kind")
    options = parser.parse_args()
    table = Table("", "p50 ms", "p99 ms")
    for label, figures in measure(options.events, options.live, options.asks).items():
        table.add_row(label, *(f"{value:.0f}" for value in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
