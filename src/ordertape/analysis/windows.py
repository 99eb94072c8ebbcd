"""The flow of a market added up over windows of equal length.

What the engine tells a second at a time is exact; so are its sums here.  A window of which more
than a twentieth is not known, because it lies in a gap or no row covers it, has no metrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ordertape._engine import NULL, Flow, Rows
from ordertape.times import NS_PER_SECOND

__all__ = ["COHORT_S", "GAP_SHARE_MAX", "Windows", "dimensions", "wide_of"]

Floats = npt.NDArray[np.float64]
GAP_SHARE_MAX: Final = 0.05
"""Of a window that may be unknown; beyond, its metrics are null."""

COHORT_S: Final = 60
"""Behind a window's end: as much is known of the last order's fate as of the first one's."""

_NAMES: Final = Flow.names()
_FLOWS: Final = Flow.flows()
_PLACES: Final = {
    name: (kind, place) for kind, names in _NAMES.items() for place, name in enumerate(names)
}
_CANCELS: Final = [
    place
    for place, name in enumerate(_NAMES["counts"])
    if name.startswith(("cancelled_", "reduced_"))
]
_COHORT_COUNTS: Final = ("orders", "touched", "filled", "cancelled")
_COHORT_SIZES: Final = ("size", "filled_size")


def wide_of(column: Any) -> npt.NDArray[Any]:
    """128-bit numbers of the engine, two int64 each, as Python's integers."""
    halves = np.asarray(column).reshape(-1, 2)
    low = halves[:, 0].astype(np.uint64).astype(object)
    found: npt.NDArray[Any] = halves[:, 1].astype(object) * 2**64 + low
    return found


class Windows:
    """``count`` windows of ``step`` seconds from the second ``start`` (since 1970) on.

    ``cohort_s``: seconds behind a window's end in which what becomes of its orders counts."""

    def __init__(self, start: int, step: int, count: int, cohort_s: int = COHORT_S) -> None:
        self.start, self.step, self.count, self.cohort_s = start, step, count, cohort_s
        self.scales = (0, 0)
        self.covered = np.zeros(count, np.int64)
        """Seconds of each window that rows stand for."""
        self.told_gap_ns = np.zeros(count, np.int64)
        """Of each window, as the marks of the tape say."""
        self.cancel_squares = np.zeros(count)
        """The sum over seconds of the square of how many were canceled."""
        self._counts = np.zeros((count, len(_NAMES["counts"])), np.int64)
        self._sums = np.zeros((count, len(_NAMES["sums"])), object)
        self._means = np.zeros((count, len(_NAMES["means"])))
        self._cohorts = np.zeros((count, len(_COHORT_COUNTS)), np.int64)
        self._cohort_sizes = np.zeros((count, len(_COHORT_SIZES)), object)
        self._ended = np.zeros(count, bool)
        self._told_to = 0
        """The second behind the last that was told."""

    # What comes -----------------------------------------------------------------------------------

    def take(self, rows: Rows) -> None:
        """Seconds as ``Flow.drain`` tells them; each once, in order."""
        second, seconds = (np.array(rows.column(name)) for name in ("second", "seconds"))
        if not len(second):
            return
        self._told_to = int(second[-1] + seconds[-1])
        self._adopt((rows.price_scale, rows.size_scale))
        counts = np.asarray(rows.column("counts")).reshape(len(second), -1)
        sums = np.asarray(rows.column("sums")).reshape(len(second), -1, 2)
        means = np.asarray(rows.column("means")).reshape(len(second), -1)
        single = seconds == 1
        for begin, end in _runs(single):
            if single[begin]:
                part = slice(begin, end)
                self._take_singles(second[part], counts[part], sums[part], means[part])
            else:
                for nth in range(begin, end):
                    self._take_quiet(int(second[nth]), int(seconds[nth]), counts, sums, means, nth)

    def _take_singles(
        self,
        second: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        sums: npt.NDArray[np.int64],
        means: Floats,
    ) -> None:
        window = (second - self.start) // self.step
        inside = (window >= 0) & (window < self.count)
        if not inside.any():
            return
        window, counts, sums, means = window[inside], counts[inside], sums[inside], means[inside]
        begins = np.flatnonzero(np.r_[True, window[1:] != window[:-1]])
        which, lasts = window[begins], np.r_[begins[1:], len(window)] - 1
        self.covered[which] += np.diff(np.r_[begins, len(window)])
        canceled = counts[:, _CANCELS].sum(axis=1).astype(float)
        self.cancel_squares[which] += np.add.reduceat(canceled**2, begins)
        flows = _FLOWS["counts"]
        self._counts[which, :flows] += np.add.reduceat(counts[:, :flows], begins, axis=0)
        self._counts[which, flows:] = counts[lasts, flows:]
        flows = _FLOWS["sums"]
        self._sums[which, :flows] += _added(sums[:, :flows], begins)
        self._sums[which, flows:] = _whole(sums[lasts, flows:])
        flows = _FLOWS["means"]
        self._means[which, :flows] += np.add.reduceat(means[:, :flows], begins, axis=0)
        self._means[which, flows:] = means[lasts, flows:]
        self._ended[which] = True

    def _take_quiet(
        self,
        second: int,
        seconds: int,
        counts: npt.NDArray[np.int64],
        sums: npt.NDArray[np.int64],
        means: Floats,
        nth: int,
    ) -> None:
        """A row of many seconds, all alike: each window has its share, exactly."""
        first = max(second, self.start)
        last = min(second + seconds, self.start + self.step * self.count)
        whole = _whole(sums[nth])
        while first < last:
            window = (first - self.start) // self.step
            end = min(last, self.start + (window + 1) * self.step)
            share = end - first
            self.covered[window] += share
            flows = _FLOWS["counts"]
            self._counts[window, :flows] += counts[nth, :flows] * share // seconds
            self._counts[window, flows:] = counts[nth, flows:]
            flows = _FLOWS["sums"]
            self._sums[window, :flows] += whole[:flows] * share // seconds
            self._sums[window, flows:] = whole[flows:]
            flows = _FLOWS["means"]
            self._means[window, :flows] += means[nth, :flows] * (share / seconds)
            self._means[window, flows:] = means[nth, flows:]
            self._ended[window] = True
            first = end

    def take_cohorts(self, rows: Rows) -> None:
        """What came to be known of orders, by the window that opened them."""
        window = (np.asarray(rows.column("cohort")) - self.start) // self.step
        last = self.start + (window + 1) * self.step + self.cohort_s
        inside = (window >= 0) & (window < self.count) & (np.asarray(rows.column("second")) < last)
        if not inside.any():
            return
        self._adopt((rows.price_scale, rows.size_scale))
        for place, name in enumerate(_COHORT_COUNTS):
            values = np.asarray(rows.column(name))[inside]
            np.add.at(self._cohorts[:, place], window[inside], values)
        for place, name in enumerate(_COHORT_SIZES):
            np.add.at(
                self._cohort_sizes[:, place], window[inside], wide_of(rows.column(name))[inside]
            )

    def take_gaps(self, gaps: Iterable[tuple[int, int | None]]) -> None:
        """All gaps that the tape tells: (from, to or None) in ns, without an overlap."""
        begin, width = self.start * NS_PER_SECOND, self.step * NS_PER_SECOND
        self.told_gap_ns[:] = 0
        for from_ns, to_ns in gaps:
            end = begin + self.count * width
            first = max(from_ns, begin)
            last = end if to_ns is None else min(to_ns, end)
            while first < last:
                window = (first - begin) // width
                border = min(last, begin + (window + 1) * width)
                self.told_gap_ns[window] += border - first
                first = border

    def _adopt(self, scales: tuple[int, int]) -> None:
        """Everything at larger scales."""
        if scales == self.scales:
            return
        price, size = (max(0, new - old) for new, old in zip(scales, self.scales, strict=True))
        self.scales = scales
        if not self.covered.any():
            return
        for name, (kind, place) in _PLACES.items():
            of_price, of_size = dimensions(name)
            factor = (10**price if of_price else 1) * (10**size if of_size else 1)
            if kind == "sums":
                self._sums[:, place] *= factor
            elif kind == "means" and of_price:
                self._means[:, place] *= factor
            elif name in ("bid", "ask"):
                known = self._counts[:, place] != NULL
                self._counts[known, place] *= factor
        self._cohort_sizes *= 10**size

    # What is known --------------------------------------------------------------------------------

    @property
    def begins(self) -> npt.NDArray[np.int64]:
        """When each window begins (ns since 1970)."""
        found: npt.NDArray[np.int64] = (
            self.start + self.step * np.arange(self.count)
        ) * NS_PER_SECOND
        return found

    @property
    def gap_seconds(self) -> Floats:
        """Seconds of each window within gaps."""
        within = np.maximum(self._counts[:, _PLACES["gap_ns"][1]], self.told_gap_ns)
        return np.minimum(within / NS_PER_SECOND, self.step)

    @property
    def known_seconds(self) -> Floats:
        """Seconds of each window that are known; NaN where too little is."""
        known = np.minimum(self.covered, self.step - self.gap_seconds)
        return np.where(known >= (1 - GAP_SHARE_MAX) * self.step, known, np.nan)

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.known_seconds)

    def __getitem__(self, name: str) -> Floats:
        """A count or a sum of each window by the engine's name for it, in units of the venue's
        numbers; what a window ended with, for what does not add up.  NaN where it is not known."""
        kind, place = _PLACES[name]
        if kind == "counts":
            values = self._counts[:, place]
            found = values.astype(float)
            if name in ("bid", "ask"):
                found = np.where(values == NULL, np.nan, found / 10 ** self.scales[0])
        elif kind == "sums":
            of_price, of_size = dimensions(name)
            unit = 10 ** (self.scales[0] * of_price + self.scales[1] * of_size)
            found = np.array([value / unit for value in self._sums[:, place]], float)
        else:
            of_price, _ = dimensions(name)
            found = self._means[:, place] / 10 ** (self.scales[0] * of_price)
        return np.where(self.is_known & self._ended, found, np.nan)

    def cohort(self, name: str) -> Floats:
        """Of the orders that each window opened: ``orders``, ``touched`` (traded at least once),
        ``filled``, ``cancelled``, ``size``, ``filled_size``."""
        if name in _COHORT_COUNTS:
            found = self._cohorts[:, _COHORT_COUNTS.index(name)].astype(float)
        else:
            place, unit = _COHORT_SIZES.index(name), 10 ** self.scales[1]
            found = np.array([value / unit for value in self._cohort_sizes[:, place]], float)
        ends = self.start + (np.arange(self.count) + 1) * self.step
        return np.where(self.is_known & (ends + self.cohort_s <= self._told_to), found, np.nan)


def dimensions(name: str) -> tuple[bool, bool]:
    """Whether a sum or mean is of prices, and whether of sizes."""
    if name.startswith(("notional", "effective", "realised", "impact", "weight_", "weight")):
        of_size = not name.startswith("weighted_mid")
        return True, of_size
    if name in ("spread_ns", "mids_ns"):
        return True, False
    if name.startswith(("order_ns", "relative_spread", "imbalance", "slope")):
        return False, False
    return False, _PLACES[name][0] == "sums"


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of equal values."""
    borders = [0, *(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(flags)]
    return list(pairwise(borders))


def _whole(halves: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    low = halves[..., 0].astype(np.uint64).astype(object)
    found: npt.NDArray[Any] = halves[..., 1].astype(object) * 2**64 + low
    return found


def _added(halves: npt.NDArray[np.int64], begins: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Sums of 128-bit numbers from each row of ``begins`` to the next, as Python's integers."""
    low = halves[..., 0].astype(np.uint64)
    parts = (
        np.add.reduceat((low & np.uint64(2**32 - 1)).astype(np.int64), begins, axis=0),
        np.add.reduceat((low >> np.uint64(32)).astype(np.int64), begins, axis=0),
        np.add.reduceat(halves[..., 1], begins, axis=0),
    )
    found: npt.NDArray[Any] = (
        parts[2].astype(object) * 2**64 + parts[1].astype(object) * 2**32 + parts[0].astype(object)
    )
    return found
