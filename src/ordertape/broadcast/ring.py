"""The newest events of one market, for readers that come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.tape.joined import joined
from ordertape.times import NS_PER_SECOND

__all__ = ["Ring"]


class Ring:
    """At most so many events, none older than ``limits.live_events_kept_seconds``, in batches as
    they came; the older ones joined to larger batches, which take a tenth of the memory.  The
    newest batch stays whatever its size."""

    def __init__(self, events_max: int) -> None:
        self._max = events_max
        self._joined: deque[EventBatch] = deque()
        self._near: deque[EventBatch] = deque()
        self._events = 0

    def append(self, batch: EventBatch) -> None:
        """The next events; the oldest go where there are too many."""
        if len(self._near) >= limits.live_batches_apart_max:
            self._join()
        self._near.append(batch)
        self._events += _events(batch)
        too_old = batch.last_ts_recv - limits.live_events_kept_seconds * NS_PER_SECOND
        while len(self._joined) + len(self._near) > 1:
            held = self._joined or self._near
            if self._events <= self._max and held[0].last_ts_recv >= too_old:
                break
            self._events -= _events(held.popleft())

    def _join(self) -> None:
        near = list(self._near)
        try:
            self._joined.extend(joined(near))
        except ValueError:  # ids of two dictionaries
            self._joined.extend(near)
        self._near.clear()

    def clear(self) -> None:
        self._joined.clear()
        self._near.clear()
        self._events = 0

    def __iter__(self) -> Iterator[EventBatch]:
        yield from self._joined
        yield from self._near

    def __reversed__(self) -> Iterator[EventBatch]:
        yield from reversed(self._near)
        yield from reversed(self._joined)


def _events(batch: EventBatch) -> int:
    return batch.last_seq - batch.first_seq + 1
