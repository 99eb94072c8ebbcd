"""Columns become exactly the bytes that PostgreSQL's binary COPY wants."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import NULL, EventBatch, IdCodec
from ordertape.database.copy import Needs, events_of, needs_of, rows_of
from ordertape.database.rows import Generation
from ordertape.events import Flag

INT, UUID, TEXT = "bigint", "uuid", "text"
_FORMATS = {
    "seq": ">q",
    "ts_recv": ">q",
    "era": ">i",
    "bits": ">h",
    "kind": "c",
    "side": "c",
    "price": ">q",
    "size": ">q",
    "price_before": ">q",
    "size_before": ">q",
    "ts_event": ">q",
    "venue_seq": ">q",
}


def batch(**changes: Any) -> EventBatch:
    made: dict[str, Any] = {
        "kind": np.array([1, 2, 3, 4, 7], np.uint8),
        "side": np.array([0, 1, 0, 1, 255], np.uint8),
        "order_id": ["5", "6", "5", "6", None],
        "price": np.array([101, 102, 101, 102, 103]),
        "size": np.array([1, 2, 3, 0, 5]),
        "price_before": np.array([NULL, 99, NULL, NULL, NULL]),
        "ts_event": np.array([10, NULL, 30, 40, NULL]),
        "ts_recv": np.array([11, 12, 13, 14, 15]),
        "seq": np.array([1, 2, 3, 4, 5]),
        "flags": np.array([2, 2, 2 | Flag.INFERRED, 2, 2], np.uint16),
        "reason": np.array([0, 4, 0, 1, 0], np.uint8),
        "trade_id": [None, None, "77", None, "78"],
        "taker_side": np.array([255, 255, 1, 255, 0], np.uint8),
        "price_scale": 1,
        "size_scale": 0,
    }
    return EventBatch.from_arrays(**{**made, **changes})


def generation(**changes: Any) -> Generation:
    made = Generation(1, 1, "x", "y", 1, 0, INT, INT)
    return made._replace(**changes)


def decoded(rows: EventBatch, into: Generation) -> list[dict[str, Any]]:
    """What PostgreSQL would read, field by field."""
    arrays, kept = events_of(rows)
    assert needs_of(rows, arrays).fit(into)
    eras = np.full(len(arrays["seq"]), 3, np.int32)
    made = rows_of(rows, arrays, kept, eras, into)
    found, at = [], 0
    for _ in range(made.count):
        (fields,) = struct.unpack_from(">h", made.data, at)
        at += 2
        assert fields == len(made.columns)
        row: dict[str, Any] = {}
        for name in made.columns:
            (length,) = struct.unpack_from(">i", made.data, at)
            at += 4
            if length < 0:
                row[name] = None
                continue
            field = made.data[at : at + length]
            at += length
            if name in _FORMATS:
                row[name] = struct.unpack(_FORMATS[name], field)[0]
            else:
                form = into.trade_form if name == "trade_id" else into.order_form
                row[name] = (
                    struct.unpack(">q", field)[0]
                    if form == INT
                    else uuid.UUID(bytes=field)
                    if form == UUID
                    else field.decode()
                )
        found.append(row)
    assert at == len(made.data)
    return found


def test_every_column_stands_where_it_belongs_and_nulls_take_no_bytes() -> None:
    rows = decoded(batch(), generation())
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["kind"] for row in rows] == [b"O", b"H", b"M", b"D", b"T"]
    assert [row["side"] for row in rows] == [b"b", b"a", b"b", b"a", b"-"]
    assert [row["order_id"] for row in rows] == [5, 6, 5, 6, None]
    assert [row["price_before"] for row in rows] == [None, 99, None, None, None]
    assert [row["ts_event"] for row in rows] == [10, None, 30, 40, None]
    assert [row["trade_id"] for row in rows] == [None, None, 77, None, 78]
    assert [row["bits"] & 255 for row in rows] == [2, 2, 6, 2, 2]
    assert [row["bits"] >> 8 & 31 for row in rows] == [0, 4, 0, 1, 0]
    assert [row["bits"] >> 13 for row in rows] == [0, 0, 2, 0, 1]
    assert {row["era"] for row in rows} == {3}
    assert "venue_seq" not in rows[0]


def test_orders_of_a_snapshot_are_no_rows() -> None:
    flags = np.array([2, 2 | Flag.SNAPSHOT, 2, 2 | Flag.SNAPSHOT, 2], np.uint16)
    for form in (INT, TEXT):
        rows = decoded(batch(flags=flags), generation(order_form=form, trade_form=form))
        assert [row["seq"] for row in rows] == [1, 3, 5]
        assert [str(row["order_id"]) for row in rows] == ["5", "5", "None"]


def test_a_wider_scale_multiplies_exactly_and_leaves_nulls_null() -> None:
    rows = decoded(batch(), generation(price_scale=4, size_scale=18))
    assert [row["price"] for row in rows] == [101_000, 102_000, 101_000, 102_000, 103_000]
    assert rows[4]["size"] == 5 * 10**18
    assert [row["price_before"] for row in rows] == [None, 99_000, None, None, None]


def test_uuids_are_their_own_bytes() -> None:
    ids = [str(uuid.UUID(int=n * 0x1234567890ABCDEF1234567890ABCDEF % 2**127)) for n in range(1, 5)]
    rows = decoded(batch(order_id=[*ids, None], codec=IdCodec("uuid")), generation(order_form=UUID))
    assert [str(row["order_id"]) for row in rows[:4]] == ids


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        min_size=5,
        max_size=5,
    )
)
def test_any_text_is_an_id(ids: list[str]) -> None:
    rows = decoded(batch(order_id=ids, codec=IdCodec("intern")), generation(order_form=TEXT))
    assert [row["order_id"] for row in rows] == ids


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, (INT, INT)),
        ({"order_id": [str(2**63), "6", "5", "6", None]}, (TEXT, INT)),
        ({"kind": np.full(5, 7, np.uint8), "order_id": [None] * 5, "trade_id": None}, ("", "")),
        ({"order_id": ["5", "six", "5", "6", None], "codec": IdCodec("int")}, (TEXT, INT)),
        ({"taker_order_id": [None, None, "x", None, None], "codec": IdCodec("int")}, (TEXT, INT)),
        ({"trade_id": [None, None, "t-1", None, None]}, (INT, TEXT)),
    ],
)
def test_the_narrowest_form_that_holds_every_id_is_asked_for(
    changes: dict[str, Any], needed: tuple[str, str]
) -> None:
    rows = batch(**changes)
    found = needs_of(rows, events_of(rows)[0])
    assert (found.order_form, found.trade_form) == needed


def test_generations_only_widen() -> None:
    narrow = generation()
    assert Needs(1, 0, 10, 10, "", "").fit(narrow)
    assert not Needs(2, 0, 10, 10, INT, INT).fit(narrow)
    assert not Needs(1, 0, 10, 10, UUID, INT).fit(narrow)
    assert Needs(2, 0, 10, 10, UUID, INT).widen(narrow) == (2, 0, TEXT, INT)
    assert Needs(0, 3, 10, 10, INT, "").widen(narrow) == (1, 3, INT, INT)
    assert Needs(0, 0, 2**62, 0, INT, INT).fit(narrow) is False
    assert Needs(0, 0, 2**62, 0, INT, INT).widen(narrow) == (0, 0, INT, INT)
