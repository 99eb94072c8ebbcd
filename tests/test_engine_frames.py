"""Journal frames: what goes in comes out, and anything damaged is no frame."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape._engine import (
    NULL,
    EventBatch,
    IdCodec,
    OrderBook,
    decode_frame,
    encode_mark,
    frame_header,
)
from ordertape.events import COLUMNS, Flag

HEADER = 64
INT64 = st.integers(-(2**63), 2**63 - 1)


def optional(values: st.SearchStrategy[Any], null: Any) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, st.just(null))


@st.composite
def batches(draw: st.DrawFn, max_rows: int = 12) -> EventBatch:
    """Any batch: columns absent, all the same, or anything; ids small, large or in a dictionary."""
    rows = draw(st.integers(0, max_rows))
    codec = IdCodec(draw(st.sampled_from(["int", "uuid", "ascii", "intern", "hex:32"])))
    name = {
        "int": st.integers(0, 2**64 - 1).map(str), "uuid": st.uuids().map(str),
        "ascii": st.text("abc", min_size=1, max_size=5), "intern": st.text(max_size=5),
        "hex:32": st.integers(0, 2**128 - 1).map("{:032x}".format),
    }[codec.spec]  # fmt: skip

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        if draw(st.booleans()):
            return [draw(values)] * rows
        return draw(st.lists(values, min_size=rows, max_size=rows))

    columns: dict[str, Any] = {
        "kind": column(st.integers(1, 7)),
        "side": column(st.integers(0, 1)),
        "order_id": column(name),
        "price": column(INT64),
        "size": column(INT64),
        "ts_recv": sorted(column(INT64)),
        "seq": column(INT64)
        if draw(st.booleans())
        else list(range(2**63 - rows, 2**63))
        if draw(st.booleans())
        else list(range(5, 5 + rows)),
        "flags": column(st.integers(0, 65535)),
        "reason": column(st.integers(0, 255)),
    }
    extra = {
        "ts_event": optional(INT64, NULL), "venue_seq": optional(INT64, NULL),
        "trade_id": optional(st.integers(0, 2**64 - 1), None),
        "taker_order_id": optional(name, None),
        "taker_side": optional(st.integers(0, 1), 255),
        "price_before": optional(INT64, NULL), "size_before": optional(INT64, NULL),
    }  # fmt: skip
    for one, values in extra.items():
        if draw(st.booleans()):
            columns[one] = column(values)
    return EventBatch.from_arrays(
        **columns, codec=codec, trade_codec="int",
        price_scale=draw(st.integers(0, 18)), size_scale=draw(st.integers(0, 18)),
    )  # fmt: skip


def values_of(batch: EventBatch) -> dict[str, list[Any]]:
    """Every column, absent ones as their nulls."""
    nulls: dict[str, Any] = {
        "taker_side": 255,
        "trade_id": [255] * 16,
        "taker_order_id": [255] * 16,
    }
    return {
        name: [nulls.get(name, NULL)] * len(batch)
        if (column := batch.column(name)) is None
        else np.asarray(column).tolist()
        for name in COLUMNS
    }


def decoded(frame: bytes, codec: IdCodec | None = None) -> EventBatch:
    found = decode_frame(frame, 0, codec)
    assert found is not None
    assert isinstance(found[3], EventBatch)
    return found[3]


@given(batches(), st.integers(1, 2), st.integers(0, 2**64 - 1), st.data())
def test_a_batch_comes_back_from_its_frame(
    batch: EventBatch, kind: int, synced: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(batch)))
    batch = batch[start : data.draw(st.integers(start, len(batch)))]
    frame = batch.encode_frame(kind, synced)
    assert len(frame) % 8 == 0
    found = decode_frame(frame, 0, batch.codec, batch.trade_codec)
    assert found is not None
    assert found[:3] == (kind, len(frame), synced)
    again = found[3]
    assert isinstance(again, EventBatch)
    assert values_of(again) == values_of(batch)
    assert (again.price_scale, again.size_scale) == (batch.price_scale, batch.size_scale)
    assert again.id_texts() == batch.id_texts()
    assert again.id_texts("trade_id") == batch.id_texts("trade_id")
    assert frame_header(frame, 0) == (
        kind, len(frame), len(batch), batch.first_seq, batch.last_seq, batch.last_ts_recv,
    )  # fmt: skip
    assert again.encode_frame(kind, synced) == frame


@given(batches())
def test_a_frame_says_the_form_of_its_ids(batch: EventBatch) -> None:
    alone = decoded(batch.encode_frame(1, 0))
    assert (alone.codec.spec, alone.trade_codec.spec) == (batch.codec.spec, "int")
    undecided = IdCodec()
    assert decoded(batch.encode_frame(1, 0), undecided).codec == undecided
    assert undecided.spec == batch.codec.spec


@given(st.binary(max_size=300), INT64, INT64, st.integers(0, 2**64 - 1))
def test_a_mark_comes_back_from_its_frame(
    payload: bytes, last_seq: int, ts_recv: int, synced: int
) -> None:
    frame = encode_mark(payload, last_seq, ts_recv, synced)
    assert decode_frame(frame, 0) == (3, len(frame), synced, payload)
    assert frame_header(frame, 0) == (3, len(frame), 0, last_seq, last_seq, ts_recv)
    assert len(frame) % 8 == 0


def sample() -> EventBatch:
    return EventBatch.from_arrays(
        kind=[5, 1, 1, 2], side=[255, 0, 1, 0], order_id=[None, "a", "b", "a"],
        price=[NULL, 5, 6, 5], size=[NULL, 1, 2, 3], ts_event=[1, 2, 3, 4], seq=[1, 1, 1, 2],
        flags=[0, Flag.SNAPSHOT, Flag.SNAPSHOT | Flag.LAST, Flag.LAST],
        price_scale=2, size_scale=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "frame",
    [sample().encode_frame(1, 0), sample()[0:0].encode_frame(1, 7), encode_mark(b"{}", 1, 2, 3)],
    ids=["events", "no rows", "mark"],
)
def test_any_single_bit_that_flips_makes_it_no_frame(frame: bytes) -> None:
    assert decode_frame(frame, 0) is not None
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode_frame(damaged, 0) is None, bit
        # More of the journal stands behind it.
        assert decode_frame(damaged + frame * 3, 0) is None, bit


def test_a_frame_that_is_cut_short_is_no_frame() -> None:
    frame = sample().encode_frame(1, 0)
    for length in range(len(frame)):
        assert decode_frame(frame[:length], 0) is None
        if any(frame[length:]):
            assert decode_frame(frame[:length] + bytes(len(frame) - length), 0) is None
        assert frame_header(frame[:length], 0) is None


def test_a_frame_is_found_at_its_offset_and_nowhere_else() -> None:
    first, second = sample().encode_frame(1, 0), encode_mark(b"[]", 1, 2, 3)
    buffer = memoryview(first + second + bytes(128))
    whole = [n for n in range(len(buffer) + 9) if decode_frame(buffer, n) is not None]
    assert whole == [0, len(first)]
    assert decode_frame(bytearray(buffer), len(first)) is not None
    assert decode_frame(np.frombuffer(buffer, np.uint8), len(first)) is not None
    assert decode_frame(buffer, 2**63) is None
    with pytest.raises(OverflowError):
        decode_frame(buffer, -1)
    with pytest.raises(TypeError):
        decode_frame("text", 0)


def test_random_bytes_behind_a_true_header_are_no_frame() -> None:
    random_bytes = random.Random(7)
    frame = sample().encode_frame(1, 0)
    for _ in range(3000):
        damaged = bytearray(frame)
        for _ in range(random_bytes.randint(1, 12)):
            damaged[random_bytes.randrange(len(frame))] = random_bytes.randrange(256)
        if damaged != frame:
            assert decode_frame(damaged, 0) is None


CRC32C = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ (0x82F63B78 if _value & 1 else 0)
    CRC32C[_byte] = _value


def resealed(frame: bytes | bytearray) -> bytes:
    """The frame with a crc32c that holds, whatever stands in it."""
    crc = 0xFFFFFFFF
    for byte in frame[:60] + frame[64:]:
        crc = (crc >> 8) ^ CRC32C[(crc ^ byte) & 255]
    return bytes(frame[:60]) + (crc ^ 0xFFFFFFFF).to_bytes(4, "little") + bytes(frame[64:])


def test_the_crc_is_crc32c_over_all_but_itself() -> None:
    frame = sample().encode_frame(1, 0)
    assert resealed(frame) == frame


def test_a_frame_of_nonsense_with_a_true_crc_never_brings_a_book_down() -> None:
    """Nobody makes such frames by accident; the engine still has to end in an ordinary answer."""
    random_bytes = random.Random(8)
    frame = sample().encode_frame(1, 0)
    for _ in range(4000):
        damaged = bytearray(frame)
        for _ in range(random_bytes.randint(1, 4)):
            at = random_bytes.choice([*range(8, 60), *range(64, len(frame))])
            damaged[at] = random_bytes.choice([0, 1, 2, 3, 7, 127, 128, 255])
        found = decode_frame(resealed(damaged), 0)
        if found is None or isinstance(found[3], bytes) or len(found[3]) > 1000:
            continue
        batch = found[3]
        book = OrderBook()
        book.apply(batch)
        book.apply(batch, effects=True)
        book.check()
        [batch[n] for n in range(len(batch))]
        batch.to_arrow()


@pytest.mark.parametrize("frame_type", [0, 3, 4, 255])
def test_a_batch_goes_into_no_frame_of_another_type(frame_type: int) -> None:
    with pytest.raises(ValueError, match=r"expected 1 \(events\) or 2 \(a snapshot\)"):
        sample().encode_frame(frame_type, 0)


def test_a_snapshot_frame_brings_back_a_book() -> None:
    book = OrderBook()
    book.apply(sample())
    batch = decoded(book.snapshot().encode_frame(2, 0))
    other = OrderBook()
    other.restore(batch, era=book.era)
    assert other.digest() == book.digest()
    assert (other.seq, other.ts_recv, other.era) == (book.seq, book.ts_recv, 1)


def test_a_frame_of_consecutive_rows_and_small_ids_is_packed() -> None:
    rows = 1000
    batch = EventBatch.from_arrays(
        kind=[4] * rows, side=[0] * rows, order_id=np.arange(rows, dtype=np.uint64),
        price=np.arange(rows), size=[1] * rows, ts_recv=[1] * rows, price_scale=0, size_scale=0,
    )  # fmt: skip
    # Ids and prices at 8 bytes; every other column is one value or a run.
    assert len(batch.encode_frame(1, 0)) < HEADER + 16 * rows + 64
