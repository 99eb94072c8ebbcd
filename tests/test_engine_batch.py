"""Batches from arrays, their rows, slices, searches and joins."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape._engine import NULL, EventBatch, IdCodec, OrderBook
from ordertape.errors import NumberRefused
from ordertape.events import COLUMNS, Flag

ROWS = 6


def arrays(**columns: Any) -> dict[str, Any]:
    """A CLEAR, two orders of its snapshot, an OPEN, a CHANGE, a TRADE."""
    made = {
        "kind": [5, 1, 1, 1, 2, 7],
        "side": [255, 0, 1, 0, 0, 255],
        "order_id": [None, "a", "b", "c", "c", None],
        "price": [NULL, 100, 200, 90, 95, 150],
        "size": [NULL, 5, 6, 7, 8, 9],
        "flags": [0, Flag.SNAPSHOT, Flag.SNAPSHOT | Flag.LAST, Flag.LAST, 0, Flag.LAST],
        "ts_event": [1, 2, 3, 4, 5, 6],
        "price_scale": 2,
        "size_scale": 1,
    }
    made |= columns
    return {name: values for name, values in made.items() if values is not ...}


def batch_of(**columns: Any) -> EventBatch:
    return EventBatch.from_arrays(**arrays(**columns))


def values_of(batch: EventBatch) -> dict[str, list[Any]]:
    return {
        name: np.asarray(column).tolist()
        for name in COLUMNS
        if (column := batch.column(name)) is not None
    }


# From arrays -------------------------------------------------------------------------------------


def test_a_row_is_a_dict_of_texts_decimals_and_nones() -> None:
    batch = batch_of(venue_seq=[NULL, NULL, NULL, 7, 8, 9], trade_id=[None] * 5 + ["t"])
    assert len(batch) == ROWS
    assert batch[0] == dict.fromkeys(COLUMNS) | {
        "seq": 1, "ts_event": 1, "ts_recv": 1, "kind": 5, "reason": 0, "flags": 0,
    }  # fmt: skip
    assert batch[-1] == dict.fromkeys(COLUMNS) | {
        "seq": 4, "venue_seq": 9, "ts_event": 6, "ts_recv": 6, "kind": 7, "reason": 0, "flags": 2,
        "price": Decimal("1.5"), "size": Decimal("0.9"), "trade_id": "t",
    }  # fmt: skip
    assert batch[4]["order_id"] == "c"
    assert (batch.codec.spec, batch.trade_codec.spec) == ("ascii", "ascii")
    assert list(COLUMNS) == list(batch[0])


def test_columns_not_given_are_made() -> None:
    batch = batch_of(flags=..., reason=..., ts_recv=...)
    assert np.asarray(batch.column("flags")).tolist() == [Flag.LAST] * ROWS
    assert np.asarray(batch.column("seq")).tolist() == [1, 2, 3, 4, 5, 6]
    assert np.asarray(batch.column("reason")).tolist() == [0] * ROWS
    assert batch.column("venue_seq") is None
    assert batch.column("taker_side") is None
    snapshot = batch_of()
    assert np.asarray(snapshot.column("seq")).tolist() == [1, 1, 1, 2, 3, 4]


def test_times_of_receipt_are_the_events_raised_so_that_they_never_decrease() -> None:
    batch = batch_of(ts_event=[5, 3, 9, 8, NULL, 10])
    assert np.asarray(batch.column("ts_recv")).tolist() == [5, 5, 9, 9, 9, 10]
    assert np.asarray(batch.column("ts_event")).tolist() == [5, 3, 9, 8, NULL, 10]
    given = batch_of(ts_event=..., ts_recv=[1, 1, 2, 2, 3, 3])
    assert given.column("ts_event") is None
    with pytest.raises(ValueError, match="ts_recv decreases"):
        batch_of(ts_recv=[1, 2, 3, 4, 5, 4])


NUMPY = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i8", "<i8", ">u2"]


@pytest.mark.parametrize("dtype", NUMPY)
def test_integers_of_every_width_sign_and_byte_order_are_taken(dtype: str) -> None:
    taken = {"kind": [1, 2, 3, 4], "side": [0, 1, 0, 1], "price": [100, 120, 7, 9]}
    taken |= {"size": [1, 2, 3, 4], "flags": [2, 2, 2, 2], "reason": [0, 1, 2, 3]}
    taken |= {"order_id": [1, 2, 3, 4], "seq": [1, 2, 3, 4], "ts_recv": [1, 2, 3, 100]}
    as_arrays: dict[str, Any] = {name: np.array(v, dtype) for name, v in taken.items()}
    scales: dict[str, Any] = {"price_scale": 2, "size_scale": 1}
    expected = values_of(EventBatch.from_arrays(**taken, **scales))
    with_gaps = {name: np.repeat(array, 2)[::2] for name, array in as_arrays.items()}
    in_arrow = {
        name: pa.array(array.astype(array.dtype.newbyteorder("="))).buffers()[1]
        for name, array in as_arrays.items()
    }
    assert values_of(EventBatch.from_arrays(**as_arrays, **scales)) == expected
    assert values_of(EventBatch.from_arrays(**with_gaps, **scales)) == expected
    lists = {name: array.tolist() for name, array in as_arrays.items()}
    assert values_of(EventBatch.from_arrays(**lists, **scales)) == expected
    objects = {name: array.astype(object) for name, array in as_arrays.items()}
    assert values_of(EventBatch.from_arrays(**objects, **scales)) == expected
    tuples = {name: iter(array.tolist()) for name, array in as_arrays.items()}
    assert values_of(EventBatch.from_arrays(**tuples, **scales)) == expected
    if dtype == "u1":  # Arrow's own buffers are bytes
        assert values_of(EventBatch.from_arrays(**in_arrow, **scales)) == expected


@pytest.mark.parametrize(
    "ids",
    [
        np.array(["a", "bc", "d"]),
        np.array([b"a", b"bc", b"d"]),
        np.array(["a", "bc", "d"], object),
        ["a", b"bc", bytearray(b"d")],
        pa.array(["a", "bc", "d"]).to_pylist(),
    ],
    ids=["U", "S", "object", "mixed", "arrow"],
)
def test_ids_may_be_any_sequence_of_texts(ids: Any) -> None:
    batch = EventBatch.from_arrays(
        kind=[1, 1, 1], side=[0, 0, 0], order_id=ids, price=[1, 1, 1], size=[1, 1, 1],
        ts_recv=[1, 1, 1], price_scale=0, size_scale=0,
    )  # fmt: skip
    assert batch.id_texts() == ["a", "bc", "d"]


@pytest.mark.parametrize("gaps", [False, True])
def test_ids_may_be_keys(gaps: bool) -> None:
    codec = IdCodec("kraken")
    names = ["OUF4EM-FRGI2-MQMWZD", "OUF4EM-FRGI2-MQMWZE"]
    keys = np.array([list(codec.encode(name)) for name in names] + [[255] * 16], np.uint8)
    if gaps:
        keys = np.repeat(keys, 2, axis=1)[:, ::2]
    columns: dict[str, Any] = {"price": [1, 1, 1], "size": [1, 1, 1], "ts_recv": [1, 1, 1]}
    batch = EventBatch.from_arrays(
        kind=[1, 1, 7], side=[0, 0, 0], order_id=keys, trade_id=keys, taker_order_id=keys,
        codec=codec, trade_codec=codec, price_scale=0, size_scale=0, **columns,
    )  # fmt: skip
    for name in ("order_id", "trade_id", "taker_order_id"):
        assert batch.id_texts(name) == [*names, None]


def test_minus_one_is_the_null_of_a_side() -> None:
    signed = batch_of(side=np.array([-1, 0, 1, 0, 0, -1], np.int8))
    assert np.asarray(signed.column("side")).tolist() == [255, 0, 1, 0, 0, 255]
    assert signed[0]["side"] is None


def test_one_before_alone_is_kept() -> None:
    batch = batch_of(price_before=[NULL] * 4 + [90, NULL])
    assert (batch[4]["price_before"], batch[4]["size_before"]) == (Decimal("0.9"), None)


def test_a_batch_of_no_rows_is_a_batch() -> None:
    nothing: list[int] = []
    batch = EventBatch.from_arrays(
        kind=nothing, side=nothing, order_id=nothing, price=nothing, size=nothing,
        ts_recv=nothing, price_scale=0, size_scale=0,
    )  # fmt: skip
    assert (len(batch), batch.first_seq, batch.last_seq, batch.last_ts_recv) == (0, 0, 0, 0)
    assert (batch.last_complete(), batch.counts(), batch.nbytes) == (0, [0] * 8, 0)
    assert (batch.search_seq(5), batch.search_ts_recv(5), batch.id_texts()) == (0, 0, [])
    assert batch.to_arrow().num_rows == 0
    book = OrderBook()
    assert book.apply(batch).as_dict()["events"] == 0
    counters, effects = book.apply(batch, effects=True)
    assert (counters.events, len(effects)) == (0, 0)
    assert len(batch[0:0]) == 0


# What is refused ---------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"side": [0] * 5}, ValueError, "side has 5 rows, kind has 6"),
    ({"price": [1] * 7}, ValueError, "price has 7 rows, kind has 6"),
    ({"order_id": ["a"]}, ValueError, "order_id has 1 rows, kind has 6"),
    ({"flags": []}, ValueError, "flags has 0 rows, kind has 6"),
    ({"trade_id": []}, ValueError, "trade_id has 0 rows, kind has 6"),
    ({"price_before": []}, ValueError, "price_before has 0 rows"),
    ({"kind": [0, 1, 1, 1, 2, 7]}, ValueError, "kind 0: expected 1 to 7"),
    ({"kind": [8, 1, 1, 1, 2, 7]}, ValueError, "kind 8: expected 1 to 7"),
    ({"kind": [256, 1, 1, 1, 2, 7]}, ValueError, "kind: 256 is outside of uint8"),
    ({"kind": [5.0, 1, 1, 1, 2, 7]}, TypeError, "kind: expected a contiguous array or sequence"),
    ({"side": [255, 2, 1, 0, 0, 255]}, ValueError, r"side 2: expected 0 \(bid\) or 1 \(ask\)"),
    ({"side": [255, 255, 1, 0, 0, 0]}, ValueError, "side 255: expected 0"),
    ({"taker_side": [0, 1, 2, 0, 0, 0]}, ValueError, "side 2: expected 0"),
    ({"order_id": [None, None, "b", "c", "c", None]}, ValueError, "order_id: row 1 is of kind 1"),
    ({"order_id": [None, "a", "b", "c", None, None]}, ValueError, "order_id: row 4 is of kind 2"),
    ({"order_id": [None, "a", "b", 1.5, "c", None]}, TypeError, "expected an id"),
    ({"order_id": np.zeros((6, 15), np.uint8)}, TypeError, "order_id"),
    ({"order_id": np.zeros(6)}, TypeError, "expected an id"),
    ({"order_id": 5}, TypeError, "order_id: expected uint64"),
    ({"price": [2**63] * 6}, ValueError, "price: 9223372036854775808 is outside of int64"),
    ({"price": [-(2**63) - 1] * 6}, ValueError, "is outside of int64"),
    ({"price": np.full(6, 2**63, np.uint64)}, ValueError, "is outside of int64"),
    ({"price": np.zeros(6)}, TypeError, "price: expected"),
    ({"price": np.zeros((6, 1), np.int64)}, TypeError, "price: expected"),
    ({"price": np.zeros((2, 3), np.int64)}, TypeError, "price: expected"),
    ({"price": np.int64(3)}, TypeError, "price: expected"),
    ({"price": "123456"}, TypeError, "price: expected"),
    ({"price": 5}, TypeError, "price: expected"),
    ({"price": [Decimal(1)] * 6}, TypeError, "price: expected"),
    ({"flags": [-1] * 6}, ValueError, "flags: -1 is outside of uint16"),
    ({"flags": [65536] * 6}, ValueError, "flags: 65536 is outside of uint16"),
    ({"price_scale": 19}, ValueError, "price_scale 19: expected 0 to 18 digits"),
    ({"size_scale": -1}, ValueError, "size_scale -1: expected 0 to 18 digits"),
    ({"size_scale": 1.5}, TypeError, "float"),
    ({"codec": "klingon"}, ValueError, "expected auto, int"),
    ({"codec": 5}, TypeError, "expected an IdCodec or the spec of one, got int"),
    ({"prise": [1] * 6}, TypeError, "from_arrays has no column .prise."),
    ({"kind": ...}, TypeError, "from_arrays needs kind"),
    ({"side": ...}, TypeError, "from_arrays needs side"),
    ({"order_id": None}, TypeError, "from_arrays needs order_id"),
    ({"price": ...}, TypeError, "from_arrays needs price"),
    ({"size": ...}, TypeError, "from_arrays needs size"),
    ({"size_scale": ...}, TypeError, "from_arrays needs size_scale"),
    ({"ts_event": ...}, TypeError, "from_arrays needs ts_event or ts_recv"),
    ({"ts_recv": [6, 5, 4, 3, 2, 1]}, ValueError, "ts_recv decreases"),
]


@pytest.mark.parametrize(("columns", "error", "text"), BAD)
def test_columns_that_do_not_fit_are_one_clear_exception(
    columns: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        batch_of(**columns)


def test_an_exception_of_the_values_own_comes_through() -> None:
    class Broken:
        def __index__(self) -> int:
            raise RuntimeError("broken")

        def __iter__(self) -> Any:
            raise RuntimeError("broken")

    for values in ([Broken()] * 6, Broken(), (1 // (n - 3) for n in range(6))):
        with pytest.raises((RuntimeError, TypeError, ZeroDivisionError)):
            batch_of(price=values)


# Rows, slices, searches --------------------------------------------------------------------------


def test_a_slice_is_a_batch_over_the_same_memory() -> None:
    batch = batch_of()
    part = batch[2:5]
    assert [part[n] for n in range(3)] == [batch[n] for n in range(2, 5)]
    whole, piece = (np.asarray(one.column("price")) for one in (batch, part))
    assert np.shares_memory(whole, piece)
    assert part[1:][1:][0] == batch[4]
    assert (part.first_seq, part.last_seq, part.last_ts_recv) == (1, 3, 5)
    assert len(batch[5:2]) == len(batch[9:]) == len(batch[-1:-2]) == 0
    assert len(batch[-2:]) == 2
    assert part.nbytes * 2 == batch.nbytes
    with pytest.raises(ValueError, match="step 1"):
        batch[::2]
    with pytest.raises(ValueError, match="step 1"):
        batch[::-1]


@pytest.mark.parametrize("index", [6, -7, 2**62, -(2**62)])
def test_a_row_that_is_not_there_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match="of a batch of 6"):
        batch_of()[index]


def test_iterating_a_batch_gives_its_rows() -> None:
    batch = batch_of()
    assert [row["kind"] for row in batch] == [5, 1, 1, 1, 2, 7]


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(-1, 22))
def test_searches_are_those_of_a_sorted_list(values: list[int], wanted: int) -> None:
    values.sort()
    rows = len(values)
    batch = EventBatch.from_arrays(
        kind=[7] * rows, side=[0] * rows, order_id=[None] * rows, price=[1] * rows,
        size=[1] * rows, ts_recv=values, seq=values, price_scale=0, size_scale=0,
    )  # fmt: skip
    assert batch.search_ts_recv(wanted) == sum(value <= wanted for value in values)
    assert batch.search_seq(wanted) == sum(value < wanted for value in values)
    middle = rows // 2
    assert batch[middle:].search_seq(wanted) == sum(value < wanted for value in values[middle:])


def test_rows_are_counted_by_kind_and_those_of_a_snapshot_are_not() -> None:
    batch = batch_of()
    assert batch.counts() == [0, 1, 1, 0, 0, 1, 0, 1]
    assert batch[:3].counts() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_the_last_complete_message_ends_at_the_last_row_flagged_so() -> None:
    batch = batch_of()
    assert [batch[:n].last_complete() for n in range(ROWS + 1)] == [0, 0, 0, 3, 4, 4, 6]
    assert batch[4:5].last_complete() == 0


def test_a_column_that_there_is_not_is_a_key_error() -> None:
    batch = batch_of()
    with pytest.raises(KeyError, match="a batch has no column"):
        batch.column("prise")
    with pytest.raises(KeyError, match="is no id column"):
        batch.id_texts("price")
    assert batch.id_texts("trade_id") == [None] * ROWS


# Joins -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, ROWS), max_size=6))
def test_the_pieces_of_a_batch_join_to_the_batch(cuts: list[int]) -> None:
    batch = batch_of(venue_seq=[NULL, NULL, NULL, 7, 8, 9], taker_side=[255] * 5 + [1])
    edges = [0, *sorted(cuts), ROWS]
    pieces = [batch[a:b] for a, b in pairwise(edges)]
    joined = EventBatch.concat(pieces)
    assert [joined[n] for n in range(ROWS)] == [batch[n] for n in range(ROWS)]
    assert (joined.price_scale, joined.size_scale) == (2, 1)
    assert joined.codec == batch.codec


def test_batches_of_different_scales_join_at_the_largest() -> None:
    codec = IdCodec("ascii")
    coarse = batch_of(codec=codec, price_scale=2, size_scale=6)
    fine = batch_of(codec=codec, price_scale=5, size_scale=0, price_before=[NULL] * 4 + [9, NULL])
    joined = EventBatch.concat([coarse, fine])
    assert (joined.price_scale, joined.size_scale) == (5, 6)
    for n in range(ROWS):
        assert joined[n] == coarse[n]
        assert joined[ROWS + n] == fine[n]


def test_a_batch_is_joined_at_finer_scales_where_they_are_asked_for() -> None:
    batch = batch_of(price_scale=2, size_scale=6)
    finer = EventBatch.concat([batch], price_scale=4, size_scale=3)
    assert (finer.price_scale, finer.size_scale) == (4, 6)
    assert [finer[n] for n in range(ROWS)] == [batch[n] for n in range(ROWS)]
    with pytest.raises(ValueError, match="price_scale 19: expected 0 to 18 digits"):
        EventBatch.concat([batch], price_scale=19)
    with pytest.raises(ValueError, match="size_scale -1: expected 0 to 18 digits"):
        EventBatch.concat([batch], size_scale=-1)


def test_batches_that_do_not_fit_one_scale_are_refused() -> None:
    large = batch_of(price=[NULL, 1, 2, 3, 4, 2**63 - 1], price_scale=0)
    with pytest.raises(NumberRefused, match="price"):
        EventBatch.concat([large, batch_of()])
    with pytest.raises(NumberRefused, match="size"):
        EventBatch.concat([batch_of(size_scale=3), batch_of(size=[2**62] * 6, size_scale=0)])


def test_batches_of_different_ids_are_not_joined() -> None:
    ours = batch_of(trade_id=["a", "b", "c", "d", "e", "f"])
    with pytest.raises(ValueError, match="one id codec and one trade codec"):
        EventBatch.concat([ours, batch_of(codec="int")])
    # Equal specs do not make equal dictionaries.
    with pytest.raises(ValueError, match="one id codec and one trade codec"):
        EventBatch.concat([ours, batch_of(trade_id=[*"abcde", "é"], trade_codec="ascii")])
    with pytest.raises(ValueError, match="one id codec and one trade codec"):
        EventBatch.concat([ours, batch_of(trade_id=[1, 2, 3, 4, 5, 6])])
    with pytest.raises(ValueError, match="at least one"):
        EventBatch.concat([])
    with pytest.raises(TypeError):
        EventBatch.concat([ours, None])
