"""LOBSTER message and orderbook files of a tape (see ``tape.lobster`` for the format).

A new pair of files begins at each CLEAR and at New York's midnight, from which the format's times
count.  The book a pair starts from is what its first orderbook line
shows less its first message, as the format has it.

* OPEN → 1; CHANGE → 2 where only the size shrank, else 3 and 1; MATCH → 4; DONE and EVICT → 3,
  a DONE(filled) after its MATCH nothing; TRADE, and a MATCH that came late, → 5.
* Prices are × 10,000 and sizes whole, where all of the span's are that; else a price or size has
  as many digits more as are needed, and a file ``…_scales.json`` beside the pair says how many;
  ``read_lobster`` reads it there.
* Ids that are no integers below 2^62 are numbered from 2^62 on.
* Times are the venue's, where it gives them, raised so that they never decrease.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, TextIO
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

from ordertape._engine import NULL, EventBatch, OrderBook
from ordertape.arrow import to_numpy
from ordertape.errors import TapeError
from ordertape.events import EventKind, Flag, Side
from ordertape.tape.exports.files import NewFiles
from ordertape.tape.exports.span import Progress, Range
from ordertape.tape.folder import slug
from ordertape.tape.lobster_lines import PRICE_SCALE, SIZE_SCALE, Scales
from ordertape.times import NS_PER_DAY, NS_PER_SECOND

__all__ = ["LEVELS", "export_lobster"]

LEVELS: Final = 10
"""Levels of the orderbook file unless told otherwise."""

_NUMBERED_IDS: Final = 2**62
_NO_ASK: Final = "9999999999,0"
_NO_BID: Final = "-9999999999,0"
_NEW_YORK: Final = ZoneInfo("America/New_York")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Event(NamedTuple):
    kind: int
    side: int
    flags: int
    price: int
    size: int
    ts: int


class _Message(NamedTuple):
    type: int
    order_id: str | None
    size: int
    price: int
    side: int


def export_lobster(
    span: Range, out: str | Path, progress: Progress | None = None, levels: int = LEVELS
) -> list[Path]:
    """Pairs of message and orderbook files with ``levels`` levels a side; their paths.

    The tape is read twice: first to find the scales that hold every number.  Raises TapeError
    where ``levels`` is below 1 or the folder can't be written.
    """
    if levels < 1:
        raise TapeError(f"expected 1 level or more, found {levels}")
    with NewFiles(out) as files:
        writer = _Writer(span, files, levels, _scales(span))
        start, batches = span.with_book()
        done = 0
        try:
            if start is not None:
                writer.begin(start)
            for batch in batches:
                writer.write(batch)
                done += len(batch)
                if progress is not None:
                    progress(done)
        finally:
            writer.close()
    return files.paths


def _scales(span: Range) -> tuple[int, int]:
    """The digits after the point that prices (4 or more) and sizes of the span need."""
    price_scale, size_scale = PRICE_SCALE, SIZE_SCALE
    start, batches = span.with_book()
    if start is not None and len(start):
        batches = chain((start.snapshot(),), batches)
    for batch in batches:
        columns = to_numpy(batch)
        price_scale = _needed(columns["price"], batch.price_scale, price_scale)
        size_scale = _needed(columns["size"], batch.size_scale, size_scale)
    return price_scale, size_scale


def _needed(values: npt.NDArray[np.int64], scale: int, least: int) -> int:
    known = values[values != NULL]
    while scale > least and not (known % 10 ** (scale - least)).any():
        scale -= 1
        if (known % 10).any():
            return scale + 1
        known = known // 10
    return max(scale, least)


class _Writer:
    """Turns events into messages, keeps the book they make, writes both line by line."""

    def __init__(self, span: Range, files: NewFiles, levels: int, scales: tuple[int, int]) -> None:
        self._span, self._files, self._levels = span, files, levels
        self._price_scale, self._size_scale = scales
        self._book = OrderBook(price_scale=scales[0], size_scale=scales[1])
        self._numbers: dict[str, int] = {}
        self._pair: _Pair | None = None
        self._ts = NULL
        self._offsets: dict[int, int] = {}

    def begin(self, book: OrderBook) -> None:
        """The book that the first pair of files starts from."""
        for side in Side:
            for order_id, price, size in book.orders(side):
                self._book.apply_one(EventKind.OPEN, side, order_id, price, size)

    def write(self, batch: EventBatch) -> None:
        for order_id, event in self._events(batch):
            if event.kind == EventKind.CLEAR:
                self.close()
                self._book.apply_one(EventKind.CLEAR, None, None, None, None)
            elif event.flags & Flag.SNAPSHOT:
                self._apply(event, order_id)
            else:
                for message in self._messages(event, order_id):
                    self._line(message, event.ts)

    def _events(self, batch: EventBatch) -> Iterator[tuple[str | None, _Event]]:
        columns = to_numpy(batch)
        ts = columns["ts_recv"]
        if "ts_event" in columns:
            ts = np.where(columns["ts_event"] == NULL, ts, columns["ts_event"])
        lists = (
            columns["kind"],
            columns["side"],
            columns["flags"],
            _rescaled(columns["price"], batch.price_scale, self._price_scale),
            _rescaled(columns["size"], batch.size_scale, self._size_scale),
            ts,
        )
        events = map(_Event._make, zip(*(values.tolist() for values in lists), strict=True))
        return zip(batch.id_texts(), events, strict=True)

    def _apply(self, event: _Event, order_id: str | None, **changed: int) -> int:
        event = event._replace(**changed)
        side = Side(event.side)
        return self._book.apply_one(event.kind, side, order_id, event.price, event.size)

    def _messages(self, event: _Event, order_id: str | None) -> Iterator[_Message]:
        """The messages of an event; before each is handed out, the book has it."""
        kind, side, flags, price, size, _ = event
        before = None if order_id is None else self._resting(order_id)
        if kind == EventKind.OPEN:
            self._apply(event, order_id)
            yield _Message(1, order_id, size, price, side)
        elif (
            kind == EventKind.TRADE
            or flags & Flag.LATE
            or (kind == EventKind.MATCH and before is None)
        ):
            yield _Message(6 if side not in (Side.BID, Side.ASK) else 5, None, size, price, side)
        elif before is None:
            return
        elif kind == EventKind.MATCH:
            self._apply(event, order_id)
            yield _Message(4, order_id, size, price, side)
        elif kind == EventKind.CHANGE:
            yield from self._change(event, order_id, *before)
        else:
            self._apply(event, order_id)
            yield _Message(3, order_id, before[1], before[0], side)

    def _change(
        self, event: _Event, order_id: str | None, price: int, size: int
    ) -> Iterator[_Message]:
        if event.price == price and event.size <= size:
            self._apply(event, order_id)
            if event.size < size:
                yield _Message(2, order_id, size - event.size, price, event.side)
            return
        self._apply(event, order_id, kind=EventKind.DONE, price=price, size=size)
        yield _Message(3, order_id, size, price, event.side)
        self._apply(event, order_id, kind=EventKind.OPEN)
        yield _Message(1, order_id, event.size, event.price, event.side)

    def _resting(self, order_id: str) -> tuple[int, int] | None:
        found = self._book.get(order_id)
        if found is None:
            return None
        return int(found[1].scaleb(self._price_scale)), int(found[2].scaleb(self._size_scale))

    def _line(self, message: _Message, ts: int) -> None:
        self._ts = max(ts, self._ts)
        local = self._ts + self._offset(self._ts)
        day, ns = divmod(local, NS_PER_DAY)
        if self._pair is not None and self._pair.day != day:
            self.close()
        if self._pair is None:
            self._pair = _Pair(self._span, self._files, day, ns, self._levels)
        time = f"{ns // NS_PER_SECOND}.{ns % NS_PER_SECOND:09d}"
        number = self._number(message.order_id) if message.order_id is not None else 0
        direction = 1 if message.side == Side.BID else -1
        numbers = (message.type, number, message.size, message.price, direction)
        self._pair.write(ns, f"{time},{','.join(map(str, numbers))}\n", self._levels_line())

    def _number(self, order_id: str) -> int:
        if order_id.isdecimal() and int(order_id) < _NUMBERED_IDS:
            return int(order_id)
        return self._numbers.setdefault(order_id, _NUMBERED_IDS + len(self._numbers))

    def _levels_line(self) -> str:
        bids, asks = self._book.depth_scaled(self._levels)
        fields = []
        for level in range(self._levels):
            for levels, nothing in ((asks, _NO_ASK), (bids, _NO_BID)):
                known = level < len(levels)
                fields.append(f"{levels[level][0]},{levels[level][1]}" if known else nothing)
        return ",".join(fields) + "\n"

    def _offset(self, ts: int) -> int:
        """ns that New York is ahead of UTC (negative); it changes at full hours only."""
        hour = ts // (3600 * NS_PER_SECOND)
        if hour not in self._offsets:
            moment = (_EPOCH + timedelta(hours=hour)).astimezone(_NEW_YORK)
            offset = moment.utcoffset() or timedelta()
            self._offsets[hour] = offset // timedelta(seconds=1) * NS_PER_SECOND
        return self._offsets[hour]

    def close(self) -> None:
        """Ends the running pair of files."""
        if self._pair is not None:
            self._pair.close(self._price_scale, self._size_scale)
            self._pair = None


class _Pair:
    """A message file and its orderbook file; named when the last line is known."""

    def __init__(self, span: Range, files: NewFiles, day: int, ns: int, levels: int) -> None:
        self.day = day
        self._files, self._first, self._last = files, ns, ns
        date = (_EPOCH + timedelta(days=day)).date().isoformat()
        self._market = f"{slug(span.symbol)}_{date}"
        self._suffix = f"{levels}.csv"
        self._names = [f"{self._market}_{ns}_{what}" for what in ("message", "orderbook")]
        self._open: list[TextIO] = [files.add(name).open("w", newline="") for name in self._names]

    def write(self, ns: int, message: str, book: str) -> None:
        self._last = ns
        self._open[0].write(message)
        self._open[1].write(book)

    def close(self, price_scale: int, size_scale: int) -> None:
        for file in self._open:
            file.close()
        span = f"{self._market}_{self._first // 1_000_000}_{self._last // 1_000_000}"
        for name, what in zip(self._names, ("message", "orderbook"), strict=True):
            self._files.rename(name, f"{span}_{what}_{self._suffix}")
        scales = Scales(price_scale, size_scale)
        if scales != Scales():
            self._files.add(f"{span}_scales.json").write_bytes(msgspec.json.encode(scales))


def _rescaled(values: npt.NDArray[np.int64], scale: int, wanted: int) -> npt.NDArray[np.int64]:
    """Exact at ``wanted``, which holds every value (see ``_scales``); nulls stay what they are."""
    if scale == wanted:
        return values
    absent = values == NULL
    known = np.where(absent, 0, values)
    known = known * 10 ** (wanted - scale) if wanted > scale else known // 10 ** (scale - wanted)
    return np.where(absent, NULL, known)
