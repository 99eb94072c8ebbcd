"""Databento's MBO files become our kinds, whatever form they have."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ordertape._engine import OrderBook
from ordertape.errors import BadFile
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.tape.databento import DatabentoReader, read_databento
from support.dbn import (
    LAST,
    SNAPSHOT,
    START,
    csv_bytes,
    dbn_bytes,
    packed,
    record,
)

BID, ASK = int(Side.BID), int(Side.ASK)
BOOK = [
    record("R", flags=SNAPSHOT),
    record("A", "B", 1, 100, 5, flags=SNAPSHOT, event_at=-70),
    record("A", "B", 2, 100, 7, flags=SNAPSHOT, event_at=-60),
    record("A", "A", 3, 101, 9, flags=SNAPSHOT | LAST, event_at=-50),
]
"""Two bids of 5 and 7 at 100, an ask of 9 at 101."""


def write(folder: Path, data: bytes, name: str = "mbo.dbn") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def rows(reader: DatabentoReader) -> list[dict[str, object]]:
    return [batch[i] for batch in reader for i in range(len(batch))]


def events(folder: Path, *records: object) -> list[tuple[object, ...]]:
    """(kind, id, price, size, reason, is last) of what follows BOOK."""
    found = rows(read_databento(write(folder, dbn_bytes([*BOOK, *records]))))
    return [
        (row["kind"], row["order_id"], row["price"], row["size"], row["reason"], row["flags"])
        for row in found[len(BOOK) :]
    ]


def test_a_clear_record_and_its_snapshot_begin_the_tape(tmp_path: Path) -> None:
    reader = read_databento(write(tmp_path, dbn_bytes(BOOK)))
    found = rows(reader)
    assert [(row["kind"], row["seq"], row["flags"]) for row in found] == [
        (EventKind.CLEAR, 1, 0),
        (EventKind.OPEN, 1, Flag.SNAPSHOT),
        (EventKind.OPEN, 1, Flag.SNAPSHOT),
        (EventKind.OPEN, 1, Flag.SNAPSHOT | Flag.LAST),
    ]
    assert found[1]["ts_event"] == START - 70_000
    assert found[1]["ts_recv"] == START + 500
    assert (reader.dataset, reader.symbol) == ("GLBX.MDP3", "ESH1")
    book = OrderBook()
    for batch in read_databento(write(tmp_path, dbn_bytes(BOOK))):
        assert book.apply(batch).faults == 0
    assert book.queue("100", Side.BID) == [("1", Decimal(5)), ("2", Decimal(7))]


def test_a_fill_that_empties_is_a_match_and_a_done_and_its_cancel_is_absorbed(
    tmp_path: Path,
) -> None:
    found = events(
        tmp_path,
        record("T", "A", 0, 100, 5, at=10, flags=0),
        record("F", "B", 1, 100, 5, at=10, flags=0),
        record("C", "B", 1, 100, 5, at=10),
    )
    assert found == [
        (EventKind.MATCH, "1", 100, 5, 0, 0),
        (EventKind.DONE, "1", 100, 0, Reason.FILLED, Flag.LAST),
    ]


def test_a_partial_fill_absorbs_the_modify_that_carries_it_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        dbn_bytes(
            [
                *BOOK,
                record("T", "B", 0, 101, 4, at=10, flags=0),
                record("F", "A", 3, 101, 4, at=10, flags=0),
                record("M", "A", 3, 101, 5, at=10),
                record("C", "A", 3, 101, 5, at=20),
            ]
        ),
    )
    reader = read_databento(path)
    match, done = rows(reader)[len(BOOK) :]
    assert (match["kind"], match["size"], match["side"], match["taker_side"]) == (3, 4, ASK, BID)
    assert (done["kind"], done["size"], done["reason"]) == (4, 5, Reason.CANCELED)
    assert reader.counters == {"absorbed": 1}


def test_what_a_cancel_takes_beyond_the_fill_is_canceled(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        record("F", "B", 2, 100, 3, at=10, flags=0),
        record("C", "B", 2, 100, 7, at=10),
    )
    assert found == [
        (EventKind.MATCH, "2", 100, 3, 0, 0),
        (EventKind.DONE, "2", 100, 4, Reason.CANCELED, Flag.LAST),
    ]


def test_a_cancel_of_another_message_is_not_absorbed(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        record("F", "B", 2, 100, 3, at=10),
        record("C", "B", 2, 100, 1, at=11),
    )
    assert found == [
        (EventKind.MATCH, "2", 100, 3, 0, Flag.LAST),
        (EventKind.CHANGE, "2", 100, 3, Reason.CANCELED, Flag.LAST),
    ]


def test_the_next_part_of_an_iceberg_is_a_new_order_at_the_tail(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        record("T", "A", 0, 100, 5, at=10, flags=0),
        record("F", "B", 1, 100, 5, at=10, flags=0),
        record("M", "B", 1, 100, 5, at=10),
    )
    assert [event[0] for event in found] == [EventKind.MATCH, EventKind.DONE, EventKind.OPEN]


def test_partial_cancels_and_modifies_are_changes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        dbn_bytes(
            [
                *BOOK,
                record("C", "B", 2, 100, 3, at=10),
                record("M", "B", 1, 99, 6, at=20),
            ]
        ),
    )
    first, second = rows(read_databento(path))[len(BOOK) :]
    assert (first["kind"], first["size"], first["size_before"]) == (EventKind.CHANGE, 4, 7)
    assert (second["price"], second["size"], second["reason"]) == (99, 6, Reason.AMENDED)
    assert (second["price_before"], second["size_before"]) == (100, 5)


def test_a_trade_without_a_fill_is_a_trade_on_the_other_side(tmp_path: Path) -> None:
    found = rows(
        read_databento(
            write(tmp_path, dbn_bytes([*BOOK, record("T", "B", 0, 101, 2, at=5, sequence=77)]))
        )
    )[-1]
    assert (found["kind"], found["side"], found["taker_side"]) == (EventKind.TRADE, ASK, BID)
    assert (found["order_id"], found["venue_seq"]) == (None, 77)


def test_a_trade_of_an_unknown_side_has_none(tmp_path: Path) -> None:
    path = write(tmp_path, dbn_bytes([*BOOK, record("T", "N", 0, 101, 2, at=5)]))
    found = rows(read_databento(path))[-1]
    assert (found["kind"], found["side"], found["taker_side"]) == (EventKind.TRADE, None, None)


def test_a_message_ends_where_the_next_event_time_begins(tmp_path: Path) -> None:
    found = events(
        tmp_path,
        record("A", "B", 10, 98, 1, at=10, flags=0),
        record("A", "B", 11, 98, 1, at=10, flags=0),
        record("A", "B", 12, 98, 1, at=11, flags=0),
    )
    assert [flags for *_, flags in found] == [0, Flag.LAST, Flag.LAST]


def test_a_file_that_begins_in_the_middle_gets_an_inferred_clear(tmp_path: Path) -> None:
    path = write(tmp_path, dbn_bytes([record("C", "A", 9, 101, 1), record("M", "A", 8, 102, 2)]))
    clear, done, opened = rows(read_databento(path))
    assert (clear["kind"], clear["venue_seq"]) == (5, None)
    assert clear["flags"] == Flag.INFERRED | Flag.LAST
    assert (done["kind"], done["order_id"], done["size"]) == (EventKind.DONE, "9", 1)
    assert (opened["kind"], opened["flags"]) == (1, Flag.PLACE_ASSUMED | Flag.LAST)


def test_a_clear_in_the_middle_begins_a_new_era(tmp_path: Path) -> None:
    path = write(
        tmp_path, dbn_bytes([*BOOK, record("R", at=10), record("A", "B", 1, 90, 1, at=20)])
    )
    book = OrderBook()
    for batch in read_databento(path):
        assert book.apply(batch).faults == 0
    assert (book.era, len(book)) == (2, 1)


def test_what_is_no_event_is_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        dbn_bytes(
            [
                *BOOK,
                record("N", at=1),
                record("A", "B", 0, 100, 5, at=2, flags=LAST | 64),
                record("A", "N", 4, 100, 5, at=3),
                record("A", "B", 4, None, 5, at=4),
                record("A", "B", 5, 90, 5, at=5, flags=LAST | 4),
            ]
        ),
    )
    reader = read_databento(path)
    assert len(rows(reader)) == len(BOOK) + 1
    assert reader.counters == {
        "without_action": 1,
        "top_of_book": 1,
        "without_side": 1,
        "without_price": 1,
        "maybe_bad_book": 1,
    }


FLOW = [
    *BOOK,
    record("A", "A", 18446744073709551000, 102, 4_000_000_000, at=5),
    record("T", "A", 0, 100, 9, at=10, flags=0),
    record("F", "B", 1, 100, 5, at=10, flags=0),
    record("F", "B", 2, 100, 4, at=10, flags=0),
    record("C", "B", 1, 100, 5, at=10, flags=0),
    record("M", "B", 2, 100, 3, at=10),
]


def test_all_forms_of_a_file_give_the_same_events(tmp_path: Path) -> None:
    data = dbn_bytes(FLOW)
    expected = rows(read_databento(write(tmp_path, data)))
    assert len(expected) == 8
    for name, content in {
        "v1.dbn": dbn_bytes(FLOW, version=1),
        "v2.dbn.zst": packed(dbn_bytes(FLOW, version=2)),
        "two-frames.dbn.zst": packed(data[:500]) + packed(data[500:]),
        "pretty.csv": csv_bytes(data, pretty=True),
        "raw.csv": csv_bytes(data, pretty=False, symbols=False),
        "raw.csv.zst": packed(csv_bytes(data, pretty=False)),
    }.items():
        assert rows(read_databento(write(tmp_path, content, name))) == expected, name


def test_prices_in_csv_keep_every_digit(tmp_path: Path) -> None:
    text = csv_bytes(dbn_bytes(BOOK), pretty=True).replace(b"101.000000000", b"9007199.254740993")
    found = rows(read_databento(write(tmp_path, text, "mbo.csv")))[-1]
    assert found["price"] == Decimal("9007199.254740993")


def test_what_comes_out_does_not_depend_on_how_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, dbn_bytes(FLOW))
    table = write(tmp_path, csv_bytes(dbn_bytes(FLOW), pretty=True), "mbo.csv")
    expected = rows(read_databento(path))
    monkeypatch.setattr("ordertape.tape.foreign._READ_BYTES", 37)
    monkeypatch.setattr("ordertape.tape.foreign._TEXT_BLOCK_BYTES", 100)
    monkeypatch.setattr("ordertape.tape.databento._BATCH_ROWS", 1)
    batches = list(read_databento(path))
    assert len(batches) == 3
    assert [batch[i] for batch in batches for i in range(len(batch))] == expected
    assert rows(read_databento(table)) == expected


def test_records_of_other_types_are_passed_over_and_counted(tmp_path: Path) -> None:
    other = bytes([5, 23]) + bytes(18)
    data = dbn_bytes(BOOK) + other + bytes(record("A", "B", 9, 99, 1, at=9)) + other
    reader = read_databento(write(tmp_path, data))
    assert len(rows(reader)) == len(BOOK) + 1
    assert reader.counters == {"other_records": 2}


TWO = [
    record("A", "B", 1, 100, 5),
    record("A", "B", 1, 200, 6, instrument_id=9),
    record("A", "B", 2, 100, 7, at=1),
]


@pytest.mark.parametrize("form", ["dbn", "csv", "csv without symbols"])
def test_one_of_several_instruments_must_be_chosen(tmp_path: Path, form: str) -> None:
    data = dbn_bytes(TWO, {"ESH1": 5482, "ESM1": 9})
    if form != "dbn":
        data = csv_bytes(data, pretty=True, symbols=form == "csv")
    path = write(tmp_path, data)
    names = "5482, 9" if form == "csv without symbols" else "ESH1, ESM1"
    with pytest.raises(BadFile, match=f"expected one instrument, found {names}: choose"):
        read_databento(path)
    if form != "csv without symbols":
        assert [row["price"] for row in rows(read_databento(path, symbol="ESM1"))[1:]] == [200]
        with pytest.raises(BadFile, match="expected ESZ1, found ESH1, ESM1"):
            read_databento(path, symbol="ESZ1")
    reader = read_databento(path, instrument_id=5482)
    assert [row["size"] for row in rows(reader)[1:]] == [5, 7]
    assert reader.counters["other_instruments"] == 1


def test_one_instrument_needs_no_choice_though_more_were_asked_for(tmp_path: Path) -> None:
    reader = read_databento(write(tmp_path, dbn_bytes(BOOK, {"ESH1": 5482, "ESM1": 9})))
    assert reader.symbol == "ESH1"
    unnamed = read_databento(write(tmp_path, dbn_bytes(BOOK, {}), "live.dbn"))
    assert (unnamed.symbol, len(rows(unnamed))) == (None, len(BOOK))


def test_a_file_without_records_of_the_instrument_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, dbn_bytes([record("A", "B", 1, 1, 1)]))
    with pytest.raises(BadFile, match="expected MBO records of the instrument, found none"):
        list(read_databento(path, instrument_id=1))


def test_dbz_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, b"P*M\x18" + bytes(60), "mbo.dbz")
    with pytest.raises(BadFile, match="expected DBN or CSV, found DBZ") as caught:
        read_databento(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (0, "empty file"),
        (30, "whole DBN metadata"),
        (-20, "byte 528: expected a whole record, found only its first 36 bytes"),
    ],
)
def test_a_truncated_dbn_file_is_refused_with_its_byte(tmp_path: Path, cut: int, says: str) -> None:
    data = dbn_bytes(BOOK)
    with pytest.raises(BadFile, match=says):
        list(read_databento(write(tmp_path, data[:cut])))


def test_a_truncated_or_damaged_zstd_file_is_refused(tmp_path: Path) -> None:
    data = packed(dbn_bytes(FLOW))
    with pytest.raises(BadFile, match="cut off"):
        list(read_databento(write(tmp_path, data[:-10])))
    with pytest.raises(BadFile, match="zstd"):
        list(read_databento(write(tmp_path, data[:8] + bytes(len(data) - 8))))


def test_another_schema_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="columns of MBO, missing ts_recv"):
        read_databento(write(tmp_path, b"a,b\n1,2\n", "other.csv"))
    with pytest.raises(BadFile, match="byte 472: expected the length of a record, found 0 bytes"):
        list(read_databento(write(tmp_path, dbn_bytes(BOOK[:2]) + bytes(112))))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x,1,160,1,5482,A,B,1,1,0,1,128,0,0,ESH1", "uint64"),
        ("1,1,160,1,5482,A,B,1,1,0,1,128", "Expected 15 columns, got 12"),
        ("1,1,160,1,5482,A,B,1.5,1,0,1,128,0,0,ESH1", "a price in units of 1e-9 .* found '1.5'"),
        ("1,1,160,1,5482,A,B,1,,0,1,128,0,0,ESH1", "expected a value as size, found none"),
    ],
)
def test_a_malformed_csv_line_is_refused(tmp_path: Path, line: str, says: str) -> None:
    text = csv_bytes(dbn_bytes(BOOK), pretty=False).decode() + line + "\n"
    with pytest.raises(BadFile, match=f"line 6: .*{says}") as caught:
        list(read_databento(write(tmp_path, text.encode(), "mbo.csv")))
    assert "\n" not in str(caught.value)


def test_databentos_own_files_read_alike_in_all_versions(shared: Path) -> None:
    folder = shared / "data" / "databento_dbn"
    names = ["mbo.dbn", "mbo.v1.dbn.zst", "mbo.v2.dbn.zst", "mbo.v3.dbn", "mbo.v3.dbn.zst"]
    first, *others = [rows(read_databento(folder / f"test_data.{name}")) for name in names]
    assert all(other == first for other in others)
    assert [(row["kind"], row["order_id"], row["price"]) for row in first[1:]] == [
        (EventKind.DONE, "647784973705", Decimal("3722.75")),
        (EventKind.DONE, "647784973631", Decimal("3723")),
    ]
    with pytest.raises(BadFile, match="DBZ"):
        read_databento(folder / "test_data.mbo.dbz")
