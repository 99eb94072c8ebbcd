"""Columns of events between the engine's memory and Parquet.

Every file has the columns of ``events.COLUMNS`` in their order.  Prices and sizes are DECIMAL, so
that DuckDB and polars read real numbers; integer ids are UINT64, other ids their 16-byte key,
most significant byte first (a UUID is a UUID).  What each column is encoded with was measured on
recorded markets; ``docs/tape-format.md`` describes the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute
import pyarrow.parquet as pq

from ordertape._engine import NULL, EventBatch
from ordertape.events import COLUMNS
from ordertape.tape.codecs import MarketCodecs

__all__ = ["Columns", "Layout", "batch_of", "gather", "layout_of", "read_columns", "table_of"]

# Its stubs refuse much of what pyarrow does, such as arrays over numpy's memory.
pa: Final[Any] = pyarrow
pc: Final[Any] = pyarrow.compute

Columns = dict[str, npt.NDArray[Any]]
"""Columns as the engine has them: int64, uint16, uint8; ids (n, 2) uint64, lower half first.
A column that no row has is left out."""

IDS: Final = ("order_id", "trade_id", "taker_order_id")
PRICES: Final = ("price", "price_before")
SIZES: Final = ("size", "size_before")
_CODES: Final = {
    "kind": pa.uint8(),
    "side": pa.uint8(),
    "reason": pa.uint8(),
    "flags": pa.uint16(),
    "taker_side": pa.uint8(),
}
_NO_SIDE: Final = 255
_NO_ID: Final = np.uint64(2**64 - 1)
_INT64_MAX: Final = 2**63 - 1

DICTIONARY: Final = ("kind", "side", "reason", "flags", "taker_side", "price", "size")
ENCODINGS: Final = {
    "seq": "DELTA_BINARY_PACKED",
    "venue_seq": "DELTA_BINARY_PACKED",
    "ts_event": "DELTA_BINARY_PACKED",
    "ts_recv": "DELTA_BINARY_PACKED",
    "price_before": "BYTE_STREAM_SPLIT",
    "size_before": "BYTE_STREAM_SPLIT",
}


class Layout(NamedTuple):
    """What can differ from file to file: a file holds what fits its layout."""

    price_scale: int
    size_scale: int
    codec: str
    trade_codec: str
    price_digits: int
    """18, stored as INT64, or 19, which holds every int64."""
    size_digits: int
    narrow_ids: tuple[bool, ...]
    """For each of IDS whether it is UINT64: every id an integer of the codec."""

    def holds(self, other: Layout) -> bool:
        """Whether columns of another layout fit here without a change."""
        return (
            self[:4] == other[:4]
            and self.price_digits >= other.price_digits
            and self.size_digits >= other.size_digits
            and not any(
                mine and not theirs
                for mine, theirs in zip(self.narrow_ids, other.narrow_ids, strict=True)
            )
        )

    def types(self) -> dict[str, Any]:
        """The Arrow type of each column."""
        types = dict.fromkeys(COLUMNS, pa.int64()) | _CODES
        for name, narrow in zip(IDS, self.narrow_ids, strict=True):
            types[name] = pa.uint64() if narrow else self._wide_id(name)
        types |= dict.fromkeys(PRICES, _decimal(self.price_digits, self.price_scale))
        types |= dict.fromkeys(SIZES, _decimal(self.size_digits, self.size_scale))
        return types

    def _wide_id(self, name: str) -> Any:
        spec = self.trade_codec if name == "trade_id" else self.codec
        return pa.uuid() if spec == "uuid" else pa.binary(16)

    def writer_options(self) -> dict[str, Any]:
        """How ``ParquetWriter`` is to store these columns."""
        encodings = dict(ENCODINGS)
        for name, narrow in zip(IDS, self.narrow_ids, strict=True):
            encodings[name] = "BYTE_STREAM_SPLIT" if narrow else "PLAIN"
        # polars reads no other width byte by byte.
        if self.price_digits > 18:
            encodings["price_before"] = "PLAIN"
        if self.size_digits > 18:
            encodings["size_before"] = "PLAIN"
        return {
            "compression": "zstd",
            "compression_level": 3,
            "use_dictionary": list(DICTIONARY),
            "column_encoding": encodings,
            "store_decimal_as_integer": True,
        }


def _decimal(digits: int, scale: int) -> Any:
    return pa.decimal64(digits, scale) if digits <= 18 else pa.decimal128(digits, scale)


# Out of the engine --------------------------------------------------------------------------------


def gather(batches: Sequence[EventBatch], price_scale: int, size_scale: int) -> Columns:
    """The columns of batches one after another, raised to scales that hold them all.

    Raises OverflowError where a value does not fit there.
    """
    columns: Columns = {}
    for name in COLUMNS:
        parts = [batch.column(name) for batch in batches]
        if all(part is None for part in parts):
            continue
        arrays = [
            np.asarray(part) if part is not None else _absent(name, len(batch))
            for part, batch in zip(parts, batches, strict=True)
        ]
        if name in PRICES or name in SIZES:
            steps = [
                price_scale - batch.price_scale if name in PRICES else size_scale - batch.size_scale
                for batch in batches
            ]
            arrays = [_raised(array, step) for array, step in zip(arrays, steps, strict=True)]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        columns[name] = joined.view(np.uint64) if name in IDS else joined
    return columns


def _absent(name: str, rows: int) -> npt.NDArray[Any]:
    if name in IDS:
        return np.full((rows, 16), 255, np.uint8)
    return np.full(rows, _NO_SIDE, np.uint8) if name in _CODES else np.full(rows, NULL, np.int64)


def _raised(values: npt.NDArray[Any], digits: int) -> npt.NDArray[Any]:
    if digits == 0:
        return values
    factor, nulls = 10**digits, values == NULL
    if factor > _INT64_MAX or _largest(values, nulls) > _INT64_MAX // factor:
        raise OverflowError
    raised: npt.NDArray[Any] = values * factor
    raised[nulls] = NULL
    return raised


def _largest(values: npt.NDArray[Any], nulls: npt.NDArray[Any] | None = None) -> int:
    """The largest distance from zero of what is not null."""
    known = values[~(nulls if nulls is not None else values == NULL)]
    return max(int(known.max()), -int(known.min())) if len(known) else 0


def layout_of(columns: Columns, price_scale: int, size_scale: int, codecs: MarketCodecs) -> Layout:
    """The narrowest layout that holds these columns."""
    order, trade = codecs.specs
    return Layout(
        price_scale,
        size_scale,
        order,
        trade,
        max(_digits(columns, name) for name in PRICES),
        max(_digits(columns, name) for name in SIZES),
        tuple(
            name not in columns or (spec == "int" and _is_narrow(columns[name]))
            for name, spec in zip(IDS, (order, trade, order), strict=True)
        ),
    )


def _digits(columns: Columns, name: str) -> int:
    return 19 if name in columns and _largest(columns[name]) >= 10**18 else 18


def _is_narrow(ids: npt.NDArray[Any]) -> bool:
    low, high = ids[:, 0], ids[:, 1]
    return not ((high != 0) & ((high != _NO_ID) | (low != _NO_ID))).any()


def table_of(columns: Columns, layout: Layout) -> Any:
    """The columns as the Arrow table that a file of this layout takes."""
    rows = len(columns["seq"])
    return pa.table(
        {
            name: _array(columns[name], name, kind) if name in columns else pa.nulls(rows, kind)
            for name, kind in layout.types().items()
        }
    )


def _array(values: npt.NDArray[Any], name: str, kind: Any) -> Any:
    rows = len(values)
    if name in IDS:
        nulls = (values[:, 0] == _NO_ID) & (values[:, 1] == _NO_ID)
        if kind == pa.uint64():
            return _from_memory(kind, values[:, 0], nulls)
        keys = np.ascontiguousarray(values).view(np.uint8).reshape(rows, 16)[:, ::-1]
        stored = _from_memory(pa.binary(16), keys, nulls)
        return stored if kind == pa.binary(16) else pa.ExtensionArray.from_storage(kind, stored)
    if name in _CODES:
        return _from_memory(kind, values, values == _NO_SIDE if "side" in name else None)
    if kind.byte_width == 16:
        wide = np.stack([values, values >> 63], axis=1)
        return _from_memory(kind, wide, values == NULL)
    return _from_memory(kind, values, values == NULL)


def _from_memory(kind: Any, values: npt.NDArray[Any], nulls: npt.NDArray[Any] | None) -> Any:
    validity = None
    if nulls is not None and nulls.any():
        validity = pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    memory = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [validity, memory])


# Into the engine ----------------------------------------------------------------------------------


def read_columns(file: pq.ParquetFile, group: int) -> Columns:
    """The columns of one row group, without ``seq``: the place of a row in its file tells it.

    What the file's statistics say is the same in every row is not read.
    """
    meta = file.metadata.row_group(group)
    rows = meta.num_rows
    columns: Columns = {}
    wanted = []
    for index, name in enumerate(COLUMNS):
        if name == "seq":
            continue
        statistics: Any = meta.column(index).statistics
        if statistics is not None and statistics.null_count == rows:
            continue
        if name in _CODES and _is_constant(statistics):
            columns[name] = np.full(rows, statistics.min, _CODES[name].to_pandas_dtype())
        else:
            wanted.append(name)
    table = file.read_row_group(group, columns=wanted, use_threads=False)
    for name in wanted:
        columns[name] = _values(table.column(name), name)
    return columns


def _is_constant(statistics: Any) -> bool:
    return bool(
        statistics is not None
        and statistics.has_min_max
        and statistics.null_count == 0
        and statistics.min == statistics.max
    )


def _values(column: Any, name: str) -> npt.NDArray[Any]:
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        array = array.storage
    rows = len(array)
    if name in IDS:
        return _ids(array, rows)
    if pa.types.is_decimal(kind):
        return _scaled(array, rows)
    if array.null_count:
        array = pc.fill_null(array, _NO_SIDE if name in _CODES else NULL)
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return values


def _ids(array: Any, rows: int) -> npt.NDArray[Any]:
    nulls = None
    if array.null_count:
        nulls = np.asarray(array.is_null())
    if array.type == pa.uint64():
        low: npt.NDArray[Any] = np.frombuffer(array.buffers()[1], np.uint64, rows, array.offset * 8)
        if nulls is None:
            return low
        ids: npt.NDArray[Any] = np.zeros((rows, 2), np.uint64)
        ids[:, 0] = low
    else:
        keys = np.frombuffer(array.buffers()[1], np.uint8, rows * 16, array.offset * 16)
        ids = np.ascontiguousarray(keys.reshape(rows, 16)[:, ::-1]).view(np.uint64)
    if nulls is not None:
        ids[nulls] = _NO_ID
    return ids


def _scaled(array: Any, rows: int) -> npt.NDArray[Any]:
    memory, validity = array.buffers()[1], array.buffers()[0]
    if array.type.byte_width == 8:
        plain = pa.Array.from_buffers(
            pa.int64(), rows, [validity, memory], array.null_count, array.offset
        )
        if array.null_count:
            plain = pc.fill_null(plain, NULL)
        values: npt.NDArray[Any] = plain.to_numpy(zero_copy_only=True)
        return values
    wide = np.frombuffer(memory, np.int64, rows * 2, array.offset * 16)
    low = np.ascontiguousarray(wide[::2])
    if array.null_count:
        low[np.asarray(array.is_null())] = NULL
    return low


def batch_of(
    columns: Columns,
    seq: npt.NDArray[np.int64],
    scales: tuple[int, int],
    codecs: MarketCodecs,
) -> EventBatch:
    """What ``read_columns`` gave as a batch at price and size scale."""
    rows = len(columns["kind"])
    values: dict[str, Any] = {"seq": seq}
    for name in ("order_id", "side", "price", "size"):
        values[name] = columns[name] if name in columns else _absent(name, rows)
    values |= columns
    for name in IDS:
        if name in values and values[name].ndim == 2:
            values[name] = values[name].view(np.uint8)
    return EventBatch.from_arrays(
        **values,
        price_scale=scales[0],
        size_scale=scales[1],
        codec=codecs.order,
        trade_codec=codecs.trade,
    )
