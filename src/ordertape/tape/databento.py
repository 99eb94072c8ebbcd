"""Databento MBO files (databento.com/docs/schemas-and-data-formats/mbo): .dbn, .dbn.zst, .csv.

What a record becomes:

* A → OPEN; C → CHANGE (smaller) or DONE(canceled); M → CHANGE, of an unknown order an OPEN
  (PLACE_ASSUMED), as Databento's own book does.
* F → MATCH, and DONE(filled) where it empties the order.  A C or M at the same ``ts_event`` carries
  the fill out on Databento's book; ours has it already: what only does that is absorbed, what is
  left of a C cancels, an M with another size or price changes.  An order that was emptied and
  comes back by M (an iceberg's next part) is a new OPEN.
* T → TRADE where its message has no F at its price: nobody's resting order is told.  With an F it
  only tells the taker's side.
* R → CLEAR; records flagged SNAPSHOT after it are the snapshot.  A file that does not begin with R
  gets an INFERRED CLEAR, and so does an instrument whose id changes between days.
* N, records without a price or a side where one is needed, top-of-book records and other record
  types are counted.

A message ends with F_LAST, and before a record of another ``ts_event`` (a snapshot's records keep
the times of their orders and stay together).  Prices stay in units of 1e-9 (scale 9), sizes have
scale 0, ``venue_seq`` is the venue's sequence.  Cancels and fills of orders that were never added
are told as they are; the book counts them as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Final, NamedTuple

import databento_dbn as dbn

from ordertape._engine import NULL, EventBatch
from ordertape.events import NO_SIDE, EventKind, Flag, Reason, Side
from ordertape.tape.databento_csv import CsvFile
from ordertape.tape.databento_records import (
    DbnFile,
    Instrument,
    RecordFile,
    Records,
    choose_instrument,
)
from ordertape.tape.foreign import BatchReader, EventRow, EventRows, SourceFile

__all__ = ["DatabentoReader", "read_databento"]

PRICE_SCALE: Final = 9
SIZE_SCALE: Final = 0

_DBN_MAGIC: Final = b"DBN"
_DBZ_MAGIC: Final = b"P*M\x18"
_BATCH_ROWS: Final = 65_536
_NO_FILLS: Final[frozenset[int]] = frozenset()
_NO_TAKERS: Final[dict[int, bytes]] = {}

# Plain integers: arithmetic on enum members is five times slower, and this runs once per record.
_SNAPSHOT: Final = int(Flag.SNAPSHOT)
_INFERRED: Final = int(Flag.INFERRED)
_PLACE_ASSUMED: Final = int(Flag.PLACE_ASSUMED)
_SIDES: Final = {b"B": int(Side.BID), b"A": int(Side.ASK)}


class _Record(NamedTuple):
    ts_recv: int
    ts_event: int
    instrument_id: int
    action: bytes
    side: bytes
    price: int
    size: int
    order_id: int
    flags: int
    sequence: int


class _Resting(NamedTuple):
    side: int
    price: int
    size: int


def read_databento(
    path: str | Path, symbol: str | None = None, instrument_id: int | None = None
) -> DatabentoReader:
    """The batches of one instrument of an MBO file.

    A file of several needs ``symbol`` or ``instrument_id``.  Raises BadFile.
    """
    return DatabentoReader(path, symbol, instrument_id)


def _open(source: SourceFile) -> RecordFile:
    """The file's form, told by its first bytes."""
    if source.magic.startswith(_DBZ_MAGIC) or source.path.suffix == ".dbz":
        problem = "expected DBN or CSV, found DBZ, the form before DBN: convert it with `dbn`"
        raise source.fault("byte 0", problem)
    for block in source.blocks():
        return DbnFile(source) if block.startswith(_DBN_MAGIC) else CsvFile(source)
    raise source.fault("byte 0", "expected DBN or CSV, found an empty file")


class DatabentoReader(BatchReader):
    """See ``read_databento``; ``dataset`` and ``symbol`` are None where the file tells none."""

    def __init__(
        self, path: str | Path, symbol: str | None = None, instrument_id: int | None = None
    ) -> None:
        source = SourceFile(path)
        self._file = _open(source)
        self._instrument: Instrument = choose_instrument(self._file, symbol, instrument_id)
        self.dataset = self._file.dataset
        self.symbol = self._instrument.symbol
        chosen = ",".join(str(span[2]) for span in self._instrument.spans)
        super().__init__([source], f"databento {chosen}")

    def batches(self) -> Iterator[EventBatch]:
        self.counters = {}
        rows = EventRows(PRICE_SCALE, SIZE_SCALE)
        translation = _Translation(self, rows)
        for records in self._file.arrays():
            ours = self._instrument.of(records)
            if len(ours) < len(records):
                self.count("other_instruments", len(records) - len(ours))
            for record in _as_tuples(ours):
                # Rows are only added where a message ends: all of them are complete.
                translation.add(record)
            if len(rows) >= _BATCH_ROWS:
                yield rows.batch()
        translation.end_message()
        if self._file.other_records:
            self.count("other_records", self._file.other_records)
        if not translation.started:
            problem = f"expected MBO records of {self.symbol or 'the instrument'}, found none"
            raise self.sources[0].fault("end", problem)
        if len(rows):
            yield rows.batch()


def _as_tuples(records: Records) -> Iterator[_Record]:
    columns = [records[name].tolist() for name in _Record._fields]
    return map(_Record._make, zip(*columns, strict=True))


class _Translation:
    """Records to rows, message by message; keeps what rests, to know what a cancel leaves."""

    def __init__(self, reader: DatabentoReader, rows: EventRows) -> None:
        self.started = False
        self._reader, self._rows = reader, rows
        self._message: list[_Record] = []
        self._resting: dict[int, _Resting] = {}
        self._filled: dict[int, int] = {}
        self._filled_at = NULL
        self._in_snapshot = False
        self._instrument_id: int | None = None

    def add(self, record: _Record) -> None:
        if self._message and self._begins_message(record):
            self.end_message()
        self._message.append(record)
        if record.flags & dbn.F_LAST:
            self.end_message()

    def _begins_message(self, record: _Record) -> bool:
        before = self._message[-1]
        if record.flags & before.flags & dbn.F_SNAPSHOT:
            return record.instrument_id != before.instrument_id
        return record.ts_event != before.ts_event or bool(
            (record.flags ^ before.flags) & dbn.F_SNAPSHOT
        )

    def end_message(self) -> None:
        """The events of the records since the last message's end; their last one gets LAST."""
        message, self._message = self._message, []
        if not message:
            return
        first = message[0]
        if first.ts_event != self._filled_at:
            self._filled.clear()
            self._filled_at = first.ts_event
        fresh = self._instrument_id != first.instrument_id
        if fresh and first.action != b"R":
            self._clear(first, _INFERRED | int(Flag.LAST))  # a message of its own
        self._instrument_id, self.started = first.instrument_id, True
        before = len(self._rows)
        if len(message) == 1:
            self._record(first, _NO_FILLS, _NO_TAKERS)
        else:
            fills = {record.price for record in message if record.action == b"F"}
            takers = {record.price: record.side for record in message if record.action == b"T"}
            for record in message:
                self._record(record, fills, takers)
        if len(self._rows) > before:
            self._rows.end_message()

    def _record(self, record: _Record, fills: Set[int], takers: Mapping[int, bytes]) -> None:
        """``fills``: prices of the message's F, ``takers``: sides of its T by price."""
        action, flags = record.action, record.flags
        if not flags & dbn.F_SNAPSHOT:
            self._in_snapshot = False
        if flags & dbn.F_MAYBE_BAD_BOOK:
            self._reader.count("maybe_bad_book")
        if action == b"R":
            self._clear(record, 0)
        elif action == b"T":
            if record.price not in fills:
                self._trade(record)
        elif action == b"N":
            self._reader.count("without_action")
        elif flags & dbn.F_TOB:
            self._reader.count("top_of_book")
        elif record.side not in _SIDES:
            self._reader.count("without_side")
        elif record.price == dbn.UNDEF_PRICE:
            self._reader.count("without_price")
        elif action == b"A":
            self._open(record, _SNAPSHOT if self._in_snapshot else 0)
        elif action == b"F":
            self._match(record, takers.get(record.price, b"N"))
        elif action == b"C":
            self._cancel(record)
        elif action == b"M":
            self._modify(record)
        else:
            self._reader.count("unknown_actions")

    def _clear(self, record: _Record, flags: int) -> None:
        self._resting.clear()
        self._filled.clear()
        self._in_snapshot = bool(record.flags & dbn.F_SNAPSHOT)
        self._emit(record, EventKind.CLEAR, NO_SIDE, 0, flags, None, NULL, NULL)

    def _trade(self, record: _Record) -> None:
        taker = _SIDES.get(record.side, NO_SIDE)
        resting = NO_SIDE if taker == NO_SIDE else 1 - taker
        price = NULL if record.price == dbn.UNDEF_PRICE else record.price
        if price == NULL:
            self._reader.count("without_price")
            return
        self._emit(record, EventKind.TRADE, resting, 0, 0, None, price, record.size, taker)

    def _open(self, record: _Record, flags: int) -> None:
        side = _SIDES[record.side]
        self._resting[record.order_id] = _Resting(side, record.price, record.size)
        self._emit(
            record, EventKind.OPEN, side, 0, flags, record.order_id, record.price, record.size
        )

    def _match(self, record: _Record, taker: bytes) -> None:
        order_id, size = record.order_id, record.size
        self._filled[order_id] = self._filled.get(order_id, 0) + size
        resting = self._resting.get(order_id)
        side, price = (
            (resting.side, resting.price) if resting else (_SIDES[record.side], record.price)
        )
        self._emit(
            record,
            EventKind.MATCH,
            side,
            0,
            0,
            order_id,
            record.price,
            size,
            _SIDES.get(taker, NO_SIDE),
        )
        if resting is None:
            return
        if resting.size > size:
            self._resting[order_id] = resting._replace(size=resting.size - size)
        else:
            del self._resting[order_id]
            self._emit(record, EventKind.DONE, side, Reason.FILLED, 0, order_id, price, 0)

    def _cancel(self, record: _Record) -> None:
        order_id = record.order_id
        carried = min(self._filled.get(order_id, 0), record.size)
        if carried:
            self._filled[order_id] -= carried
            self._reader.count("absorbed")
        size = record.size - carried
        if not size and carried:
            return
        resting = self._resting.get(order_id)
        if resting is None:
            side = _SIDES[record.side]
            self._emit(
                record, EventKind.DONE, side, Reason.CANCELED, 0, order_id, record.price, size
            )
        elif size < resting.size:
            self._change(record, resting, resting.price, resting.size - size, Reason.CANCELED)
        else:
            del self._resting[order_id]
            side, price, left = resting
            self._emit(record, EventKind.DONE, side, Reason.CANCELED, 0, order_id, price, left)

    def _modify(self, record: _Record) -> None:
        resting = self._resting.get(record.order_id)
        filled = self._filled.pop(record.order_id, 0)
        if resting is None:
            # After a fill that emptied it: the venue shows its next part, at the tail.
            self._open(record, 0 if filled else _PLACE_ASSUMED)
        elif filled and (resting.price, resting.size) == (record.price, record.size):
            self._reader.count("absorbed")
        else:
            self._change(record, resting, record.price, record.size, Reason.AMENDED)

    def _change(
        self, record: _Record, before: _Resting, price: int, size: int, reason: int
    ) -> None:
        self._resting[record.order_id] = _Resting(before.side, price, size)
        self._emit(record, EventKind.CHANGE, before.side, reason, 0, record.order_id, price, size)
        rows = self._rows.rows
        rows[-1] = rows[-1]._replace(price_before=before.price, size_before=before.size)

    def _emit(
        self,
        record: _Record,
        kind: int,
        side: int,
        reason: int,
        flags: int,
        order_id: int | None,
        price: int,
        size: int,
        taker_side: int = NO_SIDE,
    ) -> None:
        ts_event = NULL if record.ts_event == dbn.UNDEF_TIMESTAMP else record.ts_event
        # ``EventRows`` raises a ts_recv that decreases: an undefined one becomes the one before it.
        ts_recv = ts_event if record.ts_recv == dbn.UNDEF_TIMESTAMP else record.ts_recv
        venue_seq = NULL if flags & _INFERRED else record.sequence
        row = (kind, side, reason, flags, order_id, price, size, ts_event, ts_recv)
        self._rows.rows.append(EventRow(*row, venue_seq, taker_side))
