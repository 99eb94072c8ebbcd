"""Columns of events from the engine's memory into Parquet.

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

from ordertape._engine import NULL, EventBatch
from ordertape.arrow import ID_COLUMNS, NO_ID
from ordertape.events import COLUMNS, NO_SIDE
from ordertape.tape.codecs import MarketCodecs

__all__ = [
    "CODES",
    "Columns",
    "Layout",
    "absent",
    "gather",
    "hash_columns",
    "layout_of",
    "table_of",
]

# Its stubs refuse much of what pyarrow does, such as arrays over numpy's memory.
pa: Final[Any] = pyarrow

Columns = dict[str, npt.NDArray[Any]]
"""Columns as the engine has them: int64, uint16, uint8; ids (n, 2) uint64, lower half first.
A column that no row has is left out."""

PRICES: Final = ("price", "price_before")
SIZES: Final = ("size", "size_before")
CODES: Final = {
    "kind": pa.uint8(),
    "side": pa.uint8(),
    "reason": pa.uint8(),
    "flags": pa.uint16(),
    "taker_side": pa.uint8(),
}
_INT64_MAX: Final = 2**63 - 1

ALWAYS: Final = ("seq", "ts_recv", "kind", "reason", "flags")
"""Columns in which every row has a value."""
DICTIONARY: Final = (*CODES, *PRICES, *SIZES)
ENCODINGS: Final = {
    "seq": "DELTA_BINARY_PACKED",
    "venue_seq": "DELTA_BINARY_PACKED",
    "ts_event": "DELTA_BINARY_PACKED",
    "ts_recv": "DELTA_BINARY_PACKED",
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
    """For each of ID_COLUMNS whether it is UINT64: every id an integer of the codec."""

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
        types = dict.fromkeys(COLUMNS, pa.int64()) | CODES
        for name, narrow in zip(ID_COLUMNS, self.narrow_ids, strict=True):
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
        for name, narrow in zip(ID_COLUMNS, self.narrow_ids, strict=True):
            encodings[name] = "BYTE_STREAM_SPLIT" if narrow else "PLAIN"
        return {
            "compression": "zstd",
            "compression_level": 3,
            "use_dictionary": list(DICTIONARY),
            "column_encoding": encodings,
            "store_decimal_as_integer": True,
            "write_page_checksum": True,
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
            np.asarray(part) if part is not None else absent(name, len(batch))
            for part, batch in zip(parts, batches, strict=True)
        ]
        if name in PRICES or name in SIZES:
            steps = [
                price_scale - batch.price_scale if name in PRICES else size_scale - batch.size_scale
                for batch in batches
            ]
            arrays = [_raised(array, step) for array, step in zip(arrays, steps, strict=True)]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        columns[name] = joined.view(np.uint64) if name in ID_COLUMNS else joined
    return columns


def absent(name: str, rows: int) -> npt.NDArray[Any]:
    """A column in which no row has a value."""
    if name in ID_COLUMNS:
        return np.full((rows, 16), 255, np.uint8)
    return np.full(rows, NO_SIDE, np.uint8) if name in CODES else np.full(rows, NULL, np.int64)


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
            for name, spec in zip(ID_COLUMNS, (order, trade, order), strict=True)
        ),
    )


def _digits(columns: Columns, name: str) -> int:
    return 19 if name in columns and _largest(columns[name]) >= 10**18 else 18


def _is_narrow(ids: npt.NDArray[Any]) -> bool:
    low, high = ids[:, 0], ids[:, 1]
    return not ((high != 0) & ((high != NO_ID) | (low != NO_ID))).any()


def hash_columns(hasher: Any, columns: Columns) -> None:
    """Takes every value of some rows into a hash, equal however they are stored."""
    for name in COLUMNS:
        values = columns.get(name)
        if values is None or (values == (NO_ID if name in ID_COLUMNS else _null(name))).all():
            hasher.update(b"-")
        else:
            hasher.update(np.ascontiguousarray(values))


def _null(name: str) -> int | None:
    if name in CODES:
        return NO_SIDE if "side" in name else None
    return NULL


def table_of(columns: Columns, layout: Layout) -> Any:
    """The columns as the Arrow table that a file of this layout takes."""
    rows = len(columns["seq"])
    types = layout.types()
    arrays = [
        _array(columns[name], name, kind) if name in columns else pa.nulls(rows, kind)
        for name, kind in types.items()
    ]
    # What is never null is decoded without a look at each row's validity.
    fields = [pa.field(name, kind, name not in ALWAYS) for name, kind in types.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _array(values: npt.NDArray[Any], name: str, kind: Any) -> Any:
    rows = len(values)
    if name in ID_COLUMNS:
        nulls = (values[:, 0] == NO_ID) & (values[:, 1] == NO_ID)
        if kind == pa.uint64():
            return _from_memory(kind, values[:, 0], nulls)
        keys = np.ascontiguousarray(values).view(np.uint8).reshape(rows, 16)[:, ::-1]
        stored = _from_memory(pa.binary(16), keys, nulls)
        return stored if kind == pa.binary(16) else pa.ExtensionArray.from_storage(kind, stored)
    if name in CODES:
        return _from_memory(kind, values, values == NO_SIDE if "side" in name else None)
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
