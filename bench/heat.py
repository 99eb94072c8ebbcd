"""``python -m bench.heat``: what the lives of orders and the heatmap's columns cost an event.

The events are those of the simulated venue as our Bitfinex session tells them, in pieces as a
reader hands them out.  Processor time, the least of several rounds: the book alone, with the lives
of its orders, and with the columns of all four levels of detail as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.demo_tape import DemoTape
from ordertape import limits
from ordertape._engine import EventBatch, Heat, Lifecycles, OrderBook
from ordertape.page.heat import BUCKET_NS

_ROUNDS = 7
_GROUP_SHARE = 100_000
"""Rows are so much of a price, as a page's usual group."""


def pieces_of(events: EventBatch) -> list[EventBatch]:
    found, begin = [], 0
    while begin < len(events):
        piece = events[begin : begin + limits.archive_batch_rows]
        found.append(piece[: piece.last_complete()])
        begin += len(found[-1])
    return found


def seconds(pieces: list[EventBatch], *, lives: bool, heat: bool) -> float:
    book = OrderBook(codec=pieces[0].codec)
    known = Lifecycles(
        hold_ns=limits.attribution_horizon_ms * 1_000_000, evicted_max=limits.evicted_orders_max
    )
    watchers: list[Heat] = []
    began = time.process_time()
    for piece in pieces:
        if not lives:
            book.apply(piece)
            continue
        _, effects = book.apply(piece, effects=True)
        known.take(piece, effects, book, watchers)
        known.drain()
        if heat and not watchers:
            bid, ask = book.best_scaled()
            group = max(1, (bid or ask or 1) // _GROUP_SHARE)
            scales = {"price_scale": book.price_scale or 0, "size_scale": book.size_scale or 0}
            watchers.append(Heat(group, 0, **scales))
            watchers[0].begin(book)
        for watcher in watchers:
            for level in range(len(BUCKET_NS)):
                watcher.drain(level)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.heat", description=__doc__)
    parser.add_argument("--updates", type=int, default=200_000, help="updates that are simulated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordertape-heat-") as place:
        events = DemoTape.recorded(options.updates, Path(place)).events
    pieces = pieces_of(events)
    kinds = {
        "book alone": {"lives": False, "heat": False},
        "and lifecycles": {"lives": True, "heat": False},
        "and heatmap columns": {"lives": True, "heat": True},
    }
    rounds = [[seconds(pieces, **kind) for kind in kinds.values()] for _ in range(_ROUNDS)]
    least = [min(taken[nth] for taken in rounds) / len(events) * 1e6 for nth in range(len(kinds))]
    table = Table("", "µs an event", "asked", title=f"{len(events):,} events, processor time")
    for name, cost in zip(kinds, least, strict=True):
        table.add_row(name, f"{cost:.2f}", "")
    table.add_row("lifecycles + heatmap columns", f"{least[2] - least[0]:.2f}", "≤ 0.6")
    Console().print(table)


if __name__ == "__main__":
    main()
