"""Where the events of a page come from: the tape, a leaf of PostgreSQL, or saved rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.arrow import ID_COLUMNS, to_numpy
from ordertape.database.batches import Rows
from ordertape.database.connections import Canceling, Connections
from ordertape.database.reader import Stretch, events_in
from ordertape.database.rows import Generation
from ordertape.database.stored import seq_after
from ordertape.events import EventKind
from ordertape.filters import Filters
from ordertape.tape.history import History
from ordertape.tape.lookup import TapeLookup

__all__ = ["Leaf", "Query", "Saved", "Source", "Tape"]


class Query(NamedTuple):
    """Which events a page may have: seqs from ``first`` to ``last``, both with them, that pass;
    ``start``, ``end`` (ns) where times need not follow the seq."""

    first: int
    last: int
    limit: int
    descending: bool
    filters: Filters
    start: int | None = None
    end: int | None = None


class Source(Protocol):
    """One store of a market's events."""

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        """(low, high) seqs, both with them, one after the other in the page's direction, which
        together hold every event of the query."""
        ...

    def rows(self, query: Query, low: int, high: int, room: int) -> Sequence[Rows]:
        """The first ``room`` events of a stretch in the page's direction, by rising seq; maybe
        some more."""
        ...


def _steps(query: Query, step: int, most: int) -> Iterator[tuple[int, int]]:
    """Stretches of ``step`` seqs at first, each twice as long as the one before up to ``most``."""
    first, last = query.first, query.last
    while first <= last:
        if query.descending:
            yield max(first, last - step + 1), last
            last -= step
        else:
            yield first, min(last, first + step - 1)
            first += step
        step = min(step * 2, most)


@dataclass(slots=True)
class Tape:
    """The record: archive and journal."""

    lookup: TapeLookup
    history: History

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        # A page that filters little out reads little, one that finds nothing reads fast.
        return _steps(query, query.limit, limits.archive_row_group_rows)

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
        columns.setdefault(name, np.full(len(rows), np.iinfo(np.int64).min))
    columns.setdefault("side", np.full(len(rows), 255, np.uint8))
    return EventBatch.from_arrays(
        **columns,
        price_scale=batch.price_scale,
        size_scale=batch.size_scale,
        codec=batch.codec,
        trade_codec=batch.trade_codec,
    )


@dataclass(slots=True)
class Leaf:
    """A day of a tape's events in PostgreSQL."""

    connections: Connections
    stretch: Stretch
    canceling: Canceling

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        if query.filters.order_id is not None:
            return iter([(query.first, query.last)])  # by its index
        # A query stops by itself where the page is full.
        return _steps(query, limits.api_scan_rows, limits.api_scan_rows)

    def rows(self, query: Query, low: int, high: int, room: int) -> list[Rows]:
        with self.connections.use(limits.api_statement_ms_max, self.canceling) as connection:
            return events_in(
                connection,
                self.stretch.generation,
                self.stretch.leaf,
                query.filters,
                first=low,
                last=high,
                rows=room,
                descending=query.descending,
            )


@dataclass(slots=True)
class Saved:
    """Rows that PostgreSQL alone has; their times and generations need not follow the seq."""

    connections: Connections
    generations: Sequence[Generation]
    canceling: Canceling

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        narrow = query.filters.any or query.start is not None or query.end is not None
        if not narrow or query.filters.order_id is not None:
            yield query.first, query.last
            return
        first, last = query.first, query.last
        while first <= last:
            with self._connection() as connection:
                reached = seq_after(
                    connection,
                    self.generations,
                    first=first,
                    last=last,
                    rows=limits.page_scan_rows_max,
                    descending=query.descending,
                )
            if reached is None:
                yield first, last
                return
            yield (reached, last) if query.descending else (first, reached)
            first, last = (first, reached - 1) if query.descending else (reached + 1, last)

    def rows(self, query: Query, low: int, high: int, room: int) -> list[Rows]:
        with self._connection() as connection:
            return [
                rows
                for generation in self.generations
                for rows in events_in(
                    connection,
                    generation,
                    generation.table,
                    query.filters,
                    first=low,
                    last=high,
                    rows=room,
                    descending=query.descending,
                    start=query.start,
                    end=query.end,
                )
            ]

    def _connection(self) -> Any:
        return self.connections.use(limits.database_statement_timeout_ms, self.canceling)
