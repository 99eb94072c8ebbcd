"""MBO records in Databento's CSV: raw integers, or decimal prices and ISO times.

A price with a point is decimal, one without counts units of 1e-9; a time with dashes is ISO, one
without counts nanoseconds.  Empty means "undefined", as it does in DBN.  Prices never pass a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import databento_dbn as dbn
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ordertape.tape.databento_records import (
    MBO_DTYPE,
    WANTED,
    Instrument,
    RecordFile,
    Records,
    whole_file,
)
from ordertape.tape.foreign import SourceFile

__all__ = ["CsvFile"]

_DECIMAL: Final = r"^-?\d{1,9}\.\d{1,9}0*$"
_UNITS: Final = r"^-?\d{1,18}$|^\d{19}$"
_UNDEFINED: Final = str(dbn.UNDEF_PRICE)
_PLAIN_TYPES: Final[dict[str, pa.DataType]] = {
    "instrument_id": pa.uint32(),
    "action": pa.string(),
    "side": pa.string(),
    "price": pa.string(),
    "size": pa.uint32(),
    "order_id": pa.uint64(),
    "flags": pa.uint8(),
    "sequence": pa.uint32(),
    "symbol": pa.string(),
}


class CsvFile(RecordFile):
    """A CSV file with the header of the MBO schema, with or without a column ``symbol``."""

    def __init__(self, source: SourceFile) -> None:
        super().__init__(source)
        head = b""
        for _, text in source.text_blocks():
            head += text
            if head.count(b"\n") > 1:
                break
        lines = head.split(b"\n", 2)
        self.header = lines[0].decode("utf-8", "replace").strip().split(",")
        missing = [name for name in WANTED if name not in self.header]
        if missing:
            problem = f"expected a DBN file or CSV with the columns of MBO, missing {missing[0]}"
            raise source.fault("line 1", problem)
        first = lines[1].decode("utf-8", "replace").strip().split(",") if len(lines) > 1 else []
        self._pointed: bool | None = None
        self._types = self._column_types(dict(zip(self.header, first, strict=False)))

    @staticmethod
    def _column_types(first: dict[str, str]) -> dict[str, pa.DataType]:
        def time(name: str) -> pa.DataType:
            iso = "-" in first.get(name, "")
            return pa.timestamp("ns", "UTC") if iso else pa.uint64()

        return _PLAIN_TYPES | {name: time(name) for name in ("ts_recv", "ts_event")}

    def arrays(self) -> Iterator[Records]:
        for records, _ in self._blocks():
            yield records

    def scan(self) -> dict[str, Instrument]:
        named = "symbol" in self.header
        ids: dict[str, set[int]] = {}
        for records, symbols in self._blocks():
            numbers = records["instrument_id"].tolist()
            names = map(str, symbols if named else numbers)
            for number, name in set(zip(numbers, names, strict=True)):
                ids.setdefault(name, set()).add(number)
        return {
            name: Instrument(
                name if named else None,
                tuple(
                    span for number in sorted(numbers) for span in whole_file(None, number).spans
                ),
            )
            for name, numbers in ids.items()
        }

    def _blocks(self) -> Iterator[tuple[Records, list[Any]]]:
        self.other_records = 0
        for line, text in self.source.text_blocks():
            body = text.split(b"\n", 1)[1] if line == 1 and b"\n" in text else text
            if body.strip():
                yield self._parsed(line + (line == 1), body)

    def _parsed(self, line: int, text: bytes) -> tuple[Records, list[Any]]:
        lines: Any = pa.BufferReader(text)
        wanted = [*WANTED, *(["symbol"] if "symbol" in self.header else [])]
        try:
            table = csv.read_csv(
                lines,
                csv.ReadOptions(
                    column_names=self.header, use_threads=False, block_size=len(text) + 1
                ),
                csv.ParseOptions(quote_char=False),
                csv.ConvertOptions(
                    column_types=self._types,
                    null_values=[""],
                    strings_can_be_null=True,
                    include_columns=wanted,
                ),
            ).combine_chunks()
        except pa.ArrowInvalid as error:
            raise self.source.fault(*_csv_problem(str(error), line)) from error
        records = np.zeros(table.num_rows, MBO_DTYPE)
        for name in WANTED:
            column: Any = table[name].combine_chunks()
            if name == "price":
                records[name] = self._prices(column, line)
            else:
                records[name] = self._values(column, name, line)
        return records, table["symbol"].to_pylist() if "symbol" in wanted else []

    def _values(self, column: Any, name: str, line: int) -> npt.NDArray[Any]:
        if name.startswith("ts_"):
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64()).cast(pa.uint64())
            column = column.fill_null(dbn.UNDEF_TIMESTAMP)
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise self.source.fault(f"line {line + row}", f"expected a value as {name}, found none")
        if pa.types.is_string(column.type):
            return np.array(column.to_pylist(), "S1")
        values: npt.NDArray[Any] = column.to_numpy()
        return values

    def _prices(self, column: Any, line: int) -> npt.NDArray[np.int64]:
        """Units of 1e-9, exact; one form in the whole file; empty is "no price"."""
        if self._pointed is None:
            told = (text for text in column.to_pylist() if text not in (None, _UNDEFINED))
            first = next(told, None)
            self._pointed = None if first is None else "." in first
        form = _DECIMAL if self._pointed else _UNITS
        fits = pc.match_substring_regex(column, form)
        if pc.any(pc.invert(fits)).as_py():
            row = fits.to_pylist().index(False)
            what = "with a point" if self._pointed else "in units of 1e-9"
            problem = f"expected a price {what} below 2^63 units, found {column[row].as_py()!r}"
            raise self.source.fault(f"line {line + row}", problem)
        if not self._pointed:
            raw: npt.NDArray[np.int64] = (
                column.cast(pa.int64()).fill_null(dbn.UNDEF_PRICE).to_numpy()
            )
            return raw
        exact = column.cast(pa.decimal128(28, 9))
        wide = np.frombuffer(exact.buffers()[1], np.int64).reshape(-1, 2)
        absent = exact.is_null().to_numpy(False)
        return np.where(absent, np.int64(dbn.UNDEF_PRICE), wide[:, 0])


def _csv_problem(text: str, line: int) -> tuple[str, str]:
    """Arrow counts rows from 1 within what it was given."""
    head, found, tail = text.partition("Row #")
    number, _, rest = tail.partition(":")
    if found and number.isdigit():
        return f"line {line + int(number) - 1}", (rest.strip() or head)
    return f"line {line} or after", text
