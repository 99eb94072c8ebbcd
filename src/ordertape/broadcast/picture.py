"""A whole book as its readers are sent it.

Readers ask for books of many depths, and each is the beginning of the whole: all share the frames
of the orders that they have in common, so that another depth costs some 20 kB, 45 kB at most.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.broadcast.encode import resting_orders, statistics_text, text
from ordertape.broadcast.frames import Circumstance, Events, Parcel, Resumed, Told, age_of
from ordertape.broadcast.wire import framed
from ordertape.models import iso_from_ns

__all__ = ["BookPicture", "Item"]


class _Side:
    """One side's orders as members of a JSON list, best first."""

    def __init__(self, rows: EventBatch) -> None:
        self._rows = rows
        self._frames: list[bytes] = []

    def __len__(self) -> int:
        return len(self._rows)

    def text(self, first: int, behind: int) -> str:
        """The orders from ``first`` to before ``behind``, as they stand in the list."""
        if first == behind:
            return ""
        return f"{',' if first else ''}{','.join(resting_orders(self._rows[first:behind]))}"

    def frames(self, count: int) -> tuple[list[bytes], str]:
        """The first ``count`` orders: frames that every depth behind them shares, each written
        once, and the text of what is left."""
        run = limits.client_frame_orders
        shared = count // run
        for first in range(len(self._frames) * run, shared * run, run):
            words = self.text(first, first + run)
            self._frames.append(framed(words.encode(), first=False, last=False))
        return self._frames[:shared], self.text(shared * run, count)


@dataclass(slots=True)
class BookPicture:
    """A whole book after event ``sequence``."""

    sequence: int
    timestamp: str
    ts_recv: int
    where: Circumstance
    statistics: str
    rows: EventBatch
    bids: int
    """How many of the rows are bids."""
    heard: int = 0
    """When the venue's last frame came, where that is known (ns): on a quiet market long after
    the last event."""
    _sides: tuple[_Side, _Side] = field(init=False)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    """Who writes: others want much of the same, and have it behind it."""
    _written: dict[int, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sides = _Side(self.rows[: self.bids]), _Side(self.rows[self.bids :])

    @classmethod
    def of(cls, book: OrderBook, where: Circumstance, ts: int) -> BookPicture:
        """``ts``: of ``rebuild.time_of``."""
        return cls(
            sequence=book.seq,
            timestamp=iso_from_ns(ts),
            ts_recv=book.ts_recv,
            where=where,
            statistics=statistics_text(book),
            rows=book.snapshot(),
            bids=book.totals()[0],
        )

    @property
    def stand(self) -> tuple[int, int]:
        return self.where.era, self.sequence

    def members(self, depth: int) -> str:
        """``sequence`` to ``asks`` as members of a JSON object; ``depth`` orders a side, 0 all."""
        bids, asks = (side.text(0, count) for side, count in self._shown(depth))
        return f'{self._head()}"bids":[{bids}],"asks":[{asks}]'

    def _shown(self, depth: int) -> list[tuple[_Side, int]]:
        """The sides, and how many orders of each."""
        return [(side, min(depth or len(side), len(side))) for side in self._sides]

    def _head(self) -> str:
        return (
            f'"sequence":{self.sequence},"timestamp":"{self.timestamp}",'
            f'"statistics":{self.statistics},'
        )

    # Over the wire --------------------------------------------------------------------------------

    def write(self, depth: int) -> list[bytes]:
        """What stands in the middle of its text: all of it, or frames where the book is large.
        Takes long then: in a thread before it is sent."""
        depth = self._whole_or(depth)
        if (written := self._written.get(depth)) is not None:
            return written
        with self._writing:
            if depth not in self._written:
                self._written[depth] = self._write(depth)
        return self._written[depth]

    def is_written(self, depth: int) -> bool:
        """Whether ``write`` has nothing to do any more."""
        return self._whole_or(depth) in self._written

    def _whole_or(self, depth: int) -> int:
        """Every depth beyond the book is the whole of it."""
        return 0 if depth >= max(map(len, self._sides)) else depth

    def _write(self, depth: int) -> list[bytes]:
        # What a reader needs to make columns of it as they stand on the tape.
        form = (
            f'"tape":{{"ts_recv_ns":{self.ts_recv},"price_scale":{self.rows.price_scale},'
            f'"size_scale":{self.rows.size_scale},"id_codec":{text(self.rows.codec.spec)}}}'
        )
        shown = self._shown(depth)
        if all(count < limits.client_frame_orders for _, count in shown):
            return [f"{self.members(depth)},{form}".encode()]
        (bids, last_bids), (asks, last_asks) = (side.frames(count) for side, count in shown)
        own = (f'{self._head()}"bids":[', f'{last_bids}],"asks":[', f"{last_asks}],{form}")
        head, middle, tail = (framed(words.encode(), first=False, last=False) for words in own)
        return [head, *bids, middle, *asks, tail]

    def size(self, depth: int) -> int:
        """Bytes of its text."""
        return sum(map(len, self.write(depth)))

    def parcels(self, depth: int) -> Iterator[Parcel]:
        """Its text: one frame, or many where the book is large.  Control frames may come between
        any two, so that a ping need not wait for the end of it."""
        age_ms = age_of(max(self.ts_recv, self.heard))
        before, behind = (part.encode() for part in self.where.around("l3_snapshot", age_ms))
        middle = self.write(depth)
        if len(middle) == 1:
            yield Parcel(framed(b"".join((before, *middle, behind))), self.stand)
            return
        yield Parcel(framed(before, last=False), messages=0)
        for frame in middle:
            yield Parcel(frame, messages=0)
        yield Parcel(framed(behind, first=False), self.stand)


Item: TypeAlias = Events | Resumed | BookPicture | Told
"""What is delivered to a market's readers, in order."""
