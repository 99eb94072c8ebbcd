"""What a market's readers are sent: events and statuses, framed once for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.broadcast.encode import order_objects, text
from ordertape.broadcast.wire import framed

__all__ = [
    "Circumstance",
    "Events",
    "Parcel",
    "Resumed",
    "Told",
    "age_of",
]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Frames as they go over the wire, whole ones, and where a reader stands who has them."""

    data: bytes
    stand: tuple[int, int] | None = None
    """(era, sequence); None where it moves none."""
    messages: int = 1
    """Texts that end in it: a large book comes as many frames of one text."""
    state: str | None = None
    """The text of what the next of its ``topic`` replaces while it waits; None of all else."""
    topic: str = ""

    @classmethod
    def of(cls, words: str, topic: str | None = None) -> Parcel:
        """One text; ``topic``: of what is state."""
        data = framed(words.encode())
        return cls(data) if topic is None else cls(data, state=words, topic=topic)

    def after_others(self, conflated: int) -> Parcel:
        """The same state, saying how many before it were left out."""
        assert self.state is not None
        return Parcel.of(f'{self.state[:-1]},"conflated":{conflated}}}', self.topic)


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What every frame says beside its content."""

    exchange: str
    symbol: str
    state: str
    era: int
    simulated: bool

    def around(self, kind: str, age_ms: int | None) -> tuple[str, str]:
        """What stands before and behind the members of a frame."""
        age = "null" if age_ms is None else age_ms
        return (
            f'{{"type":"{kind}","exchange":{text(self.exchange)},"symbol":{text(self.symbol)},',
            f',"state":"{self.state}","era":{self.era},"age_ms":{age},'
            f'"simulated":{"true" if self.simulated else "false"}}}',
        )

    def frame(self, kind: str, members: str, age_ms: int | None) -> str:
        before, behind = self.around(kind, age_ms)
        return f"{before}{members}{behind}"


def age_of(ts_recv: int) -> int:
    """Milliseconds since a moment of our clock (ns)."""
    return max(0, time.time_ns() - ts_recv) // 10**6


@dataclass(slots=True)
class Events:
    """Events ``first`` to ``last`` as JSON objects; framed when first asked for."""

    first: int
    last: int
    ts_recv: int
    where: Circumstance
    objects: list[str]
    size: int = 0
    """Characters of all objects."""
    _whole: dict[bool, Parcel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.objects))

    @classmethod
    def joined(cls, items: Sequence[Events]) -> Events:
        """Several that follow each other as one."""
        if len(items) == 1:
            return items[0]
        newest = items[-1]
        objects = [words for item in items for words in item.objects]
        return cls(items[0].first, newest.last, newest.ts_recv, newest.where, objects)

    def parcel_after(self, seq: int, batched: bool) -> Parcel:
        """The events behind ``seq``: an ``l3_order`` each, or ``batched`` in one ``l3_orders``.
        Who stands right before the first gets the same bytes as everyone."""
        if seq >= self.first:
            return self._parcel(self.objects[seq - self.first + 1 :], batched)
        if batched not in self._whole:
            self._whole[batched] = self._parcel(self.objects, batched)
        return self._whole[batched]

    def _parcel(self, objects: list[str], batched: bool) -> Parcel:
        stand, age_ms = (self.where.era, self.last), age_of(self.ts_recv)
        if batched:
            words = self.where.frame("l3_orders", f'"data":[{",".join(objects)}]', age_ms)
            return Parcel(framed(words.encode()), stand)
        before, behind = self.where.around("l3_order", age_ms)
        texts = [framed(f'{before}"data":{data}{behind}'.encode()) for data in objects]
        return Parcel(b"".join(texts), stand, len(texts))


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

    def parcels(self, *, batched: bool) -> Iterator[Parcel]:
        """``batched``: lists of events, as with ``batch_ms``."""
        for batch in self.batches:
            for first in range(0, len(batch), limits.client_take_events):
                part = batch[first : first + limits.client_take_events]
                objects = order_objects(part, self.era, whole=True)
                if objects:
                    seqs = part.first_seq, part.last_seq
                    events = Events(*seqs, part.last_ts_recv, self.where, objects)
                    yield events.parcel_after(0, batched)


@dataclass(slots=True)
class Told:
    """A state that is the same for everyone: a status, statistics."""

    parcel: Parcel

    @classmethod
    def of(cls, words: str, topic: str) -> Told:
        return cls(Parcel.of(words, topic))
