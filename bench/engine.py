"""The engine, one call a batch: beside the C++ core, and with effects beside itself.

The core is a book without Python (open addressing, a dense array of ticks): the practical limit on
the same events.  It runs as a process of its own, in turn with ours, and both must end equal.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

from bench.context import Bench
from bench.measure import Sample, alternate, cpu_ns, frozen_inputs
from bench.peers import Missing
from bench.report import BenchmarkFailed, Row, Skipped
from bench.streams import Stream, state_digest
from ordertape._engine import EventBatch, OrderBook

__all__ = ["run"]

CORE_LINE = "g.cpp-core uuid128"
CORE_FACTOR = 1.5
EFFECTS_FACTOR = 2.0
PIECE_ROWS = 10_000
"""Effects are taken and dropped batch by batch.  Those of the whole stream in one call are 112 MB
that no one has touched before, and a good part of that figure is the kernel's clearing of pages."""


def run(bench: Bench) -> Iterator[Row | Skipped]:
    stream = bench.stream
    snapshot, events = stream.batches()
    pieces = [events[at : at + PIECE_ROWS] for at in range(0, len(events), PIECE_ROWS)]
    digests: dict[str, int] = {}

    def timed(work: Callable[[OrderBook], object]) -> Callable[[], float]:
        return lambda: _timed(snapshot, len(events), work, digests)

    figures = {
        "plain": timed(lambda book: book.apply(events)),
        "effects": timed(lambda book: book.apply(events, effects=True)),
        "plain pieces": timed(lambda book: _in_pieces(book, pieces)),
        "effects pieces": timed(lambda book: _in_pieces_with_effects(book, pieces)),
    }
    try:
        core_bench = bench.peers.core_bench()
        figures["core"] = lambda: _core(str(core_bench), stream, digests)
    except Missing as reason:
        yield Skipped("C++ core", str(reason))
    if bench.own_stream_because is not None:
        yield Skipped("stream of gen.py", bench.own_stream_because)
    with frozen_inputs():
        found = alternate(bench.sizes.rounds, bench.tell, figures)
    if len(set(digests.values())) != 1:
        raise BenchmarkFailed(f"expected one final state of all books, found {digests}")
    yield _beside_core(found, stream)
    in_pieces = _beside_plain(found, " pieces", f"batches of {PIECE_ROWS:,}")
    yield in_pieces.ratio_at_most(EFFECTS_FACTOR)
    yield _beside_plain(found, "", "one call")


def _in_pieces(book: OrderBook, pieces: list[EventBatch]) -> None:
    for piece in pieces:
        book.apply(piece)


def _in_pieces_with_effects(book: OrderBook, pieces: list[EventBatch]) -> None:
    for piece in pieces:
        book.apply(piece, effects=True)


def _timed(
    snapshot: EventBatch,
    events: int,
    work: Callable[[OrderBook], object],
    digests: dict[str, int],
) -> float:
    """CPU ns an event on a standing book; the book and what it returned are let go afterwards."""
    book = OrderBook()
    book.apply(snapshot)
    taken = cpu_ns(lambda: work(book)) / events
    digests["ours"] = state_digest(book)
    return taken


def _core(program: str, stream: Stream, digests: dict[str, int]) -> float:
    """The core's own figure of one run: CPU ns an event."""
    command = [program, str(stream.path), str(stream.live), str(len(stream)), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        fields = json.loads(line)
        if fields["peer"] == CORE_LINE:
            digests["C++ core"] = fields["digest"]
            return float(fields["ns"][0])
    raise BenchmarkFailed(f"expected a line {CORE_LINE!r} from {program}, found none")


def _beside_core(found: dict[str, Sample], stream: Stream) -> Row:
    core = found.get("core")
    return Row.of(
        f"engine, one call a batch ({stream.source}, 128-bit ids)",
        found["plain"],
        "ns/event",
        compared_with=f"{CORE_LINE}: {core.median:.1f} ns/event" if core else None,
        ratio=found["plain"].median / core.median if core else None,
    ).ratio_at_most(CORE_FACTOR)


def _beside_plain(found: dict[str, Sample], which: str, name: str) -> Row:
    effects, plain = found[f"effects{which}"], found[f"plain{which}"]
    return Row.of(
        f"engine, apply(effects=True), {name}",
        effects,
        "ns/event",
        compared_with=f"plain apply: {plain.median:.1f} ns/event",
        ratio=effects.median / plain.median,
    )
