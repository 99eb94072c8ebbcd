"""What a stretch of a market's events adds up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch
from ordertape.api.work import Leave
from ordertape.events import EventKind, Side
from ordertape.models import iso_from_ns
from ordertape.tape.lookup import TapeLookup

__all__ = ["Figures", "figures_of"]

_TRADES = (EventKind.MATCH, EventKind.TRADE)


@dataclass(slots=True)
class Figures:
    """Sums over events, a batch at a time."""

    by_kind: dict[EventKind, int] = field(default_factory=dict)
    by_side: dict[Side, int] = field(default_factory=dict)
    traded: Decimal = Decimal(0)
    first_ts: int | None = None
    last_ts: int | None = None
    peak: int = 0
    _ids: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _id_rows: int = 0
    _second: tuple[int, int] = (0, 0)

    def take(self, batch: EventBatch) -> None:
        for kind, count in enumerate(batch.counts()):
            if count:
                self.by_kind[EventKind(kind)] = self.by_kind.get(EventKind(kind), 0) + count
        if (sides := batch.column("side")) is not None:
            counted = np.bincount(np.asarray(sides), minlength=2)
            for side in Side:
                self.by_side[side] = self.by_side.get(side, 0) + int(counted[side])
        self._trades(batch)
        self._times(batch)
        self._orders(batch)

    def _trades(self, batch: EventBatch) -> None:
        if batch.column("size") is None:
            return
        sizes = np.asarray(batch.column("size"))
        traded = np.isin(np.asarray(batch.column("kind")), _TRADES) & (sizes != NULL)
        # Python's integers: a sum of int64 may not fit one.
        total = sum(sizes[traded].tolist())
        self.traded += Decimal(total).scaleb(-batch.size_scale)

    def _times(self, batch: EventBatch) -> None:
        times = np.asarray(batch.column("ts_recv"))
        self.first_ts = int(times[0]) if self.first_ts is None else self.first_ts
        self.last_ts = int(times[-1])
        seconds, counts = np.unique(times // 10**9, return_counts=True)
        if int(seconds[0]) == self._second[0]:
            counts[0] += self._second[1]
        self._second = int(seconds[-1]), int(counts[-1])
        self.peak = max(self.peak, int(counts.max()))

    def _orders(self, batch: EventBatch) -> None:
        if (column := batch.column("order_id")) is None:
            return
        self._ids.append(np.unique(np.asarray(column).view(np.uint64), axis=0))
        self._id_rows += len(self._ids[-1])
        if self._id_rows > limits.figures_ids_gathered:
            self._merge()

    def _merge(self) -> None:
        if self._ids:
            self._ids = [np.unique(np.concatenate(self._ids), axis=0)]
            self._id_rows = 0

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    @property
    def unique(self) -> int:
        """Orders with an id of their own."""
        self._merge()
        if not self._ids:
            return 0
        none = (self._ids[0] == np.uint64(2**64 - 1)).all(axis=1)
        return len(self._ids[0]) - int(none.sum())

    def as_dict(self) -> dict[str, Any]:
        """The counting part of ``GET /statistics``."""
        span = (self.last_ts - self.first_ts) / 10**9 if self.first_ts and self.last_ts else 0
        return {
            "total_orders": self.total,
            "unique_orders": self.unique,
            "first_order": None if self.first_ts is None else iso_from_ns(self.first_ts),
            "last_order": None if self.last_ts is None else iso_from_ns(self.last_ts),
            "by_event_type": {kind.name.lower(): self.by_kind.get(kind, 0) for kind in EventKind},
            "by_side": {side.name.lower(): self.by_side.get(side, 0) for side in Side},
            "traded_volume": self.traded,
            "events_per_second": {
                "mean": round(self.total / span, 3) if span > 0 else float(self.total),
                "peak": self.peak,
            },
        }


def figures_of(lookup: TapeLookup, first: int, last: int, leave: Leave) -> Figures:
    """Blocking work: the figures of the events from ``first`` to ``last``."""
    figures, step = Figures(), limits.archive_row_group_rows
    for low in range(first, last + 1, step):
        leave()
        for batch in lookup.events(low, min(last, low + step - 1)):
            figures.take(batch)
    return figures
