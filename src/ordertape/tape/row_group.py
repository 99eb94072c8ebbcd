"""Columns of events out of Parquet into the engine: a row group, handed on in runs of rows.

Parquet is decoded for the whole group (in a thread, the interpreter released); nulls become the
engine's only where a run is handed on, in memory that stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet as pq

from ordertape._engine import NULL, EventBatch
from ordertape.arrow import ID_COLUMNS, NO_ID
from ordertape.errors import TapeCorrupt
from ordertape.events import COLUMNS, NO_SIDE
from ordertape.tape.archive_columns import CODES, Columns, absent
from ordertape.tape.codecs import MarketCodecs
from ordertape.tape.seal import require_seal

__all__ = ["RowGroup", "damage_told", "keep_freed_memory", "open_file"]

pa: Final[Any] = pyarrow
_LARGEST_RUN_BYTES: Final = 8 * 2**20


class _Column(NamedTuple):
    """Arrow's memory: a row per value, (n, 16) for wide ids, (n, 2) for wide numbers.

    ``present``: False where null; None where nothing is.
    """

    values: npt.NDArray[Any]
    present: npt.NDArray[np.bool_] | None


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turns what Parquet says of a damaged file into TapeCorrupt, which names the file."""
    try:
        yield
    except (ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk or a name, not what stands in the file
        raise TapeCorrupt(f"{path}: expected a file of our archive: {error}") from None


@contextmanager
def open_file(path: Path) -> Iterator[pq.ParquetFile]:
    """A file of the archive; none of them changes, so that it can be mapped.

    What is wrong with it raises TapeCorrupt while it is open.
    """
    require_seal(path)
    with (
        damage_told(path),
        pq.ParquetFile(
            path, memory_map=True, pre_buffer=False, page_checksum_verification=True
        ) as file,
    ):
        yield file


@cache
def keep_freed_memory() -> None:
    """Lets the allocator keep what one run of rows frees for the next.

    glibc hands the end of its heap back to the kernel where more is free there than twice the
    largest block it has seen freed, and has it cleared page by page when it is needed again: a
    third of the time of a rebuild.
    """
    np.empty(_LARGEST_RUN_BYTES, np.uint8)


class RowGroup:
    """One decoded row group.  Columns that the statistics call null or constant were not read."""

    def __init__(self, file: pq.ParquetFile, nth: int) -> None:
        meta = file.metadata.row_group(nth)
        self.rows = meta.num_rows
        self._constants: dict[str, int] = {}
        wanted = []
        for index, name in enumerate(COLUMNS):
            statistics: Any = meta.column(index).statistics
            # The place of a row in its file tells its seq.
            if name == "seq" or (statistics is not None and statistics.null_count == self.rows):
                continue
            if name in CODES and _is_constant(statistics):
                self._constants[name] = statistics.min
            else:
                wanted.append(name)
        table: Any = file.read_row_group(nth, columns=wanted, use_threads=False)
        self._columns = {name: _column(table.column(name)) for name in wanted}

    def batch(
        self,
        first: int,
        last: int,
        seq: npt.NDArray[np.int64],
        scales: tuple[int, int],
        codecs: MarketCodecs,
    ) -> EventBatch:
        """The rows from ``first`` to before ``last``, whose seqs are given, at their scales."""
        rows = last - first
        values: dict[str, Any] = {"seq": seq}
        for name in ("order_id", "side", "price", "size"):
            if name not in self._columns and name not in self._constants:
                values[name] = absent(name, rows)
        for name, code in self._constants.items():
            values[name] = np.full(rows, code, CODES[name].to_pandas_dtype())
        for name, column in self._columns.items():
            values[name] = _run(name, column, first, last)
        return EventBatch.from_arrays(
            **values,
            price_scale=scales[0],
            size_scale=scales[1],
            codec=codecs.order,
            trade_codec=codecs.trade,
        )

    def columns(self, first_seq: int) -> Columns:
        """All rows as ``gather`` gave them to the writer."""
        columns: Columns = {"seq": np.arange(first_seq, first_seq + self.rows)}
        for name, code in self._constants.items():
            columns[name] = np.full(self.rows, code, CODES[name].to_pandas_dtype())
        for name, column in self._columns.items():
            values = _run(name, column, 0, self.rows)
            if name in ID_COLUMNS and values.ndim == 1:
                values = np.stack([values, np.zeros_like(values)], axis=1)
            columns[name] = values.view(np.uint64) if name in ID_COLUMNS else values
        return columns


def _is_constant(statistics: Any) -> bool:
    return (
        statistics is not None
        and statistics.has_min_max
        and statistics.null_count == 0
        and bool(statistics.min == statistics.max)
    )


def _column(chunks: Any) -> _Column:
    array = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        array, kind = array.storage, kind.storage_type
    validity, memory = array.buffers()
    rows, width = len(array), kind.byte_width
    if pa.types.is_fixed_size_binary(kind):
        values = np.frombuffer(memory, np.uint8, rows * width, array.offset * width)
        values = values.reshape(rows, width)
    elif pa.types.is_decimal(kind):
        values = np.frombuffer(memory, np.int64, rows * width // 8, array.offset * width)
        values = values.reshape(rows, 2) if width == 16 else values
    else:
        values = np.frombuffer(memory, kind.to_pandas_dtype(), rows, array.offset * width)
    present = None
    if array.null_count:
        bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
        present = bits[array.offset : array.offset + rows].view(np.bool_)
    return _Column(values, present)


def _run(name: str, column: _Column, first: int, last: int) -> npt.NDArray[Any]:
    """Rows of a column as ``from_arrays`` takes them."""
    values = column.values[first:last]
    present = None if column.present is None else column.present[first:last]
    if name in ID_COLUMNS:
        return _ids(values, present)
    if values.ndim == 2:
        values = np.ascontiguousarray(values[:, 0])
    if present is None:
        return values
    return _with_nulls(values, present, values.dtype.type(NO_SIDE if name in CODES else NULL))


def _with_nulls(
    values: npt.NDArray[Any], present: npt.NDArray[np.bool_], null: Any
) -> npt.NDArray[Any]:
    """``np.where(present, values, null)`` without its branch, which costs three times as much
    where nulls come at random.  All three steps wrap around."""
    run: npt.NDArray[Any] = values - null
    run *= present
    run += null
    return run


def _ids(values: npt.NDArray[Any], present: npt.NDArray[np.bool_] | None) -> npt.NDArray[Any]:
    if values.ndim == 2:
        keys = np.ascontiguousarray(values[:, ::-1])
        if present is not None:
            keys[~present] = 255
        return keys
    if present is None:
        return values
    halves = np.empty((len(values), 2), np.uint64)
    halves[:, 0] = _with_nulls(values, present, NO_ID)
    np.subtract(present, np.uint64(1), out=halves[:, 1])  # 0, and all ones where null
    return halves.view(np.uint8)
