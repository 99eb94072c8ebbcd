"""The MBO records of DBN files and which of them are wanted (databento.com/docs, schema MBO).

Metadata is decoded by ``databento-dbn``; the MBO record is the same 56 bytes in DBN 1 to 3, so the
records themselves are read as one numpy array.  ``databento_csv`` gives the same arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import databento_dbn as dbn
import numpy as np
import numpy.typing as npt

from ordertape import limits
from ordertape.tape.foreign import SourceFile

__all__ = [
    "MBO_DTYPE",
    "WANTED",
    "DbnFile",
    "Instrument",
    "RecordFile",
    "Records",
    "choose_instrument",
    "whole_file",
]

Records = npt.NDArray[np.void]
"""A structured array with at least the fields of ``WANTED``."""

MBO_DTYPE: Final = np.dtype(dbn.MBOMsg._dtypes)
_TS_OUT: Final = np.dtype([*dbn.MBOMsg._dtypes, ("ts_out", "u8")])
WANTED: Final = (
    "ts_recv",
    "ts_event",
    "instrument_id",
    "action",
    "side",
    "price",
    "size",
    "order_id",
    "flags",
    "sequence",
)
_MBO_RTYPE: Final = 160
FOREVER: Final = 2**64
_NAMES_SHOWN: Final = 5


class Instrument(NamedTuple):
    """Which records are wanted: (first ns, end ns, id), where the end is not part of the span."""

    symbol: str | None
    spans: tuple[tuple[int, int, int], ...]

    def of(self, records: Records) -> Records:
        """The records of this instrument."""
        wanted = np.zeros(len(records), np.bool_)
        received = records["ts_recv"]
        at = np.where(received == dbn.UNDEF_TIMESTAMP, records["ts_event"], received)
        for start, end, instrument_id in self.spans:
            ours = records["instrument_id"] == instrument_id
            wanted |= ours & (at >= start) & (at <= end - 1)
        return records if wanted.all() else records[wanted]


class RecordFile(ABC):
    """A file of MBO records; ``symbols`` is what its metadata says about instruments."""

    def __init__(self, source: SourceFile) -> None:
        self.source = source
        self.dataset: str | None = None
        self.symbols: dict[str, Instrument] = {}
        self.other_records = 0

    @abstractmethod
    def arrays(self) -> Iterator[Records]:
        """All records from the start; ``other_records`` counts those that are not MBO."""

    def scan(self) -> dict[str, Instrument]:
        """The instruments that really are in the file, by symbol or else by id."""
        found: set[int] = set()
        for records in self.arrays():
            found.update(np.unique(records["instrument_id"]).tolist())
        named = {
            symbol: instrument
            for symbol, instrument in self.symbols.items()
            if any(span[2] in found for span in instrument.spans)
        }
        known = {span[2] for instrument in named.values() for span in instrument.spans}
        unnamed = {str(number): whole_file(None, number) for number in sorted(found - known)}
        return named | unnamed


def choose_instrument(
    file: RecordFile, symbol: str | None, instrument_id: int | None
) -> Instrument:
    """The one instrument to read; BadFile where it is not there or there are several."""
    if instrument_id is not None:
        names = [
            name
            for name, instrument in file.symbols.items()
            if any(span[2] == instrument_id for span in instrument.spans)
        ]
        return whole_file(symbol or (names[0] if len(names) == 1 else None), instrument_id)
    known = file.symbols if len(file.symbols) == 1 or symbol in file.symbols else file.scan()
    if symbol is not None:
        if symbol not in known:
            raise file.source.fault("symbols", f"expected {symbol}, found {_named(known)}")
        return known[symbol]
    if len(known) != 1:
        problem = (
            f"expected one instrument, found {_named(known)}: choose a symbol or instrument id"
        )
        raise file.source.fault("symbols", problem)
    return next(iter(known.values()))


def whole_file(symbol: str | None, instrument_id: int) -> Instrument:
    """Every record with this id."""
    return Instrument(symbol, ((0, FOREVER, instrument_id),))


def _named(instruments: dict[str, Instrument]) -> str:
    names = sorted(instruments)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return (", ".join(names[:_NAMES_SHOWN]) + more) if names else "none"


class DbnFile(RecordFile):
    """DBN 1 to 3; records of other types in between are passed over."""

    def __init__(self, source: SourceFile) -> None:
        super().__init__(source)
        self.metadata, self._records_at = self._header()
        if self.metadata.schema not in (None, "mbo"):
            problem = f"expected the schema mbo, found {self.metadata.schema}"
            raise source.fault("byte 0", problem)
        self.dataset = self.metadata.dataset
        self._dtype = _TS_OUT if self.metadata.ts_out else MBO_DTYPE
        self.symbols = _symbols(self.metadata)

    def _header(self) -> tuple[dbn.Metadata, int]:
        head = b""
        for block in self.source.blocks():
            head += block
            size = 8 + int.from_bytes(head[4:8], "little")
            if size > limits.import_metadata_bytes_max:
                raise self.source.fault(
                    "byte 4", f"expected DBN metadata, found {size} bytes of it"
                )
            if len(head) >= size:
                break
        else:
            size = len(head)
        try:
            return dbn.Metadata.decode(head[:size]), size
        except dbn.DBNError as error:
            problem = f"expected whole DBN metadata: {error}"
            raise self.source.fault(f"byte {len(head)}", problem) from error

    def arrays(self) -> Iterator[Records]:
        self.other_records = 0
        rest, skip, done = b"", self._records_at, 0
        for block in self.source.blocks():
            if skip:
                block, skip = block[skip:], max(0, skip - len(block))
            data = rest + block
            used, records = self._split(data, self._records_at + done)
            rest, done = data[used:], done + used
            if len(records):
                yield records
        if rest:
            at = self._records_at + done
            problem = f"expected a whole record, found only its first {len(rest)} bytes"
            raise self.source.fault(f"byte {at}", problem)

    def _split(self, data: bytes, at: int) -> tuple[int, Records]:
        """(bytes of whole records, the MBO records in them)."""
        size = self._dtype.itemsize
        count = len(data) // size
        records = np.frombuffer(data, self._dtype, count)
        if (records["rtype"] == _MBO_RTYPE).all() and (records["length"] == size // 4).all():
            return count * size, records
        return self._walked(data, at)

    def _walked(self, data: bytes, at: int) -> tuple[int, Records]:
        size, used, kept = self._dtype.itemsize, 0, []
        while used < len(data):
            length = data[used] * 4
            if length < 16:
                problem = f"expected the length of a record, found {length} bytes"
                raise self.source.fault(f"byte {at + used}", problem)
            if used + length > len(data):
                break
            if length == size and data[used + 1] == _MBO_RTYPE:
                kept.append(data[used : used + length])
            else:
                self.other_records += 1
            used += length
        return used, np.frombuffer(b"".join(kept), self._dtype)


def _symbols(metadata: dbn.Metadata) -> dict[str, Instrument]:
    if str(metadata.stype_out) != "instrument_id":
        return {}
    found: dict[str, Instrument] = {}
    for symbol, intervals in metadata.mappings.items():
        spans = [
            (_day_ns(entry["start_date"]), _day_ns(entry["end_date"]), int(entry["symbol"]))
            for entry in intervals
            if entry["symbol"].isdigit()
        ]
        if spans:
            found[symbol] = Instrument(symbol, tuple(spans))
    return found


def _day_ns(day: date) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * 1_000_000_000
