"""A walk along a tape as far as it is written, and on as it grows."""

from __future__ import annotations

from collections.abc import Iterator

from ordertape.lifecycles.walk import Walk
from ordertape.tape.reader import Item, TapeReader

__all__ = ["Way"]


class Way:
    """Goes on from where ``walk`` stands; to be closed."""

    def __init__(self, walk: Walk, reader: TapeReader) -> None:
        self.walk = walk
        self._tail = reader.since(walk.seq + 1).tail(snapshots=True)
        self._items: Iterator[Item] = iter(())

    def close(self) -> None:
        self._tail.close()

    def make_durable(self) -> None:
        """Everything walked so far outlives a power cut afterwards."""
        self._tail.make_durable()

    def step(self) -> bool:
        """Takes the next item of the tape; False where there is none now."""
        item = next(self._items, None)
        if item is None:
            self._items = self._tail.items()
            item = next(self._items, None)
        if item is None:
            return False
        self.walk.see(item)
        return True
