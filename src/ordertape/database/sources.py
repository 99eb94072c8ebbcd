"""Where the events of a page come from: a leaf of PostgreSQL, or rows that it alone has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from ordertape import limits
from ordertape.database.batches import Rows
from ordertape.database.connections import Canceling, Connections
from ordertape.database.reader import Stretch, events_in
from ordertape.database.rows import Generation
from ordertape.database.stored import seq_after
from ordertape.filters import Filters

__all__ = ["LAST_SEQ", "Leaf", "Query", "Saved", "Source", "steps"]

LAST_SEQ: Final = 2**63 - 1


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


def steps(query: Query, step: int, most: int) -> Iterator[tuple[int, int]]:
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
class Leaf:
    """A day of a tape's events in PostgreSQL."""

    connections: Connections
    stretch: Stretch
    canceling: Canceling

    def stretches(self, query: Query) -> Iterator[tuple[int, int]]:
        if query.filters.order_id is not None:
            return iter([(query.first, query.last)])  # by its index
        # A query stops by itself where the page is full.
        return steps(query, limits.api_scan_rows, limits.api_scan_rows)

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
        return self.connections.use(limits.database_page_ms_max, self.canceling)
