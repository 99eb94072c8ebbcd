"""The events of a stretch of time and prices, as one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.arrow import ID_COLUMNS, to_numpy
from ordertape.errors import SettingRefused
from ordertape.filters import Filters
from ordertape.tape.exports.span import Range
from ordertape.tape.folder import slug

__all__ = ["Box"]


@dataclass(frozen=True)
class Box(Range):
    """As a range, of the events that pass ``filters`` alone.  Raises SettingRefused, while it is
    written, where they are more than ``limits.box_events_max``."""

    filters: Filters = field(default_factory=Filters)

    def name(self, _day_ns: int, suffix: str) -> str:
        """One file, however many days it reaches over."""
        return f"{slug(self.exchange)}_{slug(self.symbol)}_box{suffix}"

    def days(self) -> Iterator[tuple[int, EventBatch]]:
        count = 0
        for moment, batch in super().days():
            rows = self.filters.rows(batch)
            count += len(rows)
            if count > limits.box_events_max:
                raise SettingRefused(
                    f"expected at most {limits.box_events_max} events, found more: choose a "
                    "shorter time or fewer prices"
                )
            if len(rows) == len(batch):
                yield moment, batch
            elif len(rows):
                yield moment, _chosen(batch, rows)


def _chosen(batch: EventBatch, rows: npt.NDArray[np.intp]) -> EventBatch:
    columns: dict[str, Any] = {name: array[rows] for name, array in to_numpy(batch).items()}
    for name in ID_COLUMNS:
        if name in columns:
            columns[name] = np.ascontiguousarray(columns[name]).view(np.uint8)
    return EventBatch.from_arrays(
        **columns,
        price_scale=batch.price_scale,
        size_scale=batch.size_scale,
        codec=batch.codec,
        trade_codec=batch.trade_codec,
    )
