"""A market by hand, event by event, and what the engine's detectors find in it.

Times are ms, prices ticks around 10,000, sizes units; side 0 bid, 1 ask.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from ordertape._engine import NULL, Detectors, EventBatch, IdCodec, Lifecycles, OrderBook
from ordertape.events import EventKind, Flag, Reason

__all__ = ["BEGIN", "MS", "Hand", "found"]

MS = 1_000_000
BEGIN = 1_700_000_000_000 * MS


class _Row(NamedTuple):
    ts: int
    kind: int
    side: int
    order_id: str | None
    price: int
    size: int
    reason: int
    flags: int
    taker: str | None


class Hand:
    """Writes events; ``now`` is the time of the next (ms)."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.now = 0.0
        self._count = 0
        self._stands: dict[str, tuple[int, int, int]] = {}
        for level in range(40):
            for side in (0, 1):
                price = 10_001 + level if side else 10_000 - level
                self.add(side, price, 40, flags=Flag.SNAPSHOT)

    def wait(self, ms: float) -> None:
        self.now += ms

    def name(self) -> str:
        self._count += 1
        return f"o{self._count}"

    def write(
        self,
        kind: EventKind,
        side: int,
        order_id: str | None,
        price: int,
        size: int,
        reason: Reason = Reason.NONE,
        flags: int = 0,
        taker: str | None = None,
    ) -> None:
        ts = BEGIN + round(self.now * MS)
        self.rows.append(
            _Row(ts, int(kind), side, order_id, price, size, int(reason), int(flags), taker)
        )

    def add(
        self, side: int, price: int, size: int, order_id: str | None = None, flags: int = 0
    ) -> str:
        name = self.name() if order_id is None else order_id
        self.write(EventKind.OPEN, side, name, price, size, flags=flags)
        self._stands[name] = (side, price, size)
        return name

    def cancel(self, *names: str, reason: Reason = Reason.CANCELED) -> None:
        for name in names:
            side, price, size = self._stands.pop(name)
            self.write(EventKind.DONE, side, name, price, size, reason)

    def meet(self, name: str, size: int, taker: str | None = None, told: bool = True) -> None:
        """Somebody trades with an order; ``told``: its end is told where nothing is left."""
        side, price, stood = self._stands[name]
        self.write(
            EventKind.MATCH, side, name, price, size, taker=self.name() if taker is None else taker
        )
        if size < stood:
            self._stands[name] = (side, price, stood - size)
            return
        del self._stands[name]
        if told:
            self.write(EventKind.DONE, side, name, price, 0, Reason.FILLED)

    def amend(self, name: str, price: int, size: int, reason: Reason = Reason.AMENDED) -> None:
        side = self._stands[name][0]
        self.write(EventKind.CHANGE, side, name, price, size, reason)
        self._stands[name] = (side, price, size)

    def usual(self, seconds: float) -> None:
        """What a quiet market does: small orders near and far that come and go, a trade now and
        then with whoever stands first."""
        end, nth = self.now + 1_000 * seconds, 0
        standing: list[str] = []
        while self.now < end:
            side, behind = nth % 2, (0, 1, 3, 8, 12)[nth % 5]
            price = 10_001 + behind if side else 10_000 - behind
            standing.append(self.add(side, price, 2 + nth * 7 % 5))
            self.wait(7)
            if len(standing) > 12:
                self.cancel(standing.pop(0))
            if nth % 150 == 149:
                first = next(n for n, (s, p, _) in self._stands.items() if (s, p) == (side, price))
                self.meet(first, 1)
            self.wait(13)
            nth += 1
        self.cancel(*[name for name in standing if name in self._stands])

    def batch(self, start: int, end: int, codec: IdCodec, scales: tuple[int, int]) -> EventBatch:
        rows = self.rows[start:end]
        price, size = 10 ** (scales[0] - 2), 10 ** (scales[1] - 1)
        return EventBatch.from_arrays(
            kind=[row.kind for row in rows],
            side=[row.side for row in rows],
            order_id=[row.order_id for row in rows],
            price=[row.price if row.price == NULL else row.price * price for row in rows],
            size=[row.size * size for row in rows],
            reason=[row.reason for row in rows],
            flags=[row.flags for row in rows],
            ts_event=[row.ts for row in rows],
            ts_recv=[row.ts for row in rows],
            seq=list(range(start + 1, start + 1 + len(rows))),
            taker_order_id=[row.taker for row in rows],
            taker_side=[1 - row.side if row.taker else 255 for row in rows],
            price_scale=scales[0],
            size_scale=scales[1],
            codec=codec,
        )


def found(
    hand: Hand,
    *,
    split: int = 10_000,
    scales: tuple[int, int] = (2, 1),
    then: tuple[int, int] | None = None,
    gap_at: int | None = None,
    **parameters: float,
) -> list[dict[str, Any]]:
    """Every finding, in batches of ``split`` events.  ``then``: scales of the second half;
    ``gap_at``: the row before which events are said to be missing."""
    codec = IdCodec()
    book = OrderBook(codec=codec)
    lives = Lifecycles(hold_ns=1_000 * MS, evicted_max=100)
    detectors = Detectors(**parameters)
    told: list[dict[str, Any]] = []
    cuts = sorted({*range(0, len(hand.rows), split), len(hand.rows), gap_at or 0})
    for start, end in pairwise(cuts):
        if start == gap_at:
            detectors.gap()
        late = then is not None and start >= len(hand.rows) // 2
        batch = hand.batch(start, end, codec, then if late and then is not None else scales)
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, [detectors])
        lives.drain()
        told += detectors.drain(codec)
    return told
