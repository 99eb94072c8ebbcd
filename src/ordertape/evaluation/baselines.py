"""The rules that are commonly used, over the same events: what a detector must be better than.

* size and quick cancel: an order of at least 3 times the mean size, canceled unfilled within 10 s
* z-score: a size, or the messages of a second, 3 deviations above the mean
* refill count: a price that is refilled 3 times after trades
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ordertape._engine import EventBatch, Rows
from ordertape.evaluation.truth import Finding
from ordertape.events import EventKind, Flag, Reason

__all__ = ["Baseline", "QuickCancel", "RefillCount", "ZScore", "keys_of"]

_SECOND: Final = 1_000_000_000
_SIZES: Final = 1_000
"""Orders whose sizes are the usual ones."""
_TIMES: Final = 3.0
_QUICK_NS: Final = 10 * _SECOND
_Z: Final = 3.0
_SHOWN: Final = ("spoof-like", "layering")
_LONG_NS: Final = 60 * _SECOND
_RATE_WINDOW: Final = 300
"""Seconds whose messages are the usual ones."""
_RATE_WINDOW_MIN: Final = 30
_REFILLS: Final = 3
_REFILL_NS: Final = _SECOND
_FORGET_NS: Final = 10 * _SECOND


class Baseline(Protocol):
    """``kinds``: what its findings may stand for."""

    name: str
    kinds: tuple[str, ...]

    def take(self, batch: EventBatch, ended: Rows) -> Iterator[Finding]:
        """The next events, and the orders that ended with them."""
        ...


def keys_of(column: Any) -> npt.NDArray[np.uint64]:
    """Ids as the numbers of `ordertape.evaluation.truth.order_key`."""
    halves: npt.NDArray[np.uint64] = np.ascontiguousarray(np.asarray(column)).view("<u8")[:, 0]
    return halves


class _Sizes:
    """Mean and deviation of the last orders."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=_SIZES)

    def see(self, batch: EventBatch) -> None:
        kind, flags = np.asarray(batch.column("kind")), np.asarray(batch.column("flags"))
        new = (kind == EventKind.OPEN) & (flags & Flag.SNAPSHOT == 0)
        self._last.extend(np.asarray(batch.column("size"))[new][-_SIZES:].tolist())

    @property
    def mean(self) -> float:
        return float(np.mean(self._last)) if len(self._last) >= _SIZES // 2 else float("inf")

    @property
    def deviation(self) -> float:
        return float(np.std(self._last)) if self._last else float("inf")


def _canceled(ended: Rows, longest_ns: int, least: float) -> Iterator[Finding]:
    """Orders of at least that size, canceled without a trade within that time: the rules know no
    layers, an order stands for what it may be part of."""
    if not len(ended) or not np.isfinite(least):
        return
    get = {name: np.asarray(ended.column(name)) for name in ended.names}
    chosen = (
        (get["ending"] == 1)
        & (get["reason"] != Reason.FILLED)
        & (get["filled"] == 0)
        & (get["ended"] - get["opened"] <= longest_ns)
        & (get["size_first"] >= least)
        & (get["flags"] & 1 == 0)
    )
    keys = keys_of(ended.column("order_id"))
    for at in np.flatnonzero(chosen).tolist():
        size = int(get["size_first"][at])
        for kind in _SHOWN:
            yield Finding(
                *(kind, int(get["side"][at]), int(get["opened"][at]), int(get["ended"][at])),
                *(int(get["told"][at]), size / (size + least), (int(keys[at]),)),
            )


class QuickCancel:
    name = "size ≥ 3 × mean, canceled within 10 s"
    kinds: tuple[str, ...] = _SHOWN

    def __init__(self) -> None:
        self._sizes = _Sizes()

    def take(self, batch: EventBatch, ended: Rows) -> Iterator[Finding]:
        least = _TIMES * self._sizes.mean
        yield from _canceled(ended, _QUICK_NS, least)
        self._sizes.see(batch)


class ZScore:
    name = "z-score ≥ 3 of sizes, of messages a second"
    kinds: tuple[str, ...] = (*_SHOWN, "quote stuffing")

    def __init__(self) -> None:
        self._sizes = _Sizes()
        self._second = 0
        self._count = 0
        self._opened: dict[int, list[int]] = {0: [], 1: []}
        self._usual: deque[int] = deque(maxlen=_RATE_WINDOW)
        self._burst: Finding | None = None

    def take(self, batch: EventBatch, ended: Rows) -> Iterator[Finding]:
        least = self._sizes.mean + _Z * self._sizes.deviation
        yield from _canceled(ended, _LONG_NS, least)
        self._sizes.see(batch)
        yield from self._messages(batch)

    def _messages(self, batch: EventBatch) -> Iterator[Finding]:
        seconds = np.asarray(batch.column("ts_recv")) // _SECOND
        kind, side = np.asarray(batch.column("kind")), np.asarray(batch.column("side"))
        keys = keys_of(batch.column("order_id"))
        cuts = np.flatnonzero(np.diff(seconds)) + 1
        starts = [0, *cuts.tolist()]
        for start, end in zip(starts, [*starts[1:], len(seconds)], strict=True):
            second = int(seconds[start])
            if second != self._second:
                yield from self._close(second)
            self._count += end - start
            for of in (0, 1):
                mine = (kind[start:end] == EventKind.OPEN) & (side[start:end] == of)
                self._opened[of] += keys[start:end][mine].tolist()

    def _close(self, second: int) -> Iterator[Finding]:
        """A second is over; a burst goes on as long as they are unusual, and is told once."""
        usual = self._usual
        unusual = (
            len(usual) >= _RATE_WINDOW_MIN
            and self._count > np.mean(usual) + _Z * np.std(usual)
            and self._second > 0
        )
        if unusual:
            side = 0 if len(self._opened[0]) >= len(self._opened[1]) else 1
            if self._burst is None:
                end = (self._second + 1) * _SECOND
                z = (self._count - float(np.mean(usual))) / max(1e-9, float(np.std(usual)))
                orders = tuple(self._opened[0] + self._opened[1])
                began = self._second * _SECOND
                self._burst = Finding(
                    *("quote stuffing", side, began, end, end, z / (1 + z), orders)
                )
                yield self._burst
        else:
            self._burst = None
        if self._second:
            usual.append(self._count)
            usual.extend([0] * min(_RATE_WINDOW, second - self._second - 1))
        self._second, self._count, self._opened = second, 0, {0: [], 1: []}


class RefillCount:
    name = "a price refilled 3 times after trades"
    kinds: tuple[str, ...] = ("native iceberg", "synthetic iceberg")

    def __init__(self) -> None:
        self._levels: dict[tuple[int, int], list[Any]] = {}
        """By side and price: [last trade, refills, since, orders, told]."""

    def take(self, batch: EventBatch, ended: Rows) -> Iterator[Finding]:
        del ended
        kind, levels = np.asarray(batch.column("kind")), self._levels
        chosen = np.flatnonzero((kind == EventKind.OPEN) | (kind == EventKind.MATCH))
        columns = [
            np.asarray(batch.column(name))[chosen].tolist()
            for name in ("kind", "side", "price", "ts_recv")
        ]
        keys = keys_of(batch.column("order_id"))[chosen].tolist()
        for what, side, price, ts, key in zip(*columns, keys, strict=True):
            level = levels.get((side, price))
            if what == EventKind.MATCH:
                if level is None or ts - level[0] > _FORGET_NS:
                    levels[side, price] = [ts, 0, ts, [key], False]
                else:
                    level[0] = ts
            elif level is not None and ts - level[0] <= _REFILL_NS:
                level[1] += 1
                level[3].append(key)
                if level[1] >= _REFILLS and not level[4]:
                    level[4] = True
                    orders = tuple(dict.fromkeys(level[3]))
                    for name in self.kinds:
                        yield Finding(name, side, level[2], ts, ts, 0.4, orders)
        if len(levels) > 10_000:
            last = int(np.asarray(batch.column("ts_recv"))[-1])
            old = [place for place, level in levels.items() if last - level[0] > _FORGET_NS]
            for place in old:
                del levels[place]
