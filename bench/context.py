"""What every benchmark is handed: sizes, peers, inputs made once, a place to tell progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.demo_tape import DemoTape
from bench.peers import Peers
from bench.report import Row, Skipped
from bench.streams import Stream, make_stream

__all__ = ["FULL", "QUICK", "Bench", "Benchmark", "Sizes"]


@dataclass(frozen=True)
class Sizes:
    """How much of each."""

    rounds: int
    stream_events: int
    live_orders: int
    plain_events: int
    """Events of the stream that are fed one a call, too."""
    updates: int
    """Book updates of the Bitfinex path."""
    tape_events: int
    """Book updates of the demo tape that journal, archive and rebuild get."""
    memory_orders: int


FULL = Sizes(
    rounds=9,
    stream_events=2_000_000,
    live_orders=50_000,
    plain_events=200_000,
    updates=100_000,
    tape_events=2_000_000,
    memory_orders=100_000,
)
QUICK = Sizes(
    rounds=3,
    stream_events=300_000,
    live_orders=50_000,
    plain_events=50_000,
    updates=20_000,
    tape_events=200_000,
    memory_orders=100_000,
)


@dataclass
class Bench:
    sizes: Sizes
    peers: Peers
    folder: Path
    """For files of this run; on the disk whose speed counts."""
    tell: Callable[[str], None] = field(default=lambda _: None)

    @cached_property
    def _made_stream(self) -> tuple[Stream, str | None]:
        self.tell("making the stream")
        return make_stream(self.peers, self.sizes.stream_events, self.sizes.live_orders)

    @property
    def stream(self) -> Stream:
        return self._made_stream[0]

    @property
    def own_stream_because(self) -> str | None:
        """Why the stream is our own generator's, where it is."""
        return self._made_stream[1]

    @cached_property
    def demo(self) -> DemoTape:
        self.tell("making the demo tape")
        return DemoTape.recorded(self.sizes.tape_events, self.folder)


Benchmark = Callable[[Bench], Iterator[Row | Skipped]]
