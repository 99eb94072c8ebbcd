"""Arrow tables and numpy arrays of batches: exact, over the engine's own memory."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ordertape._engine import NULL, EventBatch
from ordertape.arrow import to_arrow, to_numpy
from ordertape.events import COLUMNS
from support.events import TS, batch


def test_the_columns_are_those_of_the_vocabulary_and_absent_values_null() -> None:
    table = batch().to_arrow()
    assert table.column_names == list(COLUMNS)
    assert table["kind"].to_pylist() == [5, 1, 1, 1, 2, 3, 4, 7]
    assert table["side"].to_pylist() == [None, 0, 1, 0, 0, 1, 0, 1]
    assert table["price"].to_pylist()[:2] == [None, Decimal("100.00")]
    assert table["size"].to_pylist()[:2] == [None, Decimal("0.5")]
    assert table["ts_event"].to_pylist()[2:4] == [None, TS]
    assert table["taker_order_id"].null_count == len(table)
    assert table["trade_id"].to_pylist()[-1] == "t10"


def test_decimals_have_the_batchs_scales_and_hold_every_int64() -> None:
    extremes = [2**63 - 1, -(2**63) + 1, 0, -1]
    made = EventBatch.from_arrays(
        kind=np.full(4, 1, np.uint8),
        side=np.zeros(4, np.uint8),
        order_id=np.arange(4, dtype=np.uint64),
        price=np.array(extremes),
        size=np.ones(4, np.int64),
        ts_event=np.arange(4),
        price_scale=18,
        size_scale=0,
    )
    column = made.to_arrow()["price"]
    assert (column.type.precision, column.type.scale) == (19, 18)
    assert column.to_pylist() == [Decimal(value).scaleb(-18) for value in extremes]


@pytest.mark.parametrize(
    ("ids", "kind", "shown"),
    [
        ([1, 2**64 - 2], pa.uint64(), [1, 2**64 - 2]),
        (["8", "9"], pa.uint64(), [8, 9]),
        (["8", "08"], pa.string(), ["8", "08"]),
        (
            ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000001"],
            pa.string(),
            ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000001"],
        ),
    ],
)
def test_ids_are_integers_or_the_venues_text(
    ids: list[object], kind: pa.DataType, shown: list[object]
) -> None:
    made = EventBatch.from_arrays(
        kind=np.full(2, 1, np.uint8),
        side=np.zeros(2, np.uint8),
        order_id=np.array(ids, np.uint64) if isinstance(ids[0], int) else ids,
        price=np.ones(2, np.int64),
        size=np.ones(2, np.int64),
        ts_event=np.arange(2),
        price_scale=0,
        size_scale=0,
    )
    column = made.to_arrow()["order_id"]
    assert (column.type, column.to_pylist()) == (kind, shown)


def test_plain_columns_are_not_copied() -> None:
    events = batch()
    column = events.column("seq")
    assert column is not None
    address = np.asarray(column).__array_interface__["data"][0]
    table = to_arrow(events)
    assert table["seq"].chunk(0).buffers()[1].address == address
    assert to_numpy(events)["seq"].__array_interface__["data"][0] == address


def test_a_table_outlives_its_batch() -> None:
    table = to_arrow(batch()[2:])
    copies = [bytearray(1 << 20) for _ in range(8)]
    del copies
    assert table["seq"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_a_slice_has_its_own_rows_and_nulls() -> None:
    whole = batch().to_arrow()
    for first, last in [(0, 1), (1, 8), (3, 3), (5, 7)]:
        part = batch()[first:last].to_arrow()
        assert part.to_pylist() == whole.slice(first, last - first).to_pylist()
        part.validate(full=True)


def test_numpy_arrays_are_read_only_scaled_integers() -> None:
    arrays = to_numpy(batch())
    assert "taker_order_id" not in arrays
    assert arrays["price"].tolist()[:2] == [NULL, 10000]
    assert arrays["order_id"].shape == (8, 2)
    assert arrays["order_id"][1].tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        arrays["price"][0] = 1


def test_tables_of_a_market_go_one_after_the_other() -> None:
    both = pa.concat_tables([batch()[:4].to_arrow(), batch()[4:].to_arrow()])
    assert both.to_pylist() == batch().to_arrow().to_pylist()
