"""Parquet and CSV files of a tape, one a UTC day, with the columns of ``arrow.to_arrow``.

Snapshot rows after a CLEAR are in them (flag SNAPSHOT), so that a file that begins with one can be
played again.  Parquet has real decimals; where a day's later events need more digits, all of the
day gets them.  CSV has plain text: no exponent, no trailing zeros; kinds, sides, reasons in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ordertape import limits
from ordertape._engine import NULL, EventBatch
from ordertape.arrow import ID_COLUMNS, NUMBER_COLUMNS, to_arrow
from ordertape.events import COLUMNS, REASONS, EventKind, Side
from ordertape.tape.exports.files import NewFiles
from ordertape.tape.exports.span import Progress, Range

__all__ = ["export_csv", "export_parquet"]

_COMPRESSION_LEVEL: Final = 3
_DELTA_COLUMNS: Final = ("seq", "venue_seq", "ts_event", "ts_recv")


def export_parquet(span: Range, out: str | Path, progress: Progress | None = None) -> list[Path]:
    """A Parquet file (zstd) for each UTC day that has events; their paths."""
    return _export(span, out, ".parquet", _ParquetFile, progress)


def export_csv(span: Range, out: str | Path, progress: Progress | None = None) -> list[Path]:
    """A CSV file for each UTC day that has events; their paths."""
    return _export(span, out, ".csv", _CsvFile, progress)


def _export(
    span: Range,
    out: str | Path,
    suffix: str,
    form: type[_ParquetFile] | type[_CsvFile],
    progress: Progress | None,
) -> list[Path]:
    with NewFiles(out) as files:
        name, file, done = None, None, 0
        try:
            for moment, batch in _gathered(span):
                if name != span.name(moment, suffix):
                    if file is not None:
                        file.close()
                    name = span.name(moment, suffix)
                    file = form(files.add(name), span)
                if file is not None:
                    file.write(batch)
                done += len(batch)
                if progress is not None:
                    progress(done)
        finally:
            if file is not None:
                file.close()
    return files.paths


def _gathered(span: Range) -> Iterator[tuple[int, EventBatch]]:
    """The batches of ``span.days()``, joined up to a row group: a journal has one a message."""
    begun, rows, held = 0, 0, list[EventBatch]()
    for moment, batch in span.days():
        rows += len(batch)
        fits = (
            rows <= limits.archive_row_group_rows
            and held
            and span.name(moment, "") == span.name(begun, "")
            and (batch.codec, batch.trade_codec) == (held[0].codec, held[0].trade_codec)
        )
        if held and not fits:
            yield begun, _joined(held)
            held.clear()
        if not held:
            begun, rows = moment, len(batch)
        held.append(batch)
    if held:
        yield begun, _joined(held)


def _joined(batches: list[EventBatch]) -> EventBatch:
    return batches[0] if len(batches) == 1 else EventBatch.concat(batches)


class _ParquetFile:
    """Takes batches whose decimals and ids may need a wider type than the ones before."""

    def __init__(self, path: Path, span: Range) -> None:
        self._path, self._span = path, span
        self._schema: pa.Schema | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: EventBatch) -> None:
        table = to_arrow(batch)
        wanted = table.schema if self._schema is None else _wider(self._schema, table.schema)
        if self._schema is None:
            self._open(wanted)
        elif wanted != self._schema:
            self._widen(wanted)
        if self._writer is not None:
            self._writer.write_table(table.cast(wanted))

    def _open(self, schema: pa.Schema) -> None:
        ids = [name for name in ID_COLUMNS if schema.field(name).type == pa.uint64()]
        delta = [*_DELTA_COLUMNS, *ids]
        plain: Any = [name for name in schema.names if name not in delta]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            self._path,
            schema,
            compression="zstd",
            compression_level=_COMPRESSION_LEVEL,
            use_dictionary=plain,
            column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        )

    def _widen(self, schema: pa.Schema) -> None:
        """Writes what is there again, with the wider types."""
        self.close()
        narrow = self._path.with_name(self._path.name + ".narrow")
        self._path.rename(narrow)
        try:
            self._open(schema)
            with pq.ParquetFile(narrow) as old:
                for group in range(old.num_row_groups):
                    self._span.check()
                    if self._writer is not None:
                        self._writer.write_table(old.read_row_group(group).cast(schema))
        finally:
            narrow.unlink()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _wider(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """Types that hold the values of both exactly."""

    def wider(name: str) -> Any:
        first, second = one.field(name).type, other.field(name).type
        if pa.types.is_decimal(first) and pa.types.is_decimal(second):
            scale = max(first.scale, second.scale)
            whole = max(first.precision - first.scale, second.precision - second.scale)
            return pa.decimal128(min(38, whole + scale), scale)
        return pa.string() if pa.string() in (first, second) else first

    return pa.schema([(name, wider(name)) for name in one.names])


class _CsvFile:
    """The header, then rows; numbers as exact text, codes as words, absent values empty.

    Lines are put together here, because Arrow's writer puts all text in quotes or refuses some.
    """

    def __init__(self, path: Path, span: Range) -> None:
        self._span = span
        self._file = path.open("wb")
        self._file.write(",".join(COLUMNS).encode() + b"\n")

    def write(self, batch: EventBatch) -> None:
        table = to_arrow(batch)
        fields = []
        for name in COLUMNS:
            self._span.check()
            fields.append(_text(batch, table[name].combine_chunks(), name))
        fields[-1] = pc.binary_join_element_wise(fields[-1].fill_null(""), "\n", "")
        joined: Any = pc.binary_join_element_wise(
            *fields, ",", null_handling="replace", null_replacement=""
        )
        chunks: list[Any] = getattr(joined, "chunks", [joined])
        for part in chunks:
            _, places, text = part.buffers()
            offsets = np.frombuffer(places, np.int32)[part.offset :]
            self._file.write(memoryview(text)[offsets[0] : offsets[len(part)]])

    def close(self) -> None:
        self._file.close()


_WORDS: Final[dict[str, dict[int, str]]] = {
    "kind": {kind.value: kind.name.lower() for kind in EventKind},
    "side": {side.value: side.name.lower() for side in Side},
    "taker_side": {side.value: side.name.lower() for side in Side},
    "reason": {0: "", **{int(code): text for code, text in REASONS.items()}},
}


def _text(batch: EventBatch, column: Any, name: str) -> Any:
    if name in _WORDS:
        words = pa.array([_WORDS[name].get(code, str(code)) for code in range(256)])
        return pc.take(words, column)
    if name in NUMBER_COLUMNS:
        scale = batch.price_scale if name.startswith("price") else batch.size_scale
        values = batch.column(name)
        return _number_text(None if values is None else np.asarray(values), len(batch), scale)
    text: Any = column.cast(pa.string())
    if name in ID_COLUMNS:
        # A spreadsheet computes what begins so (OWASP, CSV Injection): `=HYPERLINK(…)`, say.
        armed = pc.match_substring_regex(text, "^[=+@\t\r-]")
        text = pc.if_else(armed, pc.binary_join_element_wise("'", text, ""), text)
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
        text = pc.if_else(pc.match_substring_regex(text, '[",\r\n]'), quoted, text)
    return text


def _number_text(values: npt.NDArray[np.int64] | None, rows: int, scale: int) -> Any:
    """Plain decimal text of scaled integers.  (Arrow's own text of decimals has exponents.)"""
    if values is None:
        return pa.array([None] * rows, pa.string())
    absent = values == NULL
    units = np.abs(np.where(absent, 0, values)).astype(np.uint64)
    whole, fraction = np.divmod(units, np.uint64(10**scale))
    sign = pa.array(np.where((values < 0) & ~absent, "-", ""))
    text: Any = pa.array(whole, mask=absent).cast(pa.string())
    if scale:
        padded: Any = pc.utf8_lpad(pa.array(fraction).cast(pa.string()), scale, "0")
        digits: Any = pc.utf8_rtrim(padded, "0")
        point = np.where(fraction == 0, "", ".")
        return pc.binary_join_element_wise(sign, text, pa.array(point), digits, "")
    return pc.binary_join_element_wise(sign, text, "")
