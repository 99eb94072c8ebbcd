"""``python -m bench.analysis``: what the flow's metrics and the detectors cost an event, and a day.

The events are those of the simulated venue as our Bitfinex session tells them, one stretch of them
over and over, each time in a new era, stretched to a day:

* an event: ``OrderBook.apply`` with effects, then ``Lifecycles.take`` without a watcher, with a
  ``Flow``, with ``Detectors``, and with both, the least of several rounds;
* a day: the same with everything drained into windows of a minute, from the columns in memory; and
  a tape of it, from files to metrics, as ``read_analysis`` does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from bench.demo_tape import DemoTape
from ordertape import limits
from ordertape._engine import Detectors, EventBatch, Lifecycles, OrderBook
from ordertape.analysis.measure import measured, whole
from ordertape.analysis.metrics import METRICS
from ordertape.analysis.walk import new_flow
from ordertape.analysis.windows import Windows
from ordertape.events import COLUMNS, EventKind
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter

_DAY_NS = 86_400 * 10**9
_BEGIN = 1_790_035_200 * 10**9
_ROUNDS = 5


def day(stretch: EventBatch, count: int) -> list[EventBatch]:
    """So many events over a day, in pieces as readers hand them out."""
    columns = {
        name: np.asarray(column) for name in COLUMNS if (column := stretch.column(name)) is not None
    }
    times = -(-count // len(stretch))
    took = int(columns["ts_recv"][-1] - columns["ts_recv"][0]) + 10**8
    scale = _DAY_NS / (took * times)
    pieces, first = [], 1
    for nth in range(times):
        since = columns["ts_recv"] - columns["ts_recv"][0] + nth * took
        begun = {
            **columns,
            "seq": columns["seq"] - columns["seq"][0] + first,
            "ts_recv": _BEGIN + (since * scale).astype(np.int64),
        }
        batch = EventBatch.from_arrays(
            **begun,
            price_scale=stretch.price_scale,
            size_scale=stretch.size_scale,
            codec=stretch.codec,
            trade_codec=stretch.trade_codec,
        )
        first = batch.last_seq + 1
        begin = 0
        while begin < len(batch):
            piece = batch[begin : begin + limits.archive_batch_rows]
            piece = piece[: piece.last_complete()]
            pieces.append(piece)
            begin += len(piece)
    return pieces


def walked(
    pieces: list[EventBatch], watchers: list[Any], behind: Callable[[], None] = lambda: None
) -> float:
    """Seconds that a book, its lives and watchers took."""
    book = OrderBook(codec=pieces[0].codec)
    lives = Lifecycles(
        hold_ns=limits.attribution_horizon_ms * 1_000_000, evicted_max=limits.evicted_orders_max
    )
    began = time.perf_counter()
    for piece in pieces:
        _, effects = book.apply(piece, effects=True)
        lives.take(piece, effects, book, watchers)
        lives.drain()
        behind()
    return time.perf_counter() - began


def an_event(pieces: list[EventBatch], count: int) -> list[tuple[str, str]]:
    some, chosen = [], 0
    for piece in pieces:
        if chosen >= count:
            break
        some.append(piece)
        chosen += len(piece)
    kinds: list[tuple[str, Callable[[], list[Any]]]] = [
        ("book and lives", list),
        ("and Flow", lambda: [new_flow()]),
        ("and Detectors", lambda: [Detectors()]),
        ("and both", lambda: [new_flow(), Detectors()]),
    ]
    # One after the other within a round: what the machine does meanwhile meets all of them.
    rounds = [[walked(some, make()) for _, make in kinds] for _ in range(_ROUNDS)]
    least = [min(taken[nth] for taken in rounds) / chosen * 1e6 for nth in range(len(kinds))]
    found = [
        (name, f"{cost:.2f} µs an event") for (name, _), cost in zip(kinds, least, strict=True)
    ]
    for name, cost in (("Flow alone", least[1]), ("Flow and Detectors alone", least[3])):
        found.append((name, f"{cost - least[0]:.2f} µs an event"))
    return found


def a_day(pieces: list[EventBatch]) -> tuple[str, str]:
    flow, detectors = new_flow(), Detectors()
    windows = Windows(_BEGIN // 10**9, 60, 1_440)

    def drain() -> None:
        windows.take(flow.drain())
        windows.take_cohorts(flow.drain_cohorts())
        flow.drain_lifetimes()
        flow.drain_shocks()
        if hasattr(detectors, "drain"):
            detectors.drain(pieces[0].codec)

    took = walked(pieces, [flow, detectors], drain)
    flow.advance(_BEGIN + _DAY_NS)
    began = time.perf_counter()
    drain()
    measured(windows, METRICS.values())
    took += time.perf_counter() - began
    return f"a day of {sum(map(len, pieces)):,} events, all of it", f"{took:.1f} s"


def a_tape(pieces: list[EventBatch]) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="ordertape-analysis-") as place:
        folder = MarketFolder(Path(place) / "data", "bitfinex", "BTC/USDT")
        with JournalWriter(folder) as journal:
            for piece in pieces:
                journal.append(piece)
        with closing(Archiver(folder)) as archiver:
            archiver.finish()
        began = time.perf_counter()
        whole(folder.data, folder.exchange, folder.symbol, None, None, 60, None)
        took = time.perf_counter() - began
    return "its tape, from files to metrics", f"{took:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=5_000_000, help="events of the day")
    parser.add_argument("--stretch", type=int, default=400_000, help="updates that are simulated")
    parser.add_argument("--no-tape", action="store_true", help="leave the tape out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordertape-analysis-") as place:
        stretch = DemoTape.recorded(options.stretch, Path(place)).events
    kinds = np.asarray(stretch.column("kind"))
    traded = int(((kinds == EventKind.MATCH) | (kinds == EventKind.TRADE)).sum())
    pieces = day(stretch, options.events)
    lines = [("events simulated, trades among them", f"{len(stretch):,}, {traded:,}")]
    lines += an_event(pieces, 2 * len(stretch))
    lines.append(a_day(pieces))
    if not options.no_tape:
        lines.append(a_tape(pieces))
    for what, figure in lines:
        print(f"{what:<45} {figure}")


if __name__ == "__main__":
    main()
