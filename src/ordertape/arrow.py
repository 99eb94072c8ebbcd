"""Batches as Arrow tables and numpy arrays.

Columns keep their order and meaning of ``events.COLUMNS``.  What is copied and what is not:

=====================================  ==========================================================
``seq``, ``venue_seq``, ``ts_*``        int64 over the engine's own memory, no copy
``kind``, ``side``, ``reason``,         uint8, ``flags`` uint16, over the engine's memory, no copy
``flags``, ``taker_side``
``order_id``, ``taker_order_id``,       uint64 where the market's ids are integers, else text:
``trade_id``                            the venue's own id either way (copied)
``price``, ``size``, ``price_before``,  decimal128 at the batch's scales, exact (widened: copied)
``size_before``
=====================================  ==========================================================

Every value that does not apply is null.  A column that no row of the batch has is all null, so
that tables of one market can be put one after the other.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ordertape._engine import NULL, Column, EventBatch, IdCodec
from ordertape.events import COLUMNS, ID_COLUMNS

__all__ = ["ID_COLUMNS", "NO_ID", "NUMBER_COLUMNS", "number_type", "to_arrow", "to_numpy"]

NUMBER_COLUMNS: Final = ("price", "size", "price_before", "size_before")

_PLAIN: Final[dict[str, pa.DataType]] = {
    "seq": pa.int64(),
    "venue_seq": pa.int64(),
    "ts_event": pa.int64(),
    "ts_recv": pa.int64(),
    "kind": pa.uint8(),
    "side": pa.uint8(),
    "reason": pa.uint8(),
    "flags": pa.uint16(),
    "taker_side": pa.uint8(),
}

_INT64_DIGITS: Final = 19
NO_ID: Final = np.uint64(2**64 - 1)
"""Both halves of the key that means "no id"; an upper half of this alone is a dictionary's key."""


def to_arrow(batch: EventBatch) -> pa.Table:
    """The batch as an Arrow table with the columns of ``events.COLUMNS``."""
    return pa.table({name: _array(batch, name) for name in COLUMNS})


def to_numpy(batch: EventBatch) -> dict[str, npt.NDArray[Any]]:
    """Read-only arrays over the engine's memory, nothing copied; absent columns are left out.

    Numbers are int64 at the batch's scales, nulls are ``events.NULL`` (255 in ``side`` columns);
    ids are the codec's keys as (n, 2) uint64, lower half first.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in COLUMNS:
        column = batch.column(name)
        if column is not None:
            values = np.asarray(column)
            arrays[name] = values.view(np.uint64) if name in ID_COLUMNS else values
    return arrays


def number_type(scale: int) -> pa.DataType:
    """A decimal that holds every int64 at ``scale``."""
    return pa.decimal128(max(_INT64_DIGITS, scale), scale)


def _array(batch: EventBatch, name: str) -> pa.Array[Any]:
    column = batch.column(name)
    if name in ID_COLUMNS:
        return _ids(batch, name, column)
    if name in NUMBER_COLUMNS:
        scale = batch.price_scale if name.startswith("price") else batch.size_scale
        return _decimals(len(batch), column, scale)
    kind = _PLAIN[name]
    if column is None:
        return _nulls(len(batch), kind)
    return pa.Array.from_buffers(kind, len(batch), [_validity(column), pa.py_buffer(column)])


def _nulls(rows: int, kind: Any) -> pa.Array[Any]:
    nothing: pa.Array[Any] = pa.nulls(rows, kind)
    return nothing


def _validity(column: Column) -> pa.Buffer | None:
    bitmap = column.validity()
    return None if bitmap is None else pa.py_buffer(bitmap)


def _decimals(rows: int, column: Column | None, scale: int) -> pa.Array[Any]:
    kind = number_type(scale)
    if column is None:
        return _nulls(rows, kind)
    values = np.asarray(column)
    wide = np.empty((rows, 2), np.int64)
    wide[:, 0] = values
    wide[:, 1] = values >> 63
    return pa.Array.from_buffers(kind, rows, [_validity(column), pa.py_buffer(wide.data)])


def _ids(batch: EventBatch, name: str, column: Column | None) -> pa.Array[Any]:
    codec: IdCodec = batch.trade_codec if name == "trade_id" else batch.codec
    integers = codec.spec == "int"
    if column is None:
        return _nulls(len(batch), pa.uint64() if integers else pa.string())
    if integers:
        keys = np.asarray(column).view(np.uint64)
        low, high = keys[:, 0], keys[:, 1]
        absent = (low == NO_ID) & (high == NO_ID)
        # An id that is no integer stands in the codec's dictionary: then all are text.
        if not (high[~absent] != 0).any():
            return pa.array(low, pa.uint64(), mask=absent)
    return pa.array(batch.id_texts(name), pa.string())


assert np.iinfo(np.int64).min == NULL, "the engine's null is what numpy readers are told"
