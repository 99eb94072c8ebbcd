"""LOBSTER message and orderbook files (lobsterdata.com, "Data Structure").

A message file has one message a line, without a header: time (seconds after midnight in New York),
type, order id, size, price (dollars × 10,000), direction (1: the resting order is a bid, -1: an
ask).  Line i of the orderbook file is the book AFTER message i: ask price, ask size, bid price, bid
size of level 1, then of level 2 and so on, empty levels being ±9999999999 with size 0.

* 1, 2, 3 → OPEN, CHANGE (smaller, keeps its place), DONE(canceled); 4 → MATCH, and DONE(filled)
  where it empties the order; 5 and 6 (hidden execution, cross) → TRADE, a cross without a side;
  7 (halt) and unknown types are counted.
* The tape begins with a CLEAR.  With an orderbook file its snapshot is line 1 less the effect of
  message 1: one anonymous order a level, flagged PLACE_ASSUMED, since the file does not tell the
  orders in it.  Messages with ids that were never added reduce the anonymous order at their price.
  Where there is none, a deletion is counted (its level was outside of the file) and an execution
  is a TRADE.
* Anonymous orders have ids of ``ANONYMOUS_ID_BASE`` and up; real ids lie below, else BadFile.
* Prices are exact at scale 4, sizes at scale 0, unless a file ``…_scales.json`` lies beside
  ``…_message_10.csv``: ``export lobster`` writes it where a market's numbers have more digits.
* Times are exact to the nanosecond; digits past the ninth, which the source's own arithmetic left
  behind, are rounded away and counted.
* ``venue_seq`` is the number of the message in its file from 1 on: the line of the orderbook file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from ordertape._engine import NULL, EventBatch
from ordertape.events import NO_SIDE, EventKind, Flag, Reason, Side
from ordertape.tape.foreign import BatchReader, EventRow, EventRows, SourceFile
from ordertape.tape.lobster_lines import (
    ANONYMOUS_ID_BASE,
    Message,
    Scales,
    first_book,
    parse_messages,
    side_of,
)

__all__ = ["ANONYMOUS_ID_BASE", "LobsterReader", "read_lobster"]

NEW_YORK: Final = ZoneInfo("America/New_York")

_DATE_IN_NAME: Final = re.compile(r"_(\d{4}-\d{2}-\d{2})_")
_MESSAGES_IN_NAME: Final = re.compile(r"(.+)_message(_\d+)?\.csv(\.gz)?")


def read_lobster(
    messages: str | Path,
    orderbook: str | Path | None = None,
    date: str | date | None = None,
) -> LobsterReader:
    """The batches of a message file, plain or gzip; ``orderbook`` gives the book it starts from.

    ``date`` (``YYYY-MM-DD``) is needed where the file's name does not hold it.  ``…_scales.json``
    beside ``…_message_10.csv`` is obeyed.  Raises BadFile.
    """
    return LobsterReader(messages, orderbook, date)


class LobsterReader(BatchReader):
    """See ``read_lobster``; ``counters`` holds what is no event, by name."""

    def __init__(
        self, messages: str | Path, orderbook: str | Path | None, day: str | date | None
    ) -> None:
        self.messages = SourceFile(messages)
        self.orderbook = SourceFile(orderbook) if orderbook is not None else None
        self.date = _date_of(self.messages, day)
        if self.orderbook is not None:
            _check_same_date(self.messages, self.orderbook)
        self.scales = _scales_beside(self.messages)
        sources = [self.messages] if self.orderbook is None else [self.messages, self.orderbook]
        description = f"lobster {self.date.isoformat()}"
        if self.scales != Scales():
            description += f" {self.scales.price_scale} {self.scales.size_scale}"
        super().__init__(sources, description)
        self._orders: dict[int, int] = {}
        self._anonymous: dict[tuple[int, int], list[int]] = {}

    def batches(self) -> Iterator[EventBatch]:
        self._orders, self._anonymous, self.counters = {}, {}, {}
        levels = first_book(self.orderbook) if self.orderbook is not None else []
        rows = EventRows(self.scales.price_scale, self.scales.size_scale)
        messages, midnight = 0, 0
        for line, text in self.messages.text_blocks():
            columns = parse_messages(self.messages, line, text)
            if columns is None:
                continue
            if not messages:
                midnight = _midnight_ns(self.date, int(columns.ns[0]) // 1_000_000_000)
            block = columns.messages(midnight, messages + 1)
            if columns.rounded:
                self.count("rounded_times", columns.rounded)
            if not messages:
                self._start(rows.rows, block[0], levels)
            messages += len(block)
            for message in block:
                self._add(rows.rows, message)
            if len(rows):
                yield rows.batch()
        if not messages:
            raise self.messages.fault("line 1", "expected a message, found an empty file")

    def _start(
        self, rows: list[EventRow], first: Message, levels: list[tuple[int, int, int]]
    ) -> None:
        """CLEAR and the anonymous orders that stood there before the first message."""
        book = {(side, price): size for side, price, size in levels}
        if book:
            self._take_back(book, first)
        ordered = sorted(book, key=lambda key: (key[0], -key[1] if key[0] == Side.BID else key[1]))
        clear = (EventKind.CLEAR, NO_SIDE, 0, 0 if book else Flag.LAST, None, NULL, NULL)
        rows.append(EventRow(*clear, first.ts, first.ts))
        for index, (side, price) in enumerate(ordered):
            flags = Flag.SNAPSHOT | Flag.PLACE_ASSUMED
            if index == len(ordered) - 1:
                flags |= Flag.LAST
            order_id, size = ANONYMOUS_ID_BASE + index, book[side, price]
            self._anonymous[side, price] = [order_id, size]
            order = (EventKind.OPEN, side, 0, int(flags), order_id, price, size)
            rows.append(EventRow(*order, first.ts, first.ts))
        self.count("anonymous_orders", len(ordered))

    def _take_back(self, book: dict[tuple[int, int], int], first: Message) -> None:
        """The orderbook's first line is the book after the first message."""
        if first.type not in (1, 2, 3, 4):
            return
        key = (side_of(first.direction), first.price)
        if first.type != 1:
            book[key] = book.get(key, 0) + first.size
        elif key in book:
            book[key] -= first.size
            if book[key] < 0 and self.orderbook is not None:
                raise self.orderbook.fault(
                    "line 1",
                    f"expected the book after message 1, which added {first.size} at price "
                    f"{first.price}, found {book[key] + first.size} there",
                )
            if book[key] == 0:
                del book[key]

    def _add(self, rows: list[EventRow], message: Message) -> None:
        kind, order_id, size, price, direction, ts, number = message
        side = side_of(direction)
        if kind == 1:
            self._orders[order_id] = size
            order = (EventKind.OPEN, side, 0, Flag.LAST, order_id, price, size)
            rows.append(EventRow(*order, ts, ts, number))
        elif kind in (2, 3, 4):
            left = self._orders.get(order_id)
            if left is None:
                self._older(rows, message, side)
                return
            if kind == 3 and size != left:
                self.count("deleted_sizes_differ")
            left = self._reduce(rows, message, side, order_id, left, 0)
            if left > 0:
                self._orders[order_id] = left
            else:
                del self._orders[order_id]
        elif kind in (5, 6):
            hidden = kind == 5
            resting = side if hidden else NO_SIDE
            _trade(rows, message, resting, size)
        else:
            self.count("halts" if kind == 7 else "unknown_types")

    def _older(self, rows: list[EventRow], message: Message, side: int) -> None:
        """A message about an order that the file never showed being added."""
        anonymous = self._anonymous.get((side, message.price))
        taken = 0
        if anonymous is not None:
            order_id, left = anonymous
            taken = min(message.size, left)
            # The deletion of one unknown order is a partial cancel of the anonymous one.
            part = message._replace(type=4 if message.type == 4 else 2, size=taken)
            left = self._reduce(rows, part, side, order_id, left, Flag.PLACE_ASSUMED)
            if left > 0:
                anonymous[1] = left
            else:
                del self._anonymous[side, message.price]
        if taken < message.size:
            if message.type == 4:
                _trade(rows, message, side, message.size - taken)
            self.count("orders_outside_start")

    @staticmethod
    def _reduce(
        rows: list[EventRow], message: Message, side: int, order_id: int, left: int, flags: int
    ) -> int:
        """The events of a partial cancel (2), a deletion (3) or an execution (4); what is left."""
        kind, _, size, price, _, ts, number = message
        after = 0 if kind == 3 else left - size
        ended = flags | Flag.LAST
        if kind == 4:
            match = (EventKind.MATCH, side, 0, flags if after <= 0 else ended, order_id)
            rows.append(EventRow(*match, price, size, ts, ts, number, taker_side=1 - side))
            if after <= 0:
                done = (EventKind.DONE, side, Reason.FILLED, ended, order_id, price, 0)
                rows.append(EventRow(*done, ts, ts, number))
        elif after > 0:
            change = (EventKind.CHANGE, side, Reason.CANCELED, ended, order_id, price, after)
            rows.append(EventRow(*change, ts, ts, number, price_before=price, size_before=left))
        else:
            done = (EventKind.DONE, side, Reason.CANCELED, ended, order_id, price, left)
            rows.append(EventRow(*done, ts, ts, number))
        return after


def _trade(rows: list[EventRow], message: Message, resting: int, size: int) -> None:
    taker = NO_SIDE if resting == NO_SIDE else 1 - resting
    trade = (EventKind.TRADE, resting, 0, Flag.LAST, None, message.price, size)
    rows.append(EventRow(*trade, message.ts, message.ts, message.number, taker_side=taker))


def _scales_beside(messages: SourceFile) -> Scales:
    """What the export said of the files' numbers; LOBSTER's own scales where it said nothing."""
    named = _MESSAGES_IN_NAME.fullmatch(messages.path.name)
    path = messages.path.with_name(f"{named[1]}_scales.json") if named else None
    if path is None or not path.exists():
        return Scales()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scales)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        problem = "expected the digits behind the point of prices and sizes, such as"
        example = msgspec.json.encode(Scales()).decode()
        raise SourceFile(path).fault("scales", f"{problem} {example}: {error}") from error


def _date_of(messages: SourceFile, day: str | date | None) -> date:
    if isinstance(day, date):
        return day
    found = _DATE_IN_NAME.search(messages.path.name)
    text = day or (found.group(1) if found else None)
    if text is None:
        problem = "expected a date (…_2012-06-21_…), found none: give it as date"
        raise messages.fault("file name", problem)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise messages.fault("date", f"expected YYYY-MM-DD, found {text!r}") from error


def _check_same_date(messages: SourceFile, orderbook: SourceFile) -> None:
    ours, theirs = (_DATE_IN_NAME.search(file.path.name) for file in (messages, orderbook))
    if ours and theirs and ours.group(1) != theirs.group(1):
        problem = f"expected the book of {ours.group(1)}, found that of {theirs.group(1)}"
        raise orderbook.fault("file name", problem)


def _midnight_ns(day: date, first_second: int) -> int:
    """ns of New York's midnight, such that adding a time after it gives that wall-clock time.

    The zone's offset is taken at the first message: on a day of the clock's change, markets open
    after it.
    """
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (wall-clock arithmetic)
    offset = (midnight + timedelta(seconds=first_second)).replace(tzinfo=NEW_YORK).utcoffset()
    moment = midnight.replace(tzinfo=UTC) - (offset or timedelta())
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 1_000_000_000
