"""Contract, Python: every line at a notebook's prompt, as it stands there."""

from __future__ import annotations

import gzip
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import ordertape as ot
from ordertape.errors import BadFile
from ordertape.replay.capture_file import CaptureWriter
from ordertape.simulator.bitfinex_frames import frames
from support.dbn import csv_bytes, dbn_bytes, packed, record
from support.lobster import files
from support.served import LIVE, Served


def batch_of(**more: object) -> ot.EventBatch:
    given: dict[str, object] = {
        "kind": [1, 1, 1, 3],
        "side": [0, 0, 1, 0],
        "order_id": np.array([1, 2, 3, 1], np.uint64),
        "price": np.array([10_050, 10_050, 10_075, 10_050], np.int64),
        "size": np.array([300, 500, 1, 100], np.int64),
        "ts_event": [1, 2, 3, 4],
    }
    return ot.EventBatch.from_arrays(**{**given, **more}, price_scale=2, size_scale=2)


# Readers ------------------------------------------------------------------------------------------


def test_read_lobster_with_row_0_as_the_book_after_message_0(tmp_path: Path) -> None:
    message, orderbook = files(tmp_path)
    batches = list(ot.read_lobster(message, orderbook=orderbook))
    kinds = [row["kind"] for batch in batches for row in map(batch.__getitem__, range(len(batch)))]
    assert kinds[0] == ot.EventKind.CLEAR
    assert {ot.EventKind.MATCH, ot.EventKind.DONE, ot.EventKind.TRADE} < set(kinds)
    packed = message.with_name(f"{message.name}.gz")
    packed.write_bytes(gzip.compress(message.read_bytes()))
    again = list(ot.read_lobster(packed, orderbook=orderbook))
    assert sum(map(len, again)) == sum(map(len, batches))


@pytest.mark.parametrize("suffix", [".dbn", ".dbn.zst", ".csv"])
def test_read_databento(tmp_path: Path, suffix: str) -> None:
    """A is OPEN, F is MATCH, and the C that only carries the fill out is absorbed."""
    plain = dbn_bytes(
        [
            record("A", "B", 1, 100, 3, at=1),
            record("A", "A", 2, 101, 5, at=2),
            record("T", "B", 0, 101, 5, at=3, flags=0),
            record("F", "A", 2, 101, 5, at=3, flags=0),
            record("C", "A", 2, 101, 5, at=3),
        ]
    )
    forms = {".dbn": plain, ".dbn.zst": packed(plain), ".csv": csv_bytes(plain, pretty=True)}
    path = tmp_path / f"mbo{suffix}"
    path.write_bytes(forms[suffix])
    kinds = [batch[at]["kind"] for batch in ot.read_databento(path) for at in range(len(batch))]
    assert kinds.count(ot.EventKind.OPEN) == 2
    assert ot.EventKind.MATCH in kinds


def test_an_older_dbz_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mbo.dbz"
    path.write_bytes(b"P*M\x18" + bytes(60))
    with pytest.raises(BadFile, match="dbz") as refused:
        list(ot.read_databento(path))
    assert "\n" not in str(refused.value)


def test_read_capture(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl.zst"
    with CaptureWriter(path) as writer:
        for ts, text in frames(7, 300):
            writer.write(ts, "ws", "wss://venue/ws/2", text)
    batches = list(ot.read_capture(path, exchange="bitfinex", symbol="BTC/USDT"))
    assert batches[0][0]["kind"] == ot.EventKind.CLEAR


def test_read_tape(server: Served) -> None:
    everything = list(
        ot.read_tape(str(server.data), exchange="bitfinex", symbol="OLD/USD", start=None, end=None)
    )
    assert everything[0].first_seq == 1
    assert everything[-1].last_seq == server.batches[-1].last_seq


# Kinds and batches --------------------------------------------------------------------------------


def test_event_kind_is_1_to_7_and_side_0_and_1() -> None:
    names = ["OPEN", "CHANGE", "MATCH", "DONE", "CLEAR", "EVICT", "TRADE"]
    assert [kind.name for kind in ot.EventKind] == names
    assert list(ot.EventKind) == [1, 2, 3, 4, 5, 6, 7]
    assert (ot.Side.BID, ot.Side.ASK) == (0, 1)


def test_a_slice_is_a_batch_and_to_arrow_has_its_columns() -> None:
    batch = batch_of()
    assert isinstance(batch[1:3], ot.EventBatch)
    assert (len(batch), len(batch[1:3]), len(batch[10:20])) == (4, 2, 0)
    table = batch.to_arrow()
    assert table.num_rows == 4
    assert {"seq", "ts_recv", "kind", "order_id", "price", "size"} <= set(table.column_names)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([1, 2, 3, 1], np.uint64),
        np.arange(64, dtype=np.uint8).reshape(4, 16),
        ["a", "b", "c", "a"],
    ],
    ids=["uint64", "bytes", "text"],
)
def test_from_arrays_takes_ids_as_integers_bytes_or_text(ids: object) -> None:
    batch = batch_of(order_id=ids)
    assert len(set(batch.id_texts())) == len({str(entry) for entry in ids})


def test_from_arrays_fills_seq_ts_recv_and_flags() -> None:
    batch = batch_of()
    assert [batch[at]["seq"] for at in range(4)] == [1, 2, 3, 4]
    assert [batch[at]["ts_recv"] for at in range(4)] == [1, 2, 3, 4]
    assert all(batch[at]["flags"] == ot.Flag.LAST for at in range(4))
    more = batch_of(seq=[5, 6, 7, 8], ts_recv=[9, 9, 9, 9], trade_id=[None, None, None, "77"])
    assert (more[3]["seq"], more[3]["ts_recv"], more[3]["trade_id"]) == (8, 9, "77")


# The book -----------------------------------------------------------------------------------------


def test_the_book_line_by_line() -> None:
    book = ot.OrderBook(price_scale=None, size_scale=None)
    counters = book.apply(batch_of())
    assert (counters.events, counters.faults) == (4, 0)
    assert book.depth(10) == (
        [(Decimal("100.50"), Decimal(7), 2)],
        [(Decimal("100.75"), Decimal("0.01"), 1)],
    )
    assert book.best() == (Decimal("100.50"), Decimal("100.75"))
    assert book.best_scaled() == (10_050, 10_075)
    assert book.queue(Decimal("100.50")) == [("1", Decimal(2)), ("2", Decimal(5))]
    assert book.queue("100.75", side=ot.Side.ASK) == [("3", Decimal("0.01"))]
    assert book.place("2") == (1, Decimal(2))
    with pytest.raises(KeyError):
        book.place("nobody")
    assert len(book) == 3
    assert int(book.digest(), 16) >= 0


def test_apply_with_effects_gives_counters_and_effects() -> None:
    counters, effects = ot.OrderBook().apply(batch_of(), effects=True)
    assert (counters.events, len(effects)) == (4, 4)
    assert list(np.asarray(effects.column("orders_ahead")))[:2] == [0, 1]


def test_apply_one_takes_text_decimal_or_scaled_and_refuses_a_float() -> None:
    book = ot.OrderBook(price_scale=2, size_scale=2)
    book.apply_one(ot.EventKind.OPEN, ot.Side.BID, "a", "100.50", "3")
    book.apply_one(ot.EventKind.OPEN, ot.Side.BID, "b", Decimal("100.50"), Decimal(3))
    book.apply_one(ot.EventKind.OPEN, ot.Side.BID, "c", 10_050, 300)
    assert book.queue("100.5") == [("a", Decimal(3)), ("b", Decimal(3)), ("c", Decimal(3))]
    with pytest.raises(TypeError, match="float"):
        book.apply_one(ot.EventKind.OPEN, ot.Side.BID, "d", 100.5, "3")


def test_rebuild_at_a_moment(server: Served) -> None:
    book = ot.rebuild(
        str(server.data), exchange="bitfinex", symbol="OLD/USD", at="2026-11-22T07:00:00Z"
    )
    assert isinstance(book, ot.OrderBook)
    assert book.seq == server.batches[-1].last_seq


async def test_live(server: Served) -> None:
    """tests/test_live.py cuts its connections."""
    book = ot.OrderBook()
    async with aclosing(ot.live(server.address, exchange="bitfinex", symbol=LIVE)) as batches:
        async for batch in batches:
            assert book.apply(batch).faults == 0
            if len(book) >= 400 and book.seq > 1:
                break
    bid, ask = book.best()
    assert bid is not None
    assert ask is not None
