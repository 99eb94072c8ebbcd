"""Moments of a recording worth a look: where a gap begins, where a large order does, where
something was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.events import EventKind
from ordertape.tape.lookup import TapeLookup

__all__ = ["Found", "marker_beyond", "nothing_found"]

Found: TypeAlias = Callable[[int, bool], int | None]
"""When the finding nearest to a time was found (ns): behind it (True), or before it."""


def nothing_found(_at: int, _forward: bool) -> int | None:
    """Where findings are stored nowhere."""
    return None


def marker_beyond(
    lookup: TapeLookup,
    gaps: Sequence[int],
    large: tuple[int, int],
    at: int,
    *,
    forward: bool,
    found: Found = nothing_found,
) -> int | None:
    """When the nearest marker behind ``at`` (or before it) was, ns; None: none near enough.

    ``gaps``: when they began; ``large``: the least size of a large order, and its scale.
    """
    around = [gap for gap in gaps if (gap > at if forward else gap < at)]
    nearest = (min if forward else max)(around, default=None)
    order = _large_order(lookup, large, at, forward=forward)
    moments = (nearest, order, found(at, forward))
    known = [moment for moment in moments if moment is not None]
    return (min if forward else max)(known, default=None)


def _large_order(
    lookup: TapeLookup, large: tuple[int, int], at: int, *, forward: bool
) -> int | None:
    for batch in _stretches(lookup, at, forward=forward):
        times = np.asarray(batch.column("ts_recv"))
        kinds, sizes = np.asarray(batch.column("kind")), batch.column("size")
        if sizes is None:
            continue
        least = _at_scale(*large, batch.size_scale)
        beyond = times > at if forward else times < at
        found = np.flatnonzero(beyond & (kinds == EventKind.OPEN) & (np.asarray(sizes) >= least))
        if len(found):
            return int(times[found[0 if forward else -1]])
    return None


def _stretches(lookup: TapeLookup, at: int, *, forward: bool) -> Iterator[EventBatch]:
    """The events behind a time, or those before it, the nearest first."""
    step, most = limits.archive_row_group_rows, limits.replay_marker_events_max
    if forward:
        first, last = lookup.seq_from(at + 1), lookup.last_seq()
        for low in range(first, min(last, first + most) + 1, step):
            yield from lookup.events(low, min(low + step - 1, last))
    else:
        high, first = lookup.seq_from(at) - 1, lookup.first_seq()
        for top in range(high, max(first - 1, high - most), -step):
            yield from reversed(lookup.events(max(first, top - step + 1), top))


def _at_scale(size: int, scale: int, other: int) -> int:
    """Rounded up where the other has fewer digits."""
    if other >= scale:
        return size * int(10 ** (other - scale))
    return -(-size // int(10 ** (scale - other)))
