"""What the roles measure of themselves and tell each other: delays, counts, places.

A delay is counted into buckets where it is measured and travels as counts, so that whoever adds
them up, over time or over markets, loses nothing.  No delay is negative: where the venue's clock
is ahead of ours it counts as none, and is counted once more as such.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ordertape import limits
from ordertape.times import NS_PER_SECOND

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "BOUNDS_SECONDS",
    "CopiedMarket",
    "Delays",
    "DelaysTold",
    "MeasuredStream",
    "Nearest",
    "ProcessMeasures",
    "StreamMeasures",
    "role_measures",
]

BOUNDS_SECONDS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0),
)
"""Upper bounds of the buckets, inclusive; one more holds what is longer.  0.1 and 0.15 s stand
around the promise that a sync begins within ``journal_sync_ms_max``."""
_BOUNDS_NS: Final = [round(bound * NS_PER_SECOND) for bound in BOUNDS_SECONDS]


class DelaysTold(msgspec.Struct):
    """Delays as they travel: how many in each bucket, their sum (ns), how many were negative."""

    counts: list[int] = []
    sum_ns: int = 0
    negative: int = 0


class Delays:
    """Delays since the start, counted; one thread writes, any reads."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_NS) + 1)
        self._sum_ns = self._negative = 0
        self._lock = threading.Lock()

    def note(self, delay_ns: int) -> None:
        with self._lock:
            if delay_ns < 0:
                self._negative += 1
                delay_ns = 0
            self._counts[bisect_left(_BOUNDS_NS, delay_ns)] += 1
            self._sum_ns += delay_ns

    def note_all(self, delays_ns: npt.NDArray[np.int64]) -> None:
        """Many at once, ns each."""
        import numpy as np  # not above: a collector measures one by one, and starts sooner without

        shown = np.maximum(delays_ns, 0)
        places = np.bincount(
            np.searchsorted(_BOUNDS_NS, shown, side="left"), minlength=len(self._counts)
        )
        with self._lock:
            self._counts = [had + int(more) for had, more in zip(self._counts, places, strict=True)]
            self._sum_ns += int(shown.sum())
            self._negative += int((delays_ns < 0).sum())

    def told(self) -> DelaysTold:
        """As of now."""
        with self._lock:
            return DelaysTold(list(self._counts), self._sum_ns, self._negative)


class Nearest:
    """The least of what was noted lately: in this stretch of a minute or the one before."""

    def __init__(self) -> None:
        self._stretch = -1
        self._before: int | None = None
        self._now: int | None = None

    def note(self, value: int, at_ns: int) -> None:
        self._turn(at_ns)
        if self._now is None or value < self._now:
            self._now = value

    def least(self, at_ns: int) -> int | None:
        """None where nothing was noted lately."""
        self._turn(at_ns)
        there = [value for value in (self._before, self._now) if value is not None]
        return min(there, default=None)

    def _turn(self, at_ns: int) -> None:
        stretch = at_ns // (limits.clock_offset_seconds * NS_PER_SECOND)
        if stretch > self._stretch:
            self._before = self._now if stretch == self._stretch + 1 else None
            self._now, self._stretch = None, stretch


class StreamMeasures(msgspec.Struct, kw_only=True):
    """What a collector knows of one stream, since its start but for ``gaps``; a reader knows none
    of it."""

    orders: int = 0
    bid_orders: int = 0
    ask_orders: int = 0
    frames: int = 0
    frame_bytes: int = 0
    connects: int = 0
    resyncs: int = 0
    gaps: dict[str, int] = {}
    """By kind, the names of ``stream.gap_kinds``: of earlier collectors, too, as long as the folder
    has the report of the last; of damage, what the journal holds."""
    unreadable: int = 0
    snapshots: int = 0
    checksums: int = 0
    checksums_equal: int = 0
    audits: int = 0
    audits_equal: int = 0
    audits_failed: int = 0
    venue: DelaysTold = msgspec.field(default_factory=DelaysTold)
    """From the venue's clock to our receipt."""
    durable: DelaysTold = msgspec.field(default_factory=DelaysTold)
    """From our receipt to durable in the journal."""
    venue_offset_ns: int | None = None
    """The least of ``venue`` lately, below zero too: what the clocks differ and the shortest
    way; None without a venue's time."""


class MeasuredStream(msgspec.Struct, kw_only=True):
    """A stream of a running collector, as the server knows it."""

    exchange: str
    symbol: str
    events: int
    """Since the collector's start."""
    sequence: int
    durable: int
    """The last event that is durable in the journal."""
    persist: bool
    measures: StreamMeasures


class CopiedMarket(msgspec.Struct):
    """How far a market is in PostgreSQL, and how long its events took from receipt to committed."""

    exchange: str
    symbol: str
    seq: int
    delays: DelaysTold


class ProcessMeasures(msgspec.Struct):
    """A role as the kernel sees it: one process, or several where one waits for another."""

    role: str
    resident_bytes: int
    cpu_seconds: float
    open_files: int
    started_at: float
    """Seconds since 1970; of several, the youngest."""


def role_measures(pids: Iterable[tuple[str, int]]) -> list[ProcessMeasures]:
    """Of (role, process): each role once.  What is gone, or not ours to look at, is left out."""
    found: dict[str, ProcessMeasures] = {}
    for role, pid in sorted(set(pids)):
        if (one := _process(role, pid)) is None:
            continue
        if (others := found.get(role)) is not None:
            one.resident_bytes += others.resident_bytes
            one.cpu_seconds += others.cpu_seconds
            one.open_files += others.open_files
            one.started_at = max(one.started_at, others.started_at)
        found[role] = one
    return list(found.values())


def _process(role: str, pid: int) -> ProcessMeasures | None:
    folder = Path(f"/proc/{pid}")
    try:
        resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        # Behind the name, which may hold anything: the 12th and 13th field are utime and stime,
        # the 20th is when it started, in ticks since the machine did.
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        seconds = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        files = len(os.listdir(folder / "fd"))
        started = _moment_of(int(stat[19]))
    except (OSError, IndexError, ValueError):
        return None
    return ProcessMeasures(role, resident, seconds, files, started)


@lru_cache(maxsize=limits.processes_known)
def _moment_of(ticks: int) -> float:
    """Seconds since 1970 at so many ticks since the machine started.

    Kept: by clocks that are adjusted it would be a little another each time, as if the process
    were.
    """
    since = ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since
