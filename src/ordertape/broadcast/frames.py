"""What a market's readers are sent: events, whole books, statuses, as JSON texts made once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.broadcast.encode import book_sides, order_objects, statistics_text, text
from ordertape.models import iso_from_ns

__all__ = ["BookPicture", "Circumstance", "Events", "Frame", "Item", "Resumed", "Told", "age_of"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One text, and where a reader stands who has it: (era, sequence), None where it moves none."""

    text: str
    stand: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What every frame says beside its content."""

    exchange: str
    symbol: str
    state: str
    era: int
    simulated: bool

    def frame(self, kind: str, members: str, age_ms: int | None) -> str:
        age = "null" if age_ms is None else age_ms
        return (
            f'{{"type":"{kind}","exchange":{text(self.exchange)},"symbol":{text(self.symbol)},'
            f'{members},"state":"{self.state}","era":{self.era},"age_ms":{age},'
            f'"simulated":{"true" if self.simulated else "false"}}}'
        )


def age_of(ts_recv: int) -> int:
    """Milliseconds since a moment of our clock (ns)."""
    return max(0, time.time_ns() - ts_recv) // 10**6


@dataclass(slots=True)
class Events:
    """Events ``first`` to ``last`` as JSON objects; ``frames`` are made when first asked for."""

    first: int
    last: int
    ts_recv: int
    where: Circumstance
    objects: list[str]
    _frames: list[Frame] | None = None

    def objects_after(self, seq: int) -> list[str]:
        return self.objects if seq < self.first else self.objects[seq - self.first + 1 :]

    def frames_after(self, seq: int) -> list[Frame]:
        if self._frames is None:
            age_ms, era = age_of(self.ts_recv), self.where.era
            self._frames = [
                Frame(self.where.frame("l3_order", f'"data":{data}', age_ms), (era, seq_of))
                for seq_of, data in enumerate(self.objects, self.first)
            ]
        return self._frames if seq < self.first else self._frames[seq - self.first + 1 :]


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a reader missed, as columns: a slice is written when its socket can take it, so that
    many who resume at once cost neither memory nor the loop's time."""

    batches: list[EventBatch]
    where: Circumstance
    era: int

    @property
    def last(self) -> int:
        return self.batches[-1].last_seq

    def frames(self, *, batched: bool) -> Iterator[Frame]:
        """``batched``: lists of events, as with ``batch_ms``."""
        for batch in self.batches:
            for first in range(0, len(batch), limits.client_take_frames):
                part = batch[first : first + limits.client_take_frames]
                objects = order_objects(part, self.era, whole=True)
                age_ms, seqs = age_of(part.last_ts_recv), range(part.first_seq, part.last_seq + 1)
                if batched:
                    data = f'"data":[{",".join(objects)}]'
                    words = self.where.frame("l3_orders", data, age_ms)
                    yield Frame(words, (self.era, part.last_seq))
                    continue
                for seq, data in zip(seqs, objects, strict=True):
                    words = self.where.frame("l3_order", f'"data":{data}', age_ms)
                    yield Frame(words, (self.era, seq))


@dataclass(slots=True)
class BookPicture:
    """A whole book after event ``sequence``; each depth that is asked for is written once."""

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
    _texts: dict[int, str] = field(default_factory=dict)

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

    def members(self, depth: int) -> str:
        """``sequence`` to ``asks`` as members of a JSON object; ``depth`` orders a side, 0 all."""
        if depth not in self._texts:
            bids, asks = book_sides(self.rows, self.bids, depth)
            self._texts[depth] = (
                f'"sequence":{self.sequence},"timestamp":"{self.timestamp}",'
                f'"statistics":{self.statistics},"bids":{bids},"asks":{asks}'
            )
        return self._texts[depth]

    def frame(self, depth: int, age_ms: int | None) -> Frame:
        stand, rows = (self.where.era, self.sequence), self.rows
        # What a reader needs to make columns of it as they stand on the tape.
        form = (
            f'"tape":{{"ts_recv_ns":{self.ts_recv},"price_scale":{rows.price_scale},'
            f'"size_scale":{rows.size_scale},"id_codec":{text(rows.codec.spec)}}}'
        )
        words = self.where.frame("l3_snapshot", f"{self.members(depth)},{form}", age_ms)
        return Frame(words, stand)


@dataclass(frozen=True, slots=True)
class Told:
    """A text that is the same for everyone: a status, statistics."""

    frame: Frame


Item: TypeAlias = Events | Resumed | BookPicture | Told
"""What is delivered to a market's readers, in order."""
