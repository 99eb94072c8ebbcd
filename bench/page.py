"""``python -m bench.page``: what the web page costs, in a real browser on a real server.

A server follows a simulated venue for ``--history`` seconds; then Chromium opens the page at 2000 ×
800 and is asked for, in this order:

* how long it took from the address to a live heatmap with that much history;
* what a frame takes of the main thread while the picture is dragged, columns going on: processor
  time, for two cores are shared with the server, the venue and what draws without a graphics card;
* what the server sends to the page, and by how much the page's heap grows in ``--seconds``.

Chromium draws without a graphics card here: what that costs beside the main thread is not counted.
A smaller window (``--window 800x450``) leaves the processor to the server and the venue at rates
where all of them together want more than there is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fanout import SYMBOLS, live

_FILLED = 5
"""Minutes of growth that are told apart: the page's lists (large orders, trades) fill first.
Medians of as many minutes are held against each other: single ones differ by a megabyte."""
_WEB = Path(__file__).resolve().parent.parent / "web"


def measure(
    exchange: str, rate: int, history: float, seconds: float, window: tuple[int, int]
) -> dict[str, Any]:
    numbers = [f"{number:g}" for number in (history, seconds, *window)]
    subprocess.run([_WEB.parent / "scripts" / "web", "browser"], check=True)
    with live(rate, exchange) as served:
        time.sleep(history)  # the past that the page is to show
        command = ["node", "scripts/measure.mjs", f"{served.address}/", *numbers]
        done = subprocess.run(command, cwd=_WEB, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit("bench.page: the page could not be measured, for the reason above")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _pixels(text: str) -> tuple[int, int]:
    try:
        width, height = map(int, text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 2000x800 or alike, found {text}") from None
    return width, height


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.page", description=__doc__)
    parser.add_argument(
        "exchange",
        nargs="?",
        choices=SYMBOLS,
        default="bitfinex",
        help="bitfinex shows 250 orders a side, coinbase all",
    )
    parser.add_argument("--rate", type=int, default=350, help="operations a second of the venue")
    parser.add_argument("--history", type=float, default=600, help="seconds before the page opens")
    parser.add_argument("--seconds", type=float, default=60, help="that bytes and heap are watched")
    parser.add_argument(
        "--window", type=_pixels, default=(2000, 800), metavar="WIDTHxHEIGHT", help="of the browser"
    )
    options = parser.parse_args()
    seconds = options.history, options.seconds
    found = measure(options.exchange, options.rate, *seconds, options.window)

    def spread(name: str) -> str:
        return " / ".join(f"{value:.1f}" for value in found[name])

    heap = found["heap_bytes"]
    begun, ended = heap[_FILLED : 2 * _FILLED], heap[-_FILLED:]
    grown = statistics.median(ended) - statistics.median(begun) if len(heap) > 3 * _FILLED else None
    later = "too short" if grown is None else f"{grown / 1000:.0f}"
    rows = [
        ("opened, ms", f"{found['opened_ms']}", "≤ 2000"),
        ("a frame, scripts of all panels, p50 / p95 ms", spread("script_ms"), "≤ 4 p95"),
        ("… with style, layout, paint, p50 / p95 ms", spread("whole_ms"), ""),
        ("… of the chart by the clock on the wall", spread("chart_wall_ms"), ""),
        ("events/s", f"{found['events_per_second']:.0f}", ""),
        (
            "kB/s to the page",
            f"{found['kilobytes_per_second']:.1f}",
            "≤ 10 at 500, 50 at 4,000",
        ),
        ("frames left out", f"{found['conflated']}", "0"),
        ("heap grown, kB", f"{(heap[-1] - heap[0]) / 1000:.0f}", ""),
        (f"… since {_FILLED} minutes in, kB", later, "< 1000 an hour"),
    ]
    table = Table("what", "measured", "asked", title=f"drawn by {found['renderer']}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
