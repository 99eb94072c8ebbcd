"""Columns as buffers: nothing copied, nothing writable, nothing outlives its memory."""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape._engine import NULL, BatchBuilder, Column, EventBatch, OrderBook
from ordertape.events import COLUMNS, EventKind, Side

FORMATS = {
    **dict.fromkeys(COLUMNS, ("q", 8, (8,))),
    **dict.fromkeys(["kind", "side", "reason", "taker_side"], ("B", 1, (1,))),
    **dict.fromkeys(["order_id", "trade_id", "taker_order_id"], ("B", 1, (16, 1))),
    "flags": ("H", 2, (2,)),
}
EFFECTS = [
    "price_before", "size_before", "level_size", "level_orders", "best_bid", "best_ask",
    "orders_ahead",
]  # fmt: skip


def full_batch(rows: int = 40) -> EventBatch:
    """A batch with every column; every third value of the optional ones is null."""
    builder = BatchBuilder("int")
    for n in range(rows):
        there = n % 3 != 0
        builder.add(
            EventKind.OPEN if n % 2 else EventKind.CHANGE, Side.BID, n // 2, str(n + 1), str(n + 2),
            n, n if there else None, 0, 0, n if there else None, n if there else None,
            n if there else None, n % 2 if there else None,
        )  # fmt: skip
    return builder.finish(1)


def column_of(batch: EventBatch, name: str) -> Column:
    column = batch.column(name)
    assert column is not None
    return column


@pytest.mark.parametrize("name", COLUMNS)
def test_numpy_and_arrow_read_a_column_where_it_is(name: str) -> None:
    batch = full_batch()
    column = column_of(batch, name)
    form, itemsize, strides = FORMATS[name]
    view = memoryview(column)
    shape = (len(batch), 16) if len(strides) == 2 else (len(batch),)
    assert (view.format, view.itemsize, view.strides, view.shape) == (
        form, itemsize, strides, shape,
    )  # fmt: skip
    assert (view.readonly, view.c_contiguous, column.name, len(column)) == (
        True, True, name, len(batch),
    )  # fmt: skip
    array = np.asarray(column)
    address = array.ctypes.data
    assert np.frombuffer(column, np.uint8).ctypes.data == address
    assert pa.py_buffer(column).address == address
    assert np.asarray(column_of(batch, name)).ctypes.data == address
    assert np.asarray(column_of(batch[1:], name)).ctypes.data == address + strides[0]


def test_to_arrow_shares_the_memory_of_plain_columns() -> None:
    batch = full_batch()
    table = batch.to_arrow()
    for name in ("seq", "ts_recv", "venue_seq", "kind", "side", "flags", "taker_side"):
        data = table.column(name).chunk(0).buffers()[1]
        assert data.address == np.asarray(column_of(batch, name)).ctypes.data


@pytest.mark.parametrize("name", ["seq", "order_id", "flags", "side", "price_before"])
def test_a_column_can_not_be_written(name: str) -> None:
    column = column_of(full_batch(), name)
    array = np.asarray(column)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    with pytest.raises(TypeError):
        memoryview(column)[0] = 1
    with pytest.raises((BufferError, TypeError)):
        ctypes.c_char.from_buffer(column)
    with pytest.raises((BufferError, TypeError)):
        os.preadv(0, [column], 0)


def test_an_array_keeps_the_memory_of_its_deleted_batch() -> None:
    arrays: list[Any] = []
    for n in range(50):
        batch = full_batch(1000 + n)
        arrays.append(np.asarray(column_of(batch[500:], "price")))
        arrays.append(pa.py_buffer(column_of(batch, "seq")))
        del batch
    gc.collect()
    churn = [full_batch(1000) for _ in range(50)]
    del churn
    for n in range(50):
        assert arrays[2 * n].tolist() == list(range(501, 1001 + n))
        assert np.frombuffer(arrays[2 * n + 1], np.int64).tolist() == list(range(1, 1001 + n))


def test_the_columns_of_effects_outlive_them() -> None:
    book = OrderBook()
    counters, effects = book.apply(full_batch(), effects=True)
    assert counters.events == len(effects) == 40
    arrays = {name: np.asarray(effects.column(name)) for name in EFFECTS}
    copies = {name: array.tolist() for name, array in arrays.items()}
    del effects, book
    gc.collect()
    for name in EFFECTS:
        assert (arrays[name].dtype, arrays[name].flags.writeable) == (np.int64, False)
        assert arrays[name].tolist() == copies[name]


def test_effects_name_their_columns_and_no_others() -> None:
    _, effects = OrderBook().apply(full_batch(), effects=True)
    with pytest.raises(KeyError, match="effects have no column"):
        effects.column("price")


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=70))
def test_a_validity_bitmap_has_a_bit_for_every_value_there_is(values: list[int | None]) -> None:
    rows = len(values)
    nulls = [NULL if value is None else value for value in values]
    batch = EventBatch.from_arrays(
        kind=[7] * rows, side=[0] * rows, order_id=[None] * rows, price=[1] * rows,
        size=[1] * rows, ts_recv=[0] * rows, ts_event=nulls, trade_id=values,
        taker_side=[255 if value is None else value % 2 for value in values],
        price_scale=0, size_scale=0, trade_codec="int",
    )  # fmt: skip
    expected = sum(1 << n for n, value in enumerate(values) if value is not None)
    for name in ("ts_event", "trade_id", "taker_side"):
        bitmap = column_of(batch, name).validity()
        if None in values:
            assert bitmap is not None
            assert len(bitmap) == (rows + 7) // 8
            assert int.from_bytes(bitmap, "little") == expected
        else:
            assert bitmap is None
    part = column_of(batch[1:], "ts_event").validity()
    assert (part is None) == (None not in values[1:])
    assert column_of(batch, "seq").validity() is None
    table = batch.to_arrow()
    assert table.column("ts_event").to_pylist() == values
    assert table.column("trade_id").to_pylist() == values


def test_a_buffer_of_no_rows_is_a_buffer() -> None:
    batch = full_batch()[0:0]
    for name in COLUMNS:
        array = np.asarray(column_of(batch, name))
        assert len(array) == 0
        assert bytes(memoryview(column_of(batch, name))) == b""
        assert column_of(batch, name).validity() is None


def test_befores_that_the_book_fills_show_in_views_taken_before() -> None:
    batch = full_batch(4)
    array = np.asarray(column_of(batch, "price_before"))
    assert set(array.tolist()) == {NULL}
    book = OrderBook()
    book.apply(batch[1:2])
    book.apply(batch[0:1])
    assert array[0] == 2
