"""The builder a venue's parser calls once per event."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from ordertape._engine import NULL, BatchBuilder, IdCodec
from ordertape.errors import IdRefused, NumberRefused
from ordertape.events import COLUMNS, EventKind, Flag, Reason, Side


def opened(builder: BatchBuilder, order_id: Any = "1", ts_recv: int = 1) -> None:
    builder.add(EventKind.OPEN, Side.BID, order_id, "1.5", "2", ts_recv)


def test_an_event_stands_in_the_batch_as_it_was_given() -> None:
    builder = BatchBuilder("uuid", trade_codec="int")
    taker = "d50ec984-77a8-460a-b958-66f114b0de9b"
    maker = msgspec.Raw(b"d50ec984-77a8-460a-b958-66f114b0de9c")
    builder.add(
        EventKind.MATCH, Side.ASK, maker, b"200.20", msgspec.Raw(b"1.00"), 9, 7,
        Flag.INFERRED, Reason.FILLED, 10, 280232, taker, Side.BID,
    )  # fmt: skip
    batch = builder.finish(5)
    assert batch[0] == dict.fromkeys(COLUMNS) | {
        "seq": 5, "venue_seq": 10, "ts_event": 7, "ts_recv": 9, "kind": 3, "side": 1, "reason": 1,
        "flags": Flag.INFERRED | Flag.LAST, "order_id": bytes(maker).decode(),
        "price": Decimal("200.2"), "size": Decimal(1), "trade_id": "280232",
        "taker_order_id": taker, "taker_side": 0,
    }  # fmt: skip
    assert (batch.price_scale, batch.size_scale) == (1, 0)


def test_what_was_not_said_is_null_and_what_nobody_said_is_absent() -> None:
    builder = BatchBuilder()
    builder.add(EventKind.CLEAR, None, None, None, None, 1)
    builder.add(EventKind.OPEN, 0, "a", "1", "1", 1, None)
    builder.add(EventKind.TRADE, None, None, "1", "1", 1, 5)
    batch = builder.finish(1)
    assert [name for name in COLUMNS if batch.column(name) is None] == [
        "venue_seq", "trade_id", "taker_order_id", "taker_side", "price_before", "size_before",
    ]  # fmt: skip
    column = batch.column("ts_event")
    assert column is not None
    assert np.asarray(column).tolist() == [NULL, NULL, 5]
    assert [row["side"] for row in map(batch.__getitem__, range(3))] == [None, 0, None]


def test_the_last_row_ends_the_message_and_the_builder_is_empty_again() -> None:
    codec = IdCodec("int")
    builder = BatchBuilder(codec)
    assert len(builder) == 0
    opened(builder)
    opened(builder, "2")
    assert len(builder) == 2
    batch = builder.finish(1)
    assert [batch[n]["flags"] for n in range(2)] == [0, Flag.LAST]
    assert len(builder) == 0
    assert len(builder.finish(3)) == 0
    opened(builder)
    builder.discard()
    assert len(builder) == 0
    opened(builder, "3", ts_recv=0)  # earlier than what was discarded
    assert builder.finish(3).first_seq == 3
    assert batch.codec == builder.codec == codec


def test_rows_of_a_snapshot_take_the_seq_of_their_clear() -> None:
    builder = BatchBuilder()
    builder.add(EventKind.CLEAR, None, None, None, None, 1)
    for name in "abc":
        builder.add(EventKind.OPEN, 0, name, "1", "1", 1, None, Flag.SNAPSHOT)
    opened(builder, "d")
    opened(builder, "e")
    seq = builder.finish(100).column("seq")
    assert seq is not None
    assert np.asarray(seq).tolist() == [100, 100, 100, 100, 101, 102]


def test_scales_given_are_kept_and_grow_only_where_they_must() -> None:
    builder = BatchBuilder("int", 2, 8)
    opened(builder)
    first = builder.finish(1)
    assert (first.price_scale, first.size_scale) == (2, 8)
    builder.add(EventKind.OPEN, 0, "1", "0.125", "1", 1)
    second = builder.finish(2)
    assert (second.price_scale, second.size_scale) == (3, 8)
    # What was handed out before stays as it was.
    assert (first.price_scale, first[0]["price"]) == (2, Decimal("1.5"))


def test_a_batch_has_befores_where_it_has_a_change() -> None:
    builder = BatchBuilder()
    opened(builder)
    assert builder.finish(1).column("price_before") is None
    builder.add(EventKind.CHANGE, 0, "1", None, "1", 1)
    batch = builder.finish(2)
    assert batch[0]["price"] is None
    assert batch.column("price_before") is not None


BAD: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    ((0, 0, "1", "1", "1", 1), ValueError, "kind 0: expected 1 to 7"),
    ((8, 0, "1", "1", "1", 1), ValueError, "kind 8: expected 1 to 7"),
    ((1, None, "1", "1", "1", 1), ValueError, "kind 1 lacks its side"),
    ((1, 2, "1", "1", "1", 1), ValueError, "kind 1 lacks its side"),
    ((1, 0, None, "1", "1", 1), ValueError, "kind 1 lacks its side"),
    ((1, 0, "1", None, "1", 1), ValueError, "kind 1 lacks its side"),
    ((1, 0, "1", "1", None, 1), ValueError, "kind 1 lacks its side"),
    ((2, 0, "1", "1", None, 1), ValueError, "kind 2 lacks its side"),
    ((3, 0, "1", None, "1", 1), ValueError, "kind 3 lacks its side"),
    ((4, 0, None, "1", "1", 1), ValueError, "kind 4 lacks its side"),
    ((6, 0, "1", None, "1", 1), ValueError, "kind 6 lacks its side"),
    ((7, 2, None, "1", "1", 1), ValueError, "kind 7 lacks its side"),
    ((7, 0, None, None, "1", 1), ValueError, "kind 7 lacks its side"),
    ((5, 0, None, None, None, 1), ValueError, "kind 5 lacks its side"),
    ((1, 0, "1", "1", "1", 0), ValueError, "ts_recv 0 is earlier than the event before"),
    ((1, 0, "1", "x", "1", 1), NumberRefused, "price 'x' is not a decimal number"),
    ((1, 0, "1", "1", "1.", 1), NumberRefused, r"size '1\.' is not a decimal number"),
    ((1, 0, "1", "1e-19", "1", 1), NumberRefused, "price '1e-19' fits no int64"),
    ((1, 0, "1", 1, "1", 1), TypeError, "expected text .* got int"),
    ((1, 0, "1", Decimal(1), "1", 1), TypeError, "expected text .* got Decimal"),
    ((1, 0, 1.5, "1", "1", 1), TypeError, "expected an id .* got float"),
    ((1, 0, b"\xff", "1", "1", 1), IdRefused, "not UTF-8"),
    ((1, 0, "1", "1", "1", 1, None, 0, 0, None, None, None, 2), ValueError, "side 2: expected 0"),
    ((1, 0, "1", "1", "1", 1, None, 65536), OverflowError, ""),
    ((1, 0, "1", "1", "1", 1.0), TypeError, ""),
    ((1, 0, "1", "1", "1", 2**63), OverflowError, ""),
    ((1, 0, "1"), TypeError, "missing"),
]


@pytest.mark.parametrize(("event", "error", "text"), BAD)
def test_a_bad_event_is_refused_and_leaves_nothing_behind(
    event: tuple[Any, ...], error: type[Exception], text: str
) -> None:
    builder = BatchBuilder("int")
    opened(builder)
    with pytest.raises(error, match=text or None):
        builder.add(*event)
    assert len(builder) == 1
    opened(builder, "2")
    batch = builder.finish(1)
    assert batch.id_texts() == ["1", "2"]
    assert [batch[n]["price"] for n in range(2)] == [Decimal("1.5")] * 2


def test_arguments_are_positional() -> None:
    with pytest.raises(TypeError):
        BatchBuilder().add(kind=1, side=0, order_id="1", price="1", size="1", ts_recv=1)
