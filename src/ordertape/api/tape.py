"""The tape as a source of pages; those of PostgreSQL stand in ``database.sources``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import NULL, EventBatch
from ordertape.arrow import ID_COLUMNS, to_numpy
from ordertape.database.batches import Rows
from ordertape.database.sources import Query, steps
from ordertape.events import NO_SIDE, EventKind
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup

__all__ = ["Tape"]


@dataclass(slots=True)
class Tape:
    """The record: archive and journal."""

    lookup: TapeLookup
    history: History

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        # A page that filters little out reads little, one that finds nothing reads fast.
        return steps(query, query.limit, limits.archive_row_group_rows)

    def rows(self, query: Query, low: int, high: int, room: int) -> list[Rows]:
        found: list[Rows] = []
        batches = self.lookup.events(low, high)
        for batch in reversed(batches) if query.descending else batches:
            passed = query.filters.rows(batch) if query.filters.any else np.arange(len(batch))
            passed = passed[-room:] if query.descending else passed[:room]
            if len(passed):
                found.append(Rows(_chosen(batch, passed), self._eras(batch)[passed]))
                room -= len(passed)
            if room == 0:
                break
        return found

    def _eras(self, batch: EventBatch) -> npt.NDArray[np.int64]:
        """The era of each row, 0 where the tape does not tell; a CLEAR that the history has not
        heard of yet begins the next."""
        eras = np.empty(len(batch), np.int64)
        era = self.history.era_at(batch.first_seq) or 0
        eras[:] = era
        if batch.counts()[EventKind.CLEAR]:
            seqs = np.asarray(batch.column("seq"))
            for row in np.flatnonzero(np.asarray(batch.column("kind")) == EventKind.CLEAR):
                known = self.history.era_at(int(seqs[row])) or 0
                era = max(known, era + 1) if era and row else known
                eras[row:] = era
        return eras


def _chosen(batch: EventBatch, rows: npt.NDArray[np.intp]) -> EventBatch:
    """Some rows of a batch, rising."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return batch[first : last + 1]
    columns: dict[str, Any] = {name: values[rows] for name, values in to_numpy(batch).items()}
    for name in ID_COLUMNS:
        if name in columns:
            columns[name] = columns[name].view(np.uint8)
        else:
            columns.setdefault(name, None)
    for name in ("price", "size"):
        columns.setdefault(name, np.full(len(rows), NULL))
    columns.setdefault("side", np.full(len(rows), NO_SIDE, np.uint8))
    return EventBatch.from_arrays(
        **columns,
        price_scale=batch.price_scale,
        size_scale=batch.size_scale,
        codec=batch.codec,
        trade_codec=batch.trade_codec,
    )
