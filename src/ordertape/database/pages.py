"""Pages of events by seq, from one store or across several, in either direction."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.database.batches import Rows
from ordertape.database.connections import Canceling, Connections
from ordertape.database.rows import generations_of
from ordertape.database.sources import Query, Saved, Source
from ordertape.database.stored import Stored, seqs_of
from ordertape.errors import DatabaseError
from ordertape.events import EventKind

__all__ = ["Page", "Part", "read_page", "saved_part"]

Made = TypeVar("Made")
Making: TypeAlias = Callable[[EventBatch, int | None], Iterable[Made]]
"""Makes something of each event of a batch whose events are of one era, None where unknown."""


class Part(NamedTuple):
    """The seqs from ``first`` to ``last`` that a page may take from a source, or, where that
    fails, from another one."""

    source: Source
    first: int
    last: int
    instead: Source | None = None

    def settled(self) -> Part:
        """From the other source where there is one."""
        return self if self.instead is None else Part(self.instead, self.first, self.last)


def saved_part(
    connections: Connections, stored: Stored, query: Query, canceling: Canceling
) -> Part:
    """What a page may take of a market that no tape here has.  Raises DatabaseError."""
    with connections.use(limits.database_page_ms_max, canceling) as connection:
        generations = generations_of(connection, stored.market)
        first, last = seqs_of(connection, stored, generations, query.start, query.end)
    source = Saved(connections, generations, canceling)
    return Part(source, max(first, query.first), min(last, query.last))


@dataclass(slots=True)
class Page(Generic[Made]):
    """What was made of the events, and the seq to go on with, None at the end."""

    orders: list[Made] = field(default_factory=list)
    next_seq: int | None = None


def read_page(
    parts: Iterable[Part],
    query: Query,
    *,
    make: Making[Made],
    leave: Callable[[], None],
    failed: Callable[[DatabaseError], None] = lambda _error: None,
) -> Page[Made]:
    """At most ``query.limit`` events of the parts, which meet without a seam and are by rising
    seq; ``make``: what the page has of them.

    A page that took too long to look for its events is short and still has a next.  ``failed`` is
    told why a part, and all that follow, come from the other source.
    """
    page: Page[Made] = Page()
    deadline = time.monotonic() + limits.page_scan_ms_max / 1000
    waiting = deque(parts)
    if query.descending:
        waiting.reverse()
    while waiting:
        part = waiting.popleft()
        asked = query._replace(first=part.first, last=part.last)
        low, high = part.first, part.last
        try:
            for low, high in part.source.stretches(asked):
                leave()
                room = query.limit - len(page.orders)
                reached = _add(page, part.source.rows(asked, low, high, room), query, make)
                if reached is None and time.monotonic() > deadline:
                    reached = low if query.descending else high
                if reached is not None:
                    following = reached + (-1 if query.descending else 1)
                    page.next_seq = following if query.first <= following <= query.last else None
                    return page
        except DatabaseError as error:
            leave()  # it was canceled where the client left
            if part.instead is None:
                raise
            failed(error)
            rest = Part(part.instead, part.first if query.descending else low, part.last)
            waiting.appendleft(rest._replace(last=high) if query.descending else rest)
            waiting = deque(later.settled() for later in waiting)
    return page


def _add(page: Page[Made], found: Sequence[Rows], query: Query, make: Making[Made]) -> int | None:
    """Takes in as many events as there is room for; the last one's seq where there is no more."""
    events = sorted(
        (pair for rows in found for pair in _events(rows, make)), key=lambda pair: pair[0]
    )
    if query.descending:
        events.reverse()
    taken = events[: query.limit - len(page.orders)]
    page.orders += [made for _, made in taken]
    return taken[-1][0] if len(page.orders) == query.limit else None


def _events(rows: Rows, make: Making[Made]) -> Iterator[tuple[int, Made]]:
    """(seq, what is made) of events, an era at a time: each is made with its own."""
    batch, eras = rows
    seqs: list[int] = np.asarray(batch.column("seq")).tolist()
    clears = np.asarray(batch.column("kind")) == EventKind.CLEAR
    begins = np.flatnonzero((eras[1:] != eras[:-1]) | clears[1:]) + 1
    cuts = [0, *begins.tolist(), len(batch)]
    for first, end in pairwise(cuts):
        era = int(eras[first]) or None
        yield from zip(seqs[first:end], make(batch[first:end], era), strict=True)
