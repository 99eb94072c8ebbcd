"""Exports hold exactly what the tape holds, in the other program's words."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from ordertape._engine import EventBatch, OrderBook
from ordertape.errors import TapeError, UnknownMarket
from ordertape.events import EventKind, Side
from ordertape.tape.exports import (
    Range,
    export_csv,
    export_hftbacktest,
    export_lobster,
    export_parquet,
)
from ordertape.tape.exports.files import NewFiles
from ordertape.tape.exports.hftbacktest import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    EVENT_DTYPE,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from ordertape.tape.folder import MarketFolder
from ordertape.tape.imports import import_batches, import_lobster
from ordertape.tape.lobster import read_lobster
from ordertape.tape.reader import read_tape
from ordertape.tape.rebuild import rebuild
from support.lobster import books_after_messages, files
from support.tape import Market, write_journal

DAY = 1_792_022_400_000_000_000
"""2026-10-15T00:00:00Z"""
HOUR = 3_600_000_000_000
MARKET = ("venue", "A/B")

Row = tuple[int, int | None, str | None, int | None, int | None, int]
"""kind, side, id, price, size, ts_recv"""

ROWS: list[Row] = [
    (5, None, None, None, None, DAY),
    (1, 0, "1", 10000, 50, DAY + 1),
    (1, 0, "2", 10000, 70, DAY + 2),
    (1, 1, "3", 10100, 90, DAY + 3),
    (2, 0, "1", 10000, 40, DAY + 4),
    (2, 0, "1", 9990, 60, DAY + 5),
    (3, 1, "3", 10100, 20, DAY + 6),
    (7, 1, None, 10050, 5, DAY + 7),
    (3, 0, "2", 10000, 70, DAY + 8),
    (4, 0, "2", 10000, 0, DAY + 8),
    (1, 0, "4", 9950, 7, DAY + 24 * HOUR),
    (4, 0, "1", 9990, 60, DAY + 24 * HOUR + 1),
    (6, 1, "3", 10100, 70, DAY + 24 * HOUR + 2),
    (1, 1, "5", 10200, 3, DAY + 24 * HOUR + 3),
]


def batch(rows: list[Row], scales: tuple[int, int] = (2, 1), **columns: Any) -> EventBatch:
    null = -(2**63)
    kinds, sides, ids, prices, sizes, times = (list(column) for column in zip(*rows, strict=True))
    return EventBatch.from_arrays(
        kind=np.array(kinds, np.uint8),
        side=np.array([255 if side is None else side for side in sides], np.uint8),
        order_id=ids,
        price=np.array([null if price is None else price for price in prices]),
        size=np.array([null if size is None else size for size in sizes]),
        ts_recv=np.array(times),
        price_scale=scales[0],
        size_scale=scales[1],
        **columns,
    )


def tape(folder: Path, *batches: EventBatch) -> Range:
    """A market with these batches (each with seqs from 1) on its tape."""
    source = folder / "source"
    source.write_text("events")
    numbered, seq = [], 1
    for part in batches:
        numbered.append(_renumbered(part, seq))
        seq += len(part)
    import_batches(folder / "data", *MARKET, numbered, source)
    return Range(folder / "data", *MARKET)


def _renumbered(part: EventBatch, first: int) -> EventBatch:
    columns = {
        name: np.asarray(column)
        for name in ("kind", "side", "price", "size", "ts_recv", "flags", "reason")
        if (column := part.column(name)) is not None
    }
    return EventBatch.from_arrays(
        **columns,
        order_id=part.id_texts(),
        seq=np.arange(first, first + len(part)),
        price_scale=part.price_scale,
        size_scale=part.size_scale,
    )


def rows_of(span: Range) -> list[dict[str, Any]]:
    events = read_tape(span.data, span.exchange, span.symbol, span.start, span.end)
    return [part[i] for part in events for i in range(len(part))]


# Files -------------------------------------------------------------------------------------------


def test_files_get_their_names_only_when_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with NewFiles(tmp_path) as new:
        new.add("a").write_text("new a")
        new.add("b").write_text("new b")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "b").exists()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a", "b"]
    assert (tmp_path / "a").read_text() == "new a"


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyboardInterrupt), NewFiles(tmp_path) as new:  # noqa: PT012 - the block is what is interrupted
        new.add("a").write_text("new a")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_that_cant_be_written_is_one_sentence(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    (tmp_path / "file").write_text("")
    for export in (export_parquet, export_csv, export_lobster, export_hftbacktest):
        with pytest.raises(TapeError, match="can't write to") as caught:
            export(span, tmp_path / "file")
        assert "\n" not in str(caught.value)


def test_an_unknown_market_is_refused_and_an_empty_span_gives_no_file(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    for export in (export_parquet, export_csv, export_lobster, export_hftbacktest):
        with pytest.raises(UnknownMarket):
            export(Range(span.data, "venue", "C/D"), tmp_path / "out")
        empty = Range(span.data, *MARKET, "2027-01-01")
        assert export(empty, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()
    (tmp_path / "there").mkdir()
    assert export_csv(Range(span.data, *MARKET, "2027-01-01"), tmp_path / "there") == []
    assert (tmp_path / "there").is_dir()


# Tables ------------------------------------------------------------------------------------------


def test_parquet_has_a_file_a_day_with_every_row(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    paths = export_parquet(span, tmp_path / "out")
    assert [path.name for path in paths] == [
        "venue_A%2FB_2026-10-15.parquet",
        "venue_A%2FB_2026-10-16.parquet",
    ]
    tables = [pq.read_table(path) for path in paths]
    assert [len(table) for table in tables] == [10, 4]
    found = [row for table in tables for row in table.to_pylist()]
    for row, expected in zip(found, rows_of(span), strict=True):
        order_id = expected.pop("order_id")
        assert row.pop("order_id") == (None if order_id is None else int(order_id))
        assert row == expected


def test_the_many_messages_of_a_journal_become_one_row_group(tmp_path: Path) -> None:
    folder = MarketFolder(tmp_path / "data", "demo", "X/Y")
    write_journal(folder, Market().messages(200))
    (path,) = export_parquet(Range(tmp_path / "data", "demo", "X/Y"), tmp_path / "out")
    written = pq.read_metadata(path)
    assert written.num_row_groups == 1
    assert written.num_rows == sum(len(batch) for batch in read_tape(folder.data, "demo", "X/Y"))


def test_duckdb_and_polars_read_real_numbers(tmp_path: Path) -> None:
    (first, _) = export_parquet(tape(tmp_path, batch(ROWS)), tmp_path / "out")
    total = duckdb.sql(f"SELECT sum(price * size) FROM '{first}' WHERE kind = 1").fetchall()
    assert total == [(Decimal("2109"),)]
    prices = pl.scan_parquet(first).filter(pl.col("kind") == 7).select("price").collect()
    assert prices.to_series().to_list() == [Decimal("100.50")]


def test_a_day_whose_numbers_and_ids_grow_gets_the_wider_types(tmp_path: Path) -> None:
    precise = [
        (1, 1, "sell-1", 10_123_456, 1, DAY + HOUR),
        (1, 1, "6", 10_123_457, 2, DAY + HOUR + 1),
    ]
    span = tape(tmp_path, batch(ROWS[:10]), batch(precise, (5, 4)), batch(ROWS[7:8], (1, 1)))
    (path,) = export_parquet(span, tmp_path / "out")
    table = pq.read_table(path)
    assert (table["price"].type.scale, table["size"].type.scale) == (5, 4)
    found, expected = table.to_pylist(), rows_of(span)
    assert [row["price"] for row in found] == [row["price"] for row in expected]
    assert [row["order_id"] for row in found] == [row["order_id"] for row in expected]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [path.name]


def test_csv_has_exact_text_and_words(tmp_path: Path) -> None:
    rows: list[Row] = [
        *ROWS[:4],
        (1, 1, 'a"b,c', 10_300, 1, DAY + 9),
        (4, 1, 'a"b,c', 10_300, 1, DAY + 10),
    ]
    small = [(1, 0, "9", 1, 123_456_789_012_345_678, DAY + 11), (1, 0, "10", 100, 10, DAY + 12)]
    span = tape(
        tmp_path,
        batch(rows, reason=np.array([0, 0, 0, 0, 0, 2], np.uint8)),
        batch(small, (7, 3)),
    )
    (path,) = export_csv(span, tmp_path / "out")
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    expected = rows_of(span)
    assert [row["order_id"] for row in found] == [row["order_id"] or "" for row in expected]
    assert [(row["kind"], row["side"], row["reason"]) for row in found][:2] == [
        ("clear", "", ""),
        ("open", "bid", ""),
    ]
    assert (found[5]["kind"], found[5]["reason"]) == ("done", "canceled")
    assert [row["price"] for row in found] == [
        *("", "100", "100", "101", "103", "103", "0.0000001", "0.00001")
    ]
    assert found[6]["size"] == "123456789012345.678"
    assert [row["ts_recv"] for row in found] == [str(row["ts_recv"]) for row in expected]
    assert '"a""b,c"' in path.read_text()


def test_a_span_is_cut_at_its_start_and_end(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    some = Range(span.data, *MARKET, DAY + 2, DAY + 6)
    (path,) = export_parquet(some, tmp_path / "out")
    assert pq.read_table(path)["seq"].to_pylist() == [3, 4, 5, 6]


def test_progress_counts_events(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    for export in (export_parquet, export_csv, export_lobster, export_hftbacktest):
        told: list[int] = []
        export(span, tmp_path / "out", told.append)
        assert told[-1] == len(ROWS), export
        assert told == sorted(told)


# LOBSTER -----------------------------------------------------------------------------------------


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_lobster_file_comes_out_as_it_went_in(tmp_path: Path) -> None:
    messages, book = files(tmp_path)
    import_lobster(tmp_path / "data", "nasdaq", "TEST", messages, book)
    out = export_lobster(Range(tmp_path / "data", "nasdaq", "TEST"), tmp_path / "out", levels=2)
    assert [path.name for path in out] == [
        "TEST_2012-06-21_34200004_34201000_message_2.csv",
        "TEST_2012-06-21_34200004_34201000_orderbook_2.csv",
    ]
    original = list(books_after_messages(list(read_lobster(messages, book)), 2).values())[1:]
    assert lines(out[1]) == original
    again = read_lobster(*out)
    told = list(books_after_messages(list(again), 2).values())[1:]
    assert told == original
    assert again.counters == {"anonymous_orders": 2}
    known = [line.split(",") for line in lines(messages)]
    shown = [line.split(",") for line in lines(out[0])]
    for line in shown:
        line[0] = line[0].rstrip("0").rstrip(".")
    # Messages about orders older than the file are the anonymous orders' now; 9 and 12 no events.
    assert [line[:2] + line[3:] for line in shown[:4]] == [
        line[:2] + line[3:] for line in known[:4]
    ]
    assert [line[1] for line in shown] == list("11422454623")


def test_changes_without_a_lobster_word_are_a_deletion_and_an_addition(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS[:10], (2, 0)))
    messages, book = export_lobster(span, tmp_path / "out", levels=1)
    assert [line.split(",", 1)[1] for line in lines(messages)] == [
        "1,1,50,1000000,1",
        "1,2,70,1000000,1",
        "1,3,90,1010000,-1",
        "2,1,10,1000000,1",
        "3,1,40,1000000,1",
        "1,1,60,999000,1",
        "4,3,20,1010000,-1",
        "5,0,5,1005000,-1",
        "4,2,70,1000000,1",
    ]
    assert lines(book) == [
        "9999999999,0,1000000,50",
        "9999999999,0,1000000,120",
        "1010000,90,1000000,120",
        "1010000,90,1000000,110",
        "1010000,90,1000000,70",
        "1010000,90,1000000,70",
        "1010000,70,1000000,70",
        "1010000,70,1000000,70",
        "1010000,70,999000,60",
    ]


def test_finer_numbers_and_other_ids_are_told_beside_the_pair(tmp_path: Path) -> None:
    rows: list[Row] = [
        ROWS[0],
        (1, 0, "abc", 1_234_567, 15, DAY + 1),
        (1, 1, "7", 1_300_000, 10, DAY + 2),
        (4, 0, "abc", 1_234_567, 15, DAY + 3),
    ]
    messages, _, scales = export_lobster(tape(tmp_path, batch(rows, (5, 1))), tmp_path / "out")
    assert json.loads(scales.read_text()) == {"price_scale": 5, "size_scale": 1}
    assert [line.split(",", 1)[1] for line in lines(messages)] == [
        f"1,{2**62},15,1234567,1",
        "1,7,10,1300000,-1",
        f"3,{2**62},15,1234567,1",
    ]


def test_a_new_pair_begins_at_new_yorks_midnight_and_at_a_clear(tmp_path: Path) -> None:
    rows: list[Row] = [
        *ROWS[:4],
        (1, 0, "7", 9900, 10, DAY + 4 * HOUR),  # 2026-10-15T00:00 in New York
        (5, None, None, None, None, DAY + 5 * HOUR),
        (1, 0, "8", 9900, 10, DAY + 6 * HOUR),
    ]
    out = export_lobster(tape(tmp_path, batch(rows, (2, 0))), tmp_path / "out", levels=1)
    assert [path.name for path in out[::2]] == [
        "A%2FB_2026-10-14_72000000_72000000_message_1.csv",
        "A%2FB_2026-10-15_0_0_message_1.csv",
        "A%2FB_2026-10-15_7200000_7200000_message_1.csv",
    ]
    assert lines(out[3]) == ["1010000,90,1000000,120"]
    assert lines(out[5]) == ["9999999999,0,990000,10"]


def test_a_pair_begins_with_the_book_at_the_start_of_the_span(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS, (2, 0)))
    some = Range(span.data, *MARKET, DAY + 6)
    messages, book, *_ = export_lobster(some, tmp_path / "out", levels=1)
    assert lines(messages)[0].split(",")[1:3] == ["4", "3"]
    assert lines(book)[0] == "1010000,70,1000000,70"


def test_a_lobster_export_needs_a_level(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="expected 1 level or more, found 0"):
        export_lobster(tape(tmp_path, batch(ROWS)), tmp_path / "out", levels=0)


# hftbacktest -------------------------------------------------------------------------------------


class HftBook:
    """What hftbacktest's level-3 book does with our events; it fails where that one fails."""

    def __init__(self) -> None:
        self.orders: dict[int, tuple[int, float, float]] = {}
        self.traded = 0.0

    def take(self, events: Any) -> None:
        for event in events:
            kind, side = int(event["ev"]) & 0xFF, int(event["ev"]) & (BUY_EVENT | SELL_EVENT)
            order_id, order = int(event["order_id"]), (side, event["px"], event["qty"])
            if kind == DEPTH_CLEAR_EVENT:
                self.orders.clear()
            elif kind == ADD_ORDER_EVENT:
                assert order_id not in self.orders
                self.orders[order_id] = order
            elif kind == MODIFY_ORDER_EVENT:
                assert order_id in self.orders
                self.orders[order_id] = order
            elif kind == CANCEL_ORDER_EVENT:
                del self.orders[order_id]
            elif kind == FILL_EVENT:
                assert order_id in self.orders
            else:
                assert kind == TRADE_EVENT
                self.traded += event["qty"]

    def all(self) -> list[tuple[int, float, float]]:
        return sorted(self.orders.values())


def hft(path: Path) -> Any:
    with np.load(path) as archive:
        return archive["data"]


def resting(book: OrderBook) -> list[tuple[int, float, float]]:
    return sorted(
        (BUY_EVENT if side == Side.BID else SELL_EVENT, float(price), float(size))
        for side in Side
        for _, price, size in book.orders(side)
    )


def check_form(events: Any) -> None:
    assert events.dtype == EVENT_DTYPE
    assert ((events["ev"] & (EXCH_EVENT | LOCAL_EVENT)) == EXCH_EVENT | LOCAL_EVENT).all()
    assert (np.diff(events["exch_ts"]) >= 0).all()
    assert (np.diff(events["local_ts"]) >= 0).all()
    assert (events["local_ts"] >= events["exch_ts"]).all()


def test_hftbacktest_plays_each_day_alone_and_ends_with_our_book(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    paths = export_hftbacktest(span, tmp_path / "out")
    assert [path.name for path in paths] == [
        "venue_A%2FB_2026-10-15.npz",
        "venue_A%2FB_2026-10-16.npz",
    ]
    for path, at in zip(paths, (DAY + 24 * HOUR - 1, None), strict=True):
        events = hft(path)
        check_form(events)
        assert events["ev"][0] & 0xFF == DEPTH_CLEAR_EVENT
        book = HftBook()
        book.take(events)
        assert book.all() == resting(rebuild(span.data, *MARKET, at))


def test_hftbacktest_gets_a_match_as_trade_fill_and_what_is_left(tmp_path: Path) -> None:
    (path, _) = export_hftbacktest(tape(tmp_path, batch(ROWS)), tmp_path / "out")
    events = hft(path)
    both = EXCH_EVENT | LOCAL_EVENT
    told = [(int(e["ev"]), e["px"], e["qty"], int(e["order_id"])) for e in events]
    assert told == [
        (both | DEPTH_CLEAR_EVENT, 0, 0, 0),
        (both | BUY_EVENT | ADD_ORDER_EVENT, 100, 5, 1),
        (both | BUY_EVENT | ADD_ORDER_EVENT, 100, 7, 2),
        (both | SELL_EVENT | ADD_ORDER_EVENT, 101, 9, 3),
        (both | BUY_EVENT | MODIFY_ORDER_EVENT, 100, 4, 1),
        (both | BUY_EVENT | MODIFY_ORDER_EVENT, 99.9, 6, 1),
        (both | BUY_EVENT | TRADE_EVENT, 101, 2, 0),
        (both | SELL_EVENT | FILL_EVENT, 101, 2, 3),
        (both | SELL_EVENT | MODIFY_ORDER_EVENT, 101, 7, 3),
        (both | BUY_EVENT | TRADE_EVENT, 100.5, 0.5, 0),
        (both | SELL_EVENT | TRADE_EVENT, 100, 7, 0),
        (both | BUY_EVENT | FILL_EVENT, 100, 7, 2),
        (both | BUY_EVENT | CANCEL_ORDER_EVENT, 100, 0, 2),
    ]


def test_hftbacktest_gets_only_what_its_book_can_do(tmp_path: Path) -> None:
    rows: list[Row] = [
        *ROWS[:4],
        (1, 0, "1", 9900, 10, DAY + 4),  # opened twice
        (4, 0, "77", 9900, 10, DAY + 5),  # never opened
        (3, 0, "78", 9900, 10, DAY + 6),
        (3, 1, "3", 10100, 500, DAY + 7),  # more than there is
        (2, 0, "2", 10000, 0, DAY + 8),  # to nothing
        (1, 0, "2", 10000, 4, DAY + 9),
    ]
    span = tape(tmp_path, batch(rows))
    (path,) = export_hftbacktest(span, tmp_path / "out")
    book = HftBook()
    book.take(hft(path))
    assert book.all() == resting(rebuild(span.data, *MARKET))
    assert book.traded == 51


def test_hftbacktest_gets_numbers_for_ids_that_are_none(tmp_path: Path) -> None:
    uuid = "123e4567-e89b-12d3-a456-42661417400{}"
    rows: list[Row] = [
        (kind, side, None if order_id is None else uuid.format(order_id), price, size, ts)
        for kind, side, order_id, price, size, ts in ROWS[:10]
    ]
    (path,) = export_hftbacktest(tape(tmp_path, batch(rows)), tmp_path / "out")
    events = hft(path)
    assert set(events["order_id"].tolist()) == {0, 1, 2, 3}
    HftBook().take(events)


def test_hftbacktest_begins_with_the_book_at_the_start_of_the_span(tmp_path: Path) -> None:
    span = tape(tmp_path, batch(ROWS))
    (path,) = export_hftbacktest(Range(span.data, *MARKET, DAY + 8, DAY + 9), tmp_path / "out")
    events = hft(path)
    kinds = [int(event) & 0xFF for event in events["ev"]]
    assert kinds[:4] == [DEPTH_CLEAR_EVENT, *[ADD_ORDER_EVENT] * 3]
    assert set(events["local_ts"][:4].tolist()) == {DAY + 8}
    assert kinds[4:] == [TRADE_EVENT, FILL_EVENT, CANCEL_ORDER_EVENT]


def test_hftbacktest_times_never_run_backwards(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("")
    events = batch(ROWS[:10], ts_event=np.array([DAY + n for n in (0, 9, 3, 3, 4, 20, 6, 7, 8, 8)]))
    import_batches(tmp_path / "data", *MARKET, [events], source)
    (path,) = export_hftbacktest(Range(tmp_path / "data", *MARKET), tmp_path / "out")
    check_form(hft(path))


def test_the_real_lobster_file_survives_the_round_trip(tmp_path: Path, shared: Path) -> None:
    folder = shared / "data" / "lobster_aapl_2012"
    given = (
        folder / "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
        folder / "AAPL_2012-06-21_first999_orderbook_10.csv",
    )
    import_lobster(tmp_path / "data", "nasdaq", "AAPL", *given)
    span = Range(tmp_path / "data", "nasdaq", "AAPL")
    out = export_lobster(span, tmp_path / "out")
    expected = rebuild(tmp_path / "data", "nasdaq", "AAPL")
    again, counts = OrderBook(), [0] * 8
    for events in read_lobster(*out):
        assert again.apply(events).faults == 0
        counts = [a + b for a, b in zip(counts, events.counts(), strict=True)]
    assert again.depth(10) == expected.depth(10)
    assert (counts[EventKind.OPEN], counts[EventKind.MATCH]) == (44256, 4067)
    hft_book = HftBook()
    (path,) = export_hftbacktest(span, tmp_path / "out")
    hft_book.take(hft(path))
    assert hft_book.all() == resting(expected)
    with given[1].open() as file:
        assert lines(out[1])[0] == file.readline().strip()
