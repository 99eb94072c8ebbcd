"""The stream that engines are fed: opens, cancels, matches and changes around a moving touch.

With the folder of recordings it is that of its ``gen.py``, else one of the same shape made here.
Both have one layout, which the C++ core reads too.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.book import Operation
from bench.own_stream import operations
from bench.peers import GENERATOR, Missing, Peers
from ordertape._engine import EventBatch, OrderBook
from ordertape.events import EventKind

__all__ = ["EVENT", "Stream", "make_stream", "state_digest"]

EVENT = np.dtype(
    [
        ("op", "u1"),
        ("side", "u1"),
        ("_pad", "u2"),
        ("ord", "u4"),
        ("px", "i8"),
        ("qty", "i8"),
        ("seq", "u8"),
        ("hi", "u8"),
        ("lo", "u8"),
    ]
)
"""48 bytes an event; every order has a growing integer (seq) and a random 128-bit id (hi, lo)."""
_KINDS = np.array([EventKind.OPEN, EventKind.DONE, EventKind.MATCH, EventKind.CHANGE], np.uint8)
_PRICE_SCALE, _SIZE_SCALE = 2, 8


@dataclass(frozen=True)
class Stream:
    """``events``: first the ``live`` opens of a standing book, then what is timed."""

    events: np.ndarray[Any, np.dtype[Any]]
    live: int
    source: str
    path: Path

    def __len__(self) -> int:
        return len(self.events) - self.live

    def first(self, events: int) -> Stream:
        """The same standing book and fewer events."""
        return replace(self, events=self.events[: self.live + events])

    @cached_property
    def keys(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """128-bit ids as (n, 16) bytes."""
        halves = np.stack([self.events["lo"], self.events["hi"]], axis=1)
        return halves.view(np.uint8).reshape(len(self.events), 16)

    def batches(self, ids: str = "keys") -> tuple[EventBatch, EventBatch]:
        """The standing book and the events, with random ``keys`` or growing integers as ids."""
        events = self.events
        batch = EventBatch.from_arrays(
            kind=_KINDS[events["op"]],
            side=np.ascontiguousarray(events["side"]),
            order_id=self.keys if ids == "keys" else np.ascontiguousarray(events["seq"]),
            price=np.ascontiguousarray(events["px"]),
            size=np.ascontiguousarray(events["qty"]),
            ts_event=np.arange(len(events)),
            price_scale=_PRICE_SCALE,
            size_scale=_SIZE_SCALE,
            codec="uuid" if ids == "keys" else "int",
        )
        return batch[: self.live], batch[self.live :]

    def rows_before(self) -> list[Operation]:
        """The standing book as rows for a book fed event by event."""
        return self._rows(self.events[: self.live])

    def rows(self) -> list[Operation]:
        return self._rows(self.events[self.live :])

    @staticmethod
    def _rows(events: np.ndarray[Any, np.dtype[Any]]) -> list[Operation]:
        names = ("op", "side", "seq", "px", "qty")
        return list(zip(*(events[name].tolist() for name in names), strict=True))


def state_digest(book: OrderBook) -> int:
    """The C++ core's sum over prices, sizes and places in the queue."""
    rows = book.snapshot()
    side, price, size = (
        np.asarray(rows.column(name)).astype(np.uint64) for name in ("side", "price", "size")
    )
    begins = np.flatnonzero(np.diff(price, prepend=price[:1] + 1) | np.diff(side, prepend=side[:1]))
    place = np.arange(len(price)) - np.repeat(begins, np.diff(begins, append=len(price))) + 1
    return int((price * 31 + size * (2 * place.astype(np.uint64) + side + 1)).sum(dtype=np.uint64))


def make_stream(peers: Peers, events: int, live: int) -> tuple[Stream, str | None]:
    """The stream, and why it is our own where it is."""
    try:
        return _generated(peers, events, live), None
    except Missing as reason:
        path = peers.work / "streams" / f"own-{events}-{live}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _made_here(events, live)
        np.save(path, made)
        return Stream(made, live, "our own generator", path), str(reason)


def _generated(peers: Peers, events: int, live: int) -> Stream:
    generator = peers.shared_file("bench/gen.py")
    python = peers.python("numba", GENERATOR)
    path = peers.work / "streams" / f"synth-{events}-{live}"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = ["--events", str(events), "--live", str(live), "--out", str(path)]
    # Nothing may be written beside the generator.
    kept_here = {"NUMBA_CACHE_DIR": str(peers.work / "numba-cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(python), str(generator), *options],
        env={**os.environ, **kept_here},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Missing(f"gen.py failed: {(done.stderr.strip().splitlines() or ['silently'])[-1]}")
    array = path.with_suffix(".npy")
    return Stream(np.load(array), live, "synth", array)


def _made_here(events: int, live: int, seed: int = 7) -> np.ndarray[Any, np.dtype[Any]]:
    rows = list(operations(events, live, seed))
    made = np.zeros(len(rows), EVENT)
    for column, name in enumerate(("op", "side", "ord", "px", "qty")):
        made[name] = [row[column] for row in rows]
    opened = int(made["ord"].max()) + 1
    draws = np.random.default_rng(seed)
    steps = draws.integers(1, 12, opened, dtype=np.uint64)
    hi, lo = draws.integers(0, 1 << 64, (2, opened), dtype=np.uint64)
    made["seq"] = (np.uint64(180_000_000_000) + np.cumsum(steps))[made["ord"]]
    made["hi"] = ((hi & np.uint64(0xFFFFFFFFFFFF0FFF)) | np.uint64(0x4000))[made["ord"]]
    made["lo"] = ((lo & np.uint64(0x3FFFFFFFFFFFFFFF)) | np.uint64(1 << 63))[made["ord"]]
    return made
