"""LOBSTER files become the book that their orderbook file shows."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from ordertape._engine import OrderBook
from ordertape.errors import BadFile
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.tape.lobster import ANONYMOUS_ID_BASE, LobsterReader, read_lobster
from support.lobster import MESSAGES, NAME, NO_ASK, NO_BID, books_after_messages, files

BOOKS = [  # best ask, best bid, second ask, second bid after each message
    f"5854000,100,5853300,18,{NO_ASK},5853000,150",
    "5853400,10,5853300,18,5854000,100,5853000,150",
    "5853400,6,5853300,18,5854000,100,5853000,150",
    "5853400,6,5853300,10,5854000,100,5853000,150",
    "5853400,6,5853300,10,5854000,100,5853000,110",
    "5853400,6,5853300,10,5854000,100,5853000,50",
    "5853400,6,5853300,10,5854000,100,5853000,50",
    f"5854000,100,5853300,10,{NO_ASK},5853000,50",
    f"5854000,100,5853300,10,{NO_ASK},5853000,50",
    f"5854000,100,5853300,10,{NO_ASK},5853000,50",
    f"5854000,75,5853300,10,{NO_ASK},5853000,50",
    f"5854000,75,5853300,10,{NO_ASK},5853000,50",
    f"5854000,75,5853000,50,{NO_ASK},{NO_BID}",
]


def rows(reader: LobsterReader) -> list[dict[str, object]]:
    return [batch[i] for batch in reader for i in range(len(batch))]


def test_each_message_gives_the_orderbook_files_line(tmp_path: Path) -> None:
    reader = read_lobster(*files(tmp_path))
    lines = books_after_messages(list(reader), 2)
    for number, expected in enumerate(BOOKS, 1):
        assert lines.get(number, expected) == expected, number
    assert set(range(1, 14)) - set(lines) == {9, 12}
    assert reader.counters == {"anonymous_orders": 2, "halts": 1, "orders_outside_start": 1}


def test_the_tape_begins_with_a_clear_and_anonymous_orders_without_message_1(
    tmp_path: Path,
) -> None:
    clear, *snapshot = rows(read_lobster(*files(tmp_path)))[:4]
    assert (clear["kind"], clear["seq"], clear["price"], clear["order_id"]) == (5, 1, None, None)
    assert [(row["side"], row["price"], row["size"]) for row in snapshot[:2]] == [
        (Side.BID, Decimal("585.3"), 150),
        (Side.ASK, Decimal("585.4"), 100),
    ]
    assert [row["seq"] for row in snapshot] == [1, 1, 2]
    assert [row["order_id"] for row in snapshot[:2]] == [
        str(ANONYMOUS_ID_BASE),
        str(ANONYMOUS_ID_BASE + 1),
    ]
    placed = Flag.SNAPSHOT | Flag.PLACE_ASSUMED
    assert [row["flags"] for row in snapshot] == [placed, placed | Flag.LAST, Flag.LAST]


def test_kinds_reasons_and_sides_follow_the_contract(tmp_path: Path) -> None:
    found = [
        tuple(row[name] for name in ("kind", "side", "reason", "order_id", "size", "taker_side"))
        for row in rows(read_lobster(*files(tmp_path)))[3:]
    ]
    bid, ask = int(Side.BID), int(Side.ASK)
    bids_below = str(ANONYMOUS_ID_BASE)
    assert found == [
        (EventKind.OPEN, bid, 0, "101", 18, None),
        (EventKind.OPEN, ask, 0, "102", 10, None),
        (EventKind.MATCH, ask, 0, "102", 4, bid),
        (EventKind.CHANGE, bid, Reason.CANCELED, "101", 10, None),
        (EventKind.CHANGE, bid, Reason.CANCELED, bids_below, 110, None),
        (EventKind.MATCH, bid, 0, bids_below, 60, ask),
        (EventKind.TRADE, bid, 0, None, 7, ask),
        (EventKind.MATCH, ask, 0, "102", 6, bid),
        (EventKind.DONE, ask, Reason.FILLED, "102", 0, None),
        (EventKind.TRADE, None, 0, None, 500, None),
        (EventKind.CHANGE, ask, Reason.CANCELED, str(ANONYMOUS_ID_BASE + 1), 75, None),
        (EventKind.DONE, bid, Reason.CANCELED, "101", 10, None),
    ]


@pytest.mark.parametrize(
    ("day", "second", "expected"),
    [
        ("2012-06-21", "34200.004241176", 1340285400004241176),  # UTC-4
        ("2012-01-20", "34200.000000001", 1327069800000000001),  # UTC-5
        ("2012-03-11", "34200", 1331472600000000000),  # the day the clocks went forward
        ("2012-11-04", "34200.5", 1352039400500000000),  # the day they went back
    ],
)
def test_times_are_new_yorks_to_the_nanosecond(
    tmp_path: Path, day: str, second: str, expected: int
) -> None:
    path = tmp_path / "message.csv"
    path.write_text(f"{second},1,5,1,10000,1\n")
    opened = rows(read_lobster(path, date=day))[-1]
    assert (opened["ts_event"], opened["ts_recv"]) == (expected, expected)


def test_digits_past_the_ninth_are_rounded_away_and_counted(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}_message_1.csv"
    path.write_text("35821.088778456004,1,1,1,1,1\n35821.088778456996,1,2,1,1,1\n")
    reader = read_lobster(path)
    first, second = rows(reader)[1:]
    assert (second["ts_event"], first["ts_event"]) == (1340287021088778457, 1340287021088778456)
    assert reader.counters["rounded_times"] == 2


def test_receive_times_never_decrease(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}_message_1.csv"
    path.write_text("34200.5,1,1,1,1,1\n34200.4,1,2,1,1,1\n")
    _, first, second = rows(read_lobster(path))
    assert second["ts_recv"] == first["ts_recv"]
    assert second["ts_event"] < first["ts_event"]


def test_an_execution_beyond_the_anonymous_size_is_a_trade_for_the_rest(tmp_path: Path) -> None:
    messages = "34200.0,1,1,1,100,1\n34200.1,4,2,7,90,1\n34200.2,4,3,7,80,1\n"
    reader = read_lobster(*files(tmp_path, messages, f"{NO_ASK},100,1,{NO_ASK},90,5\n"))
    found = [(row["kind"], row["size"]) for row in rows(reader)[3:]]
    assert found == [(3, 5), (4, 0), (7, 2), (7, 7)]
    assert reader.counters["orders_outside_start"] == 2


def test_without_an_orderbook_file_the_book_starts_empty(tmp_path: Path) -> None:
    messages, _ = files(tmp_path)
    clear, opened = rows(read_lobster(messages))[:2]
    assert (clear["kind"], clear["flags"]) == (EventKind.CLEAR, Flag.LAST)
    assert (opened["order_id"], opened["seq"]) == ("101", 2)


def test_gzip_blank_lines_windows_line_ends_and_further_columns_are_read(tmp_path: Path) -> None:
    plain = rows(read_lobster(files(tmp_path)[0]))
    text = MESSAGES.replace("\n", ",null\r\n").replace("34200.3,", "\r\n34200.3,")
    packed = tmp_path / f"{NAME}_message_2.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()) + gzip.compress(b"\n"))
    reader = read_lobster(packed)
    assert rows(reader) == plain
    assert reader.bytes_read == reader.bytes_total == packed.stat().st_size


def test_what_comes_out_does_not_depend_on_how_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(read_lobster(*files(tmp_path)))
    monkeypatch.setattr("ordertape.tape.foreign._READ_BYTES", 7)
    monkeypatch.setattr("ordertape.tape.foreign._TEXT_BLOCK_BYTES", 50)
    batches = list(read_lobster(*files(tmp_path)))
    assert len(batches) > 3
    assert [batch[i] for batch in batches for i in range(len(batch))] == whole


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("34200.1,1,102,10,5853400", "expected time, type, order id, size, price, direction"),
        ("34200.1,1,102,ten,5853400,-1", "expected an integer below 2^63 as size, found"),
        ("34200,1x,1,102,10,5853400,-1", "expected an integer below 2^63 as type"),
        ("noon,1,102,10,5853400,-1", "expected a time in seconds after midnight"),
        ("34200.123456789012345,1,102,10,5853400,-1", "at most 14 decimals"),
        ("34200.1,1,102,0,5853400,-1", "expected a size and a price above 0"),
        ("34200.1,1,102,10,5853400,0", "a direction of 1 or -1"),
        ("34200.1,1,9223372036854775808,10,5853400,1", "below 2^63 as order id"),
    ],
)
def test_a_malformed_line_is_named_with_what_was_expected(
    tmp_path: Path, line: str, says: str
) -> None:
    messages, _ = files(tmp_path, f"{MESSAGES}\n{line}\n{MESSAGES}")
    with pytest.raises(BadFile) as caught:
        list(read_lobster(messages))
    assert f"{messages}, line 15: " in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_off_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}_message_2.csv.gz"
    path.write_bytes(gzip.compress(MESSAGES.encode())[:-9])
    with pytest.raises(BadFile, match="cut off"):
        list(read_lobster(path))


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(MESSAGES.encode()))
    packed[40] ^= 0xFF
    path = tmp_path / f"{NAME}_message_2.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(BadFile, match=r"gzip|line"):
        list(read_lobster(path))


def test_missing_and_empty_files_and_missing_dates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        read_lobster(tmp_path / f"{NAME}_message_2.csv")
    empty, _ = files(tmp_path, "")
    with pytest.raises(BadFile, match="empty"):
        list(read_lobster(empty))
    undated = tmp_path / "message.csv"
    undated.write_text(MESSAGES)
    with pytest.raises(BadFile, match="date"):
        read_lobster(undated)
    with pytest.raises(BadFile, match="YYYY-MM-DD"):
        read_lobster(undated, date="June")


def test_an_orderbook_that_is_not_the_book_after_message_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="added 18 at price 5853300, found 5 there"):
        list(read_lobster(*files(tmp_path, book="5854000,100,5853300,5\n")))
    with pytest.raises(BadFile, match="groups of four"):
        list(read_lobster(*files(tmp_path, book="5854000,100,5853300\n")))
    messages, book = files(tmp_path)
    other = book.rename(tmp_path / "TEST_2012-06-22_34200000_57600000_orderbook_2.csv")
    with pytest.raises(BadFile, match="expected the book of 2012-06-21, found that of 2012-06-22"):
        read_lobster(messages, other)


def test_the_real_file_gives_999_of_999_orderbook_lines(shared: Path) -> None:
    folder = shared / "data" / "lobster_aapl_2012"
    name = "AAPL_2012-06-21"
    messages = folder / f"{name}_34200000_37800000_message_50.csv.gz"
    book = folder / f"{name}_first999_orderbook_10.csv"
    if not messages.exists() or not book.exists():
        pytest.skip(f"no LOBSTER recording in {folder}")
    few = (folder / f"{name}_first999_message_10.csv").read_text().splitlines()
    with gzip.open(messages, "rt") as file:
        numbered = iter(enumerate((line.strip() for line in file), 1))
        numbers = [next(number for number, line in numbered if line == wanted) for wanted in few]
    reader = read_lobster(messages, book)
    lines = books_after_messages([next(reader)[: numbers[-1] + 1000]], 10)
    expected = book.read_text().splitlines()
    latest = [0]  # the message up to n that last was an event
    for number in range(1, numbers[-1] + 1):
        latest.append(number if number in lines else latest[-1])
    equal = sum(lines[latest[n]] == line for n, line in zip(numbers, expected, strict=True))
    assert (equal, len(few)) == (999, 999)


def test_the_real_file_is_read_whole_without_a_fault(shared: Path) -> None:
    folder = shared / "data" / "lobster_aapl_2012"
    reader = read_lobster(
        folder / "AAPL_2012-06-21_34200000_37800000_message_50.csv.gz",
        folder / "AAPL_2012-06-21_first999_orderbook_10.csv",
    )
    book, counts = OrderBook(), [0] * 8
    for batch in reader:
        assert book.apply(batch).faults == 0
        counts = [a + b for a, b in zip(counts, batch.counts(), strict=True)]
    assert counts[EventKind.OPEN] == 44256
    assert counts[EventKind.MATCH] == 4067
    assert counts[EventKind.TRADE] == 2201
    assert reader.counters["anonymous_orders"] == 19
    book.check()
