"""Metrics of a followed market, once a second: what analysis makes of its last seconds."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np

from ordertape._engine import Rows
from ordertape.analysis.measure import measured, values_of
from ordertape.analysis.metrics import METRICS
from ordertape.analysis.walk import gaps_of, new_flow
from ordertape.analysis.windows import Windows
from ordertape.models import iso_from_ns
from ordertape.page.followed import FollowedBook
from ordertape.tape.history import History
from ordertape.times import NS_PER_SECOND

__all__ = ["LiveMetrics"]

METRICS_S: Final = 10
"""Seconds that metrics are of: those before the last one that is settled."""
FLEETING_NS: Final = 2 * NS_PER_SECOND
CANCELED: Final = 1


class LiveMetrics:
    """Belongs to the thread that moves the book on."""

    def __init__(self, followed: FollowedBook, history: History) -> None:
        self._flow, self._followed, self.history = new_flow(), followed, history
        followed.watch(self._flow)
        self._kept: deque[tuple[Rows, Rows, Rows]] = deque()
        """Seconds, cohorts and lifetimes as they were told."""
        self._settled = 0

    def close(self) -> None:
        self._followed.watchers.remove(self._flow)

    def gap(self, from_ns: int) -> None:
        """Events are missing from a time on (ns)."""
        self._flow.gap(from_ns)

    def tick(self, now: int) -> dict[str, Any] | None:
        """Time has come to ``now`` (ns): what there is to tell where a second was settled."""
        self._flow.advance(now)
        rows, cohorts = self._flow.drain(), self._flow.drain_cohorts()
        lifetimes = self._flow.drain_lifetimes()
        self._flow.drain_shocks()
        if not (len(rows) or len(cohorts) or len(lifetimes)):
            return None
        self._kept.append((rows, cohorts, lifetimes))
        if not len(rows):
            return None
        last = int(np.asarray(rows.column("second"))[-1])
        self._settled = last + int(np.asarray(rows.column("seconds"))[-1])
        while self._kept and self._end_of(self._kept[0][0]) <= self._settled - METRICS_S:
            self._kept.popleft()
        return self._told()

    def _end_of(self, rows: Rows) -> int:
        """The second behind the last of some rows."""
        if not len(rows):
            return self._settled - METRICS_S
        return sum(int(np.asarray(rows.column(name))[-1]) for name in ("second", "seconds"))

    def _told(self) -> dict[str, Any]:
        windows = Windows(self._settled - METRICS_S, METRICS_S, 1, cohort_s=0)
        for rows, cohorts, _ in self._kept:
            windows.take(rows)
            windows.take_cohorts(cohorts)
        end = self._settled * NS_PER_SECOND
        windows.take_gaps(gaps_of(self.history, end - METRICS_S * NS_PER_SECOND, end))
        columns = measured(windows, METRICS.values())
        del columns["begin"]
        return {
            "op": "metrics",
            "t": iso_from_ns(end),
            "seconds": METRICS_S,
            "values": {**values_of(columns, 0), **self._lifetimes()},
        }

    def _lifetimes(self) -> dict[str, float | None]:
        """Of the orders that ended by a fill or a cancel and were seen from their beginning: the
        median of how long they lived, and the share canceled within 2 s of it."""
        told = [lifetimes for _, _, lifetimes in self._kept if len(lifetimes)]
        cells = [
            np.stack([np.asarray(rows.column(name), np.int64) for name in _CELLS]) for rows in told
        ]
        found = np.concatenate([np.empty((5, 0), np.int64), *cells], axis=1)
        second, fate, truncated, lasted, count = found
        wanted = (second >= self._settled - METRICS_S) & (truncated == 0) & (fate <= CANCELED)
        fate, lasted, count = fate[wanted], lasted[wanted], count[wanted]
        if not len(count):
            return {"lifetime_median_s": None, "fleeting_share": None}
        order = np.argsort(lasted, kind="stable")
        middle = np.searchsorted(np.cumsum(count[order]), count.sum() / 2)
        fleeting = count[(fate == CANCELED) & (lasted < FLEETING_NS)].sum()
        return {
            "lifetime_median_s": float(lasted[order][middle] / NS_PER_SECOND),
            "fleeting_share": float(fleeting / count.sum()),
        }


_CELLS: Final = ("second", "fate", "truncated", "lasted", "count")
