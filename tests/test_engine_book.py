"""The book: what each kind does, what can be read, what proves it."""

from __future__ import annotations

import json
import random
import re
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape._engine import BatchBuilder, EventBatch, IdCodec, OrderBook
from ordertape.errors import BookCorrupt, IdRefused
from ordertape.events import ApplyResult, EventKind, Flag, Side
from support.blake3 import blake3
from support.naive_book import NaiveBook, javascript_text

BID, ASK = Side.BID, Side.ASK
OPEN, CHANGE, MATCH, DONE = EventKind.OPEN, EventKind.CHANGE, EventKind.MATCH, EventKind.DONE
CLEAR, EVICT, TRADE = EventKind.CLEAR, EventKind.EVICT, EventKind.TRADE


def queue_of(book: OrderBook, price: str = "10", side: int | None = None) -> list[tuple[str, int]]:
    return [(name, int(size)) for name, size in book.queue(price, side)]


@pytest.fixture
def book() -> OrderBook:
    """Three bids of 5 at 10, and asks at 11 and 12."""
    book = OrderBook()
    for name in "abc":
        assert book.apply_one(OPEN, BID, name, "10", "5") == ApplyResult.APPLIED
    book.apply_one(OPEN, ASK, "x", "11", "1")
    book.apply_one(OPEN, ASK, "y", "12", "2")
    return book


# What each kind does -----------------------------------------------------------------------------


def test_an_order_opens_at_the_tail(book: OrderBook) -> None:
    book.apply_one(OPEN, BID, "d", "10", "1")
    assert queue_of(book) == [("a", 5), ("b", 5), ("c", 5), ("d", 1)]


def test_a_smaller_size_keeps_its_place_and_a_larger_one_loses_it(book: OrderBook) -> None:
    book.apply_one(CHANGE, BID, "a", "10", "4")
    assert queue_of(book) == [("a", 4), ("b", 5), ("c", 5)]
    book.apply_one(CHANGE, BID, "a", "10", "4")
    assert queue_of(book) == [("a", 4), ("b", 5), ("c", 5)]
    book.apply_one(CHANGE, BID, "a", None, "6")
    assert queue_of(book) == [("b", 5), ("c", 5), ("a", 6)]


def test_a_changed_price_goes_to_the_tail_of_its_new_level(book: OrderBook) -> None:
    book.apply_one(OPEN, BID, "d", "9", "1")
    book.apply_one(CHANGE, BID, "a", "9", "2")
    assert queue_of(book, "9") == [("d", 1), ("a", 2)]
    assert queue_of(book) == [("b", 5), ("c", 5)]


def test_a_changed_side_goes_there(book: OrderBook) -> None:
    book.apply_one(CHANGE, ASK, "b", "10", "5")
    assert queue_of(book, side=ASK) == [("b", 5)]
    assert queue_of(book, side=BID) == [("a", 5), ("c", 5)]
    assert queue_of(book) == [("a", 5), ("c", 5), ("b", 5)]
    assert book.crossed
    assert book.totals()[:2] == (2, 3)


def test_a_change_to_nothing_ends_the_order(book: OrderBook) -> None:
    assert book.apply_one(CHANGE, BID, "a", "10", "0") == ApplyResult.APPLIED
    assert "a" not in book


def test_a_match_reduces_its_maker_in_place_and_ends_it_at_nothing(book: OrderBook) -> None:
    book.apply_one(MATCH, BID, "b", "10", "3")
    assert queue_of(book) == [("a", 5), ("b", 2), ("c", 5)]
    book.apply_one(MATCH, BID, "b", "10", "0")
    assert queue_of(book)[1] == ("b", 2)
    assert book.apply_one(MATCH, BID, "b", "10", "2") == ApplyResult.APPLIED
    assert "b" not in book
    assert book.apply_one(DONE, BID, "b", "10", "0") == ApplyResult.APPLIED


def test_a_match_of_more_than_there_is_takes_what_there_is(book: OrderBook) -> None:
    assert book.apply_one(MATCH, BID, "b", "10", "5.5") == ApplyResult.OVERFILL
    assert "b" not in book


@pytest.mark.parametrize("kind", [DONE, EVICT])
def test_done_and_evict_take_the_order_out(book: OrderBook, kind: EventKind) -> None:
    assert book.apply_one(kind, BID, "b", "10", "5") == ApplyResult.APPLIED
    assert queue_of(book) == [("a", 5), ("c", 5)]
    assert book.apply_one(kind, BID, "b", "10", "5") == ApplyResult.UNKNOWN_ID


def test_an_evict_of_nothing_left_of_an_unknown_order_is_a_fault(book: OrderBook) -> None:
    assert book.apply_one(EVICT, BID, "z", "10", "0") == ApplyResult.UNKNOWN_ID


def test_a_trade_touches_nothing(book: OrderBook) -> None:
    before = book.digest()
    assert book.apply_one(TRADE, ASK, None, "11", "1") == ApplyResult.APPLIED
    assert book.apply_one(TRADE, None, "x", "11", "1") == ApplyResult.APPLIED
    assert book.digest() == before


def test_a_clear_begins_an_era(book: OrderBook) -> None:
    assert book.era == 0
    assert book.apply_one(CLEAR, None, None, None, None) == ApplyResult.APPLIED
    assert (len(book), book.era, book.best(), book.levels) == (0, 1, (None, None), (0, 0))
    assert book.digest() == OrderBook().digest()
    book.apply_one(OPEN, BID, "a", "10", "1")
    book.check()


def test_an_order_opened_twice_is_the_newer_statement_and_a_fault(book: OrderBook) -> None:
    assert book.apply_one(OPEN, ASK, "a", "13", "7") == ApplyResult.DUPLICATE_ID
    assert book.get("a") == (1, Decimal(13), Decimal(7))
    assert len(book) == 5
    book.check()


@pytest.mark.parametrize("size", ["0", "-1"])
def test_an_order_of_nothing_is_refused(book: OrderBook, size: str) -> None:
    assert book.apply_one(OPEN, BID, "d", "10", size) == ApplyResult.NEGATIVE
    assert book.apply_one(OPEN, BID, "a", "10", size) == ApplyResult.NEGATIVE
    assert book.get("a") == (0, Decimal(10), Decimal(5))


def test_a_negative_size_changes_nothing(book: OrderBook) -> None:
    before = book.digest()
    for kind in (CHANGE, MATCH):
        assert book.apply_one(kind, BID, "a", "10", "-1") == ApplyResult.NEGATIVE
        assert book.apply_one(kind, BID, "a", "10", None) == ApplyResult.NEGATIVE
    assert book.digest() == before


def test_a_negative_price_is_a_price() -> None:
    book = OrderBook()
    book.apply_one(OPEN, BID, "a", "-37.63", "1")
    book.apply_one(OPEN, ASK, "b", "-0.01", "1")
    book.apply_one(OPEN, BID, "c", "-40", "1")
    assert book.best() == (Decimal("-37.63"), Decimal("-0.01"))
    book.check()


@pytest.mark.parametrize("kind", [CHANGE, MATCH, DONE, EVICT])
def test_an_unknown_order_is_a_fault_and_nothing_else(book: OrderBook, kind: EventKind) -> None:
    before = book.digest()
    assert book.apply_one(kind, BID, "z", "10", "1") == ApplyResult.UNKNOWN_ID
    assert book.digest() == before


def test_crossed_counts_the_messages_that_end_so() -> None:
    book = OrderBook()
    builder = BatchBuilder()
    builder.add(OPEN, BID, "a", "10", "1", 1)
    builder.add(OPEN, ASK, "b", "10", "1", 1)  # crossed inside the message
    builder.add(DONE, ASK, "b", "10", "1", 1)
    assert book.apply(builder.finish(1)).crossed == 0
    builder.add(OPEN, ASK, "b", "10", "1", 1)
    assert book.apply(builder.finish(4)).crossed == 1
    assert book.crossed
    builder.add(OPEN, ASK, "c", "11", "1", 1)
    assert book.apply(builder.finish(5)).crossed == 1


def test_counters_say_what_a_batch_met() -> None:
    builder = BatchBuilder()
    for kind, name, size, flags in [
        (OPEN, "a", "5", 0), (OPEN, "a", "5", 0), (OPEN, "b", "0", 0), (MATCH, "a", "6", 0),
        (DONE, "z", "1", 0), (MATCH, "q", "1", Flag.LATE), (OPEN, "c", "1", 0),
    ]:  # fmt: skip
        builder.add(kind, BID, name, "10", size, 1, None, flags)
    book = OrderBook()
    first = book.apply(builder.finish(1))
    assert first.as_dict() == {
        "events": 7, "unknown_id": 1, "duplicate_id": 1, "negative": 1, "overflow": 0,
        "overfill": 1, "before_differs": 0, "late": 1, "crossed": 0,
    }  # fmt: skip
    assert first.faults == 4
    both = first + first
    assert {name: 2 * value for name, value in first.as_dict().items()} == both.as_dict()
    assert both.faults == 8
    assert (book.seq, len(book)) == (7, 1)


# Befores -----------------------------------------------------------------------------------------


def changes(**columns: Any) -> EventBatch:
    return EventBatch.from_arrays(
        **{
            "kind": [OPEN, CHANGE, CHANGE, CHANGE], "side": [BID] * 4, "order_id": list("aaaz"),
            "price": [100, 100, 110, 100], "size": [5, 4, 4, 4], "ts_recv": [1] * 4,
            "price_scale": 1, "size_scale": 0,
        }
        | columns
    )  # fmt: skip


def befores(batch: EventBatch) -> list[tuple[Any, Any]]:
    rows = [batch[n] for n in range(len(batch))]
    return [(row["price_before"], row["size_before"]) for row in rows]


def test_the_book_says_in_a_change_what_was_before_it() -> None:
    batch = changes()
    assert befores(batch) == [(None, None)] * 4
    assert OrderBook().apply(batch).before_differs == 0
    filled = [(None, None), (10, 5), (10, 4), (None, None)]
    assert befores(batch) == filled
    # At other scales of the book too.
    batch = changes()
    assert OrderBook(8, 8).apply(batch).before_differs == 0
    assert befores(batch) == filled


def test_a_before_that_the_batch_can_not_hold_stays_null() -> None:
    book = OrderBook()
    book.apply_one(OPEN, BID, "a", "10.05", "5.5")
    batch = changes()[1:]
    assert book.apply(batch).before_differs == 0
    assert befores(batch) == [(None, None), (10, 4), (None, None)]


def test_a_replay_counts_the_befores_that_it_finds_different() -> None:
    batch = changes()
    OrderBook().apply(batch)
    assert OrderBook().apply(batch).before_differs == 0
    assert OrderBook(8, 8).apply(batch).before_differs == 0
    null = -(2**63)
    told = [null, 100, 100, 7]
    wrong_price = changes(price_before=told, size_before=[null, 5, 5, 7])
    counters = OrderBook().apply(wrong_price)
    assert (counters.before_differs, counters.unknown_id, counters.faults) == (1, 1, 2)
    both_wrong = changes(price_before=[null, 9, 9, 9], size_before=[null, 9, 9, 9])
    assert OrderBook().apply(both_wrong).before_differs == 2
    # What was told is never written over.
    assert befores(both_wrong)[1] == (Decimal("0.9"), 9)


# Reads -------------------------------------------------------------------------------------------


def test_depth_is_best_first_with_sizes_and_counts(book: OrderBook) -> None:
    book.apply_one(OPEN, BID, "e", "9.5", "2")
    bids, asks = book.depth(10)
    assert bids == [(Decimal(10), Decimal(15), 3), (Decimal("9.5"), Decimal(2), 1)]
    assert asks == [(Decimal(11), Decimal(1), 1), (Decimal(12), Decimal(2), 1)]
    assert book.depth(1) == (bids[:1], asks[:1])
    assert book.depth(0) == ([], [])
    assert book.depth_scaled(1) == ([(100, 15, 3)], [(110, 1, 1)])
    assert book.best() == (10, 11)
    assert book.best_scaled() == (100, 110)
    assert book.levels == (2, 2)
    assert book.totals() == (4, 2, Decimal(17), Decimal(3))


def test_a_place_is_what_stands_ahead(book: OrderBook) -> None:
    assert [book.place(name) for name in "abcx"] == [(0, 0), (1, 5), (2, 10), (0, 0)]
    book.apply_one(DONE, BID, "a", "10", "5")
    assert book.place("c") == (1, 5)
    with pytest.raises(KeyError, match="no order a rests in this book"):
        book.place("a")


def test_orders_come_best_price_first_and_front_first(book: OrderBook) -> None:
    five = Decimal(5)
    assert book.orders(BID) == [(name, Decimal(10), five) for name in "abc"]
    assert book.orders(ASK, 1) == [("x", Decimal(11), Decimal(1))]
    assert book.get("x") == (ASK, Decimal(11), Decimal(1))
    assert book.get("q") is None
    assert "x" in book
    for side in (2, 255):
        with pytest.raises(ValueError, match=f"side {side}: expected 0"):
            book.orders(side)
        with pytest.raises(ValueError, match=f"side {side}: expected 0"):
            book.queue("10", side)


def test_a_price_that_no_level_can_have_has_an_empty_queue(book: OrderBook) -> None:
    for price in ("10.5", "1e-9", "99", Decimal("10.000000001"), 10**18, "1e30"):
        assert book.queue(price) == []
    assert OrderBook().queue("1") == OrderBook().queue(1) == []


def test_a_snapshot_brings_back_the_whole_book(book: OrderBook) -> None:
    batch = book.snapshot()
    assert batch.id_texts() == ["a", "b", "c", "x", "y"]
    rows = [batch[n] for n in range(5)]
    assert {row["seq"] for row in rows} == {book.seq}
    assert [row["flags"] for row in rows] == [9, 9, 9, 9, 11]
    for other in (OrderBook(), OrderBook(8, 8, "ascii"), OrderBook(codec="intern")):
        other.apply_one(OPEN, BID, "gone", "1", "1")
        other.restore(batch, 3)
        assert [other.orders(side) for side in Side] == [book.orders(side) for side in Side]
        # The digest is over keys, which a dictionary gives out in the order it meets ids.
        assert (other.digest() == book.digest()) == (other.codec.spec == "ascii")
        assert other.depth(9) == book.depth(9)
        assert (other.era, other.seq, other.ts_recv) == (3, 5, 0)
        other.check()
        other.restore(batch, era=4, seq=77, ts_recv=88)
        assert (other.era, other.seq, other.ts_recv) == (4, 77, 88)
    empty = OrderBook()
    assert len(empty.snapshot()) == 0
    empty.restore(empty.snapshot(), 1, 5, 6)
    assert (len(empty), empty.seq, empty.ts_recv) == (0, 5, 6)


def test_no_half_of_a_bad_snapshot_passes_for_a_book(book: OrderBook) -> None:
    columns = {"side": [BID] * 2, "price": [1, 1], "ts_recv": [1, 1], "price_scale": 0}
    columns |= {"kind": [OPEN] * 2, "order_id": ["a", "b"], "size": [1, 1], "size_scale": 0}
    for bad in ({"order_id": ["a", "a"]}, {"size": [1, 0]}, {"size": [1, -5]}):
        with pytest.raises(BookCorrupt, match="names an order twice or holds an impossible number"):
            book.restore(EventBatch.from_arrays(**columns | bad), 1)
        assert len(book) == 0
        book.check()
    book.apply_one(OPEN, BID, "a", "1", "1")
    done = EventBatch.from_arrays(**columns | {"kind": [OPEN, DONE]})
    with pytest.raises(ValueError, match="all of them OPEN"):
        book.restore(done, 1)
    assert len(book) == 1


def test_an_apply_says_where_the_book_stands() -> None:
    book = OrderBook()
    assert (book.seq, book.ts_recv, book.era) == (0, 0, 0)
    book.apply(changes(seq=[7, 8, 9, 10], ts_recv=[4, 5, 6, 7]))
    assert (book.seq, book.ts_recv) == (10, 7)
    book.apply_one(DONE, BID, "a", "1", "1")
    assert (book.seq, book.ts_recv) == (11, 7)
    book.era = 5
    book.apply_one(CLEAR, None, None, None, None)
    assert book.era == 6


# The digest --------------------------------------------------------------------------------------


def expected_digest(naive: NaiveBook, codec: IdCodec) -> str:
    data = b"ordertape book 1"
    for side, name, price, size in naive.rows():
        data += bytes([side]) + codec.encode(name)
        for number in (price, size):
            scale = max(0, -int(Decimal(number).normalize().as_tuple().exponent))
            data += int(Decimal(number).scaleb(scale)).to_bytes(8, "little", signed=True)
            data += bytes([scale])
    return blake3(data)


def test_the_digest_is_what_its_description_says() -> None:
    book, naive = OrderBook(), NaiveBook()
    for n, (price, size) in enumerate([("10", "5"), ("9.5", "0.001"), ("10", "7"), ("-3", "1e9")]):
        for side in (BID, ASK):
            name = f"{n}-{side}"
            book.apply_one(OPEN, side, name, price, size)
            naive.apply(OPEN, side, name, Decimal(price), Decimal(size))
            assert book.digest() == expected_digest(naive, book.codec)
    assert OrderBook().digest() == blake3(b"ordertape book 1")


def test_the_digest_is_the_one_that_tapes_have() -> None:
    """Tapes keep it: were it ever to change, none of them would verify."""
    book, naive = OrderBook(codec="int"), NaiveBook()
    for n in range(10):
        price, size = f"{100 + n % 2 * 10 + n // 4}.50", f"0.{n + 1}0"
        book.apply_one(OPEN, n % 2, 1000 + n, price, size)
        naive.apply(OPEN, n % 2, str(1000 + n), Decimal(price), Decimal(size))
    assert book.digest() == "a2de947ceb596d6c344ed1c06bcbe6c9"
    assert book.digest() == expected_digest(naive, book.codec)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 99)), min_size=1, max_size=12))
def test_the_digest_is_equal_at_every_scale(orders: list[tuple[int, int]]) -> None:
    books = [OrderBook(2, 1), OrderBook(8, 8), OrderBook(13, 15), OrderBook()]
    for n, (price, size) in enumerate(orders):
        for book in books:
            book.apply_one(OPEN, n % 2, str(n), f"{price}.50", f"{size}.0")
    assert len({book.digest() for book in books}) == 1
    books[0].apply_one(OPEN, BID, "finer", "1e-12", "1e-9")
    books[0].apply_one(DONE, BID, "finer", "1e-12", "1e-9")
    assert books[0].price_scale == 12
    assert len({book.digest() for book in books}) == 1


def test_the_digest_differs_by_id_side_price_size_and_place() -> None:
    def digest(*orders: tuple[Any, ...]) -> str:
        book = OrderBook(codec="ascii")
        for order in orders:
            assert book.apply_one(OPEN, *order) == 0
        return book.digest()

    a, b = (BID, "a", "10", "5"), (BID, "b", "10", "5")
    variants = [
        (a, b), (b, a), (a,), (b,), (), ((ASK, "a", "10", "5"), b), ((BID, "a", "10.1", "5"), b),
        ((BID, "a", "10", "5.1"), b), ((BID, "a", "100", "5"), b), ((BID, "a", "10", "50"), b),
        ((BID, "a", "1", "5"), b), ((BID, "c", "10", "5"), b),
    ]  # fmt: skip
    assert len({digest(*orders) for orders in variants}) == len(variants)


@given(st.integers(2, 8), st.data())
def test_any_swap_in_a_queue_changes_the_digest(rows: int, data: st.DataObject) -> None:
    names = [f"n{n}" for n in range(rows)]
    first = data.draw(st.integers(0, rows - 2))
    second = data.draw(st.integers(first + 1, rows - 1))
    swapped = names.copy()
    swapped[first], swapped[second] = swapped[second], swapped[first]
    digests = []
    for queue in (names, swapped):
        book = OrderBook()
        for name in queue:
            book.apply_one(OPEN, ASK, name, "10", "5")
        digests.append(book.digest())
    assert digests[0] != digests[1]


def test_the_digest_does_not_depend_on_how_a_book_came_about() -> None:
    book, other = OrderBook(), OrderBook()
    for name in "abcdef":
        book.apply_one(OPEN, BID, name, "10", "5")
    for name in "ace":
        book.apply_one(DONE, BID, name, "10", "5")
    for name in "bdf":
        other.apply_one(OPEN, BID, name, "10.00", "5.000")
    assert book.digest() == other.digest()


# Bitfinex's checksum -----------------------------------------------------------------------------


def test_the_checksum_text_takes_bids_and_asks_in_turn() -> None:
    book = OrderBook()
    for order_id, price, amount in ((100, 6000, 1), (101, 6000, 2)):
        book.apply_one(OPEN, BID, order_id, str(price), str(amount))
    for order_id, price, amount in ((102, 6100, 3), (103, 6100, 4)):
        book.apply_one(OPEN, ASK, order_id, str(price), str(amount))
    assert book.top_text() == "100:1:102:-3:101:2:103:-4"
    assert book.top_crc32() == 1841538801
    assert book.top_text(1) == "100:1:102:-3"
    assert book.top_text(0) == ""
    assert book.top_text(2**63) == book.top_text()
    book.apply_one(OPEN, BID, 99, "5999.5", "7e-7")
    assert book.top_text() == "100:1:102:-3:101:2:103:-4:99:7e-7"


def test_ids_inside_a_price_are_in_numeric_order() -> None:
    book = OrderBook(codec="int")
    for order_id in (1000, 9, 30):
        book.apply_one(OPEN, BID, order_id, "10", "1")
    assert book.top_text() == "9:1:30:1:1000:1"
    assert book.top_text(2) == "9:1:30:1"
    # The checksum's order, not the queue's.
    assert [name for name, _ in book.queue("10")] == ["1000", "9", "30"]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 10**12), st.booleans()), max_size=40))
def test_the_checksum_text_is_the_naive_one(orders: list[tuple[int, int, bool]]) -> None:
    book, naive = OrderBook(codec="int"), NaiveBook()
    for n, (price, size, is_bid) in enumerate(orders):
        order_id, amount = n * 7919 % 1009, Decimal(size).scaleb(-8)
        side = BID if is_bid else ASK
        book.apply_one(OPEN, side, order_id, str(price), amount)
        naive.apply(OPEN, side, order_id, price, amount)
    for top in (1, 3, 25):
        text = naive.top_text(top)
        assert book.top_text(top) == text
        assert book.top_crc32(top) & 0xFFFFFFFF == zlib.crc32(text.encode())
        assert -(2**31) <= book.top_crc32(top) < 2**31


def test_an_id_of_any_length_is_in_the_checksum_text() -> None:
    book = OrderBook(codec="intern")
    names = ["n" * length for length in (1, 300, 60, 61, 62, 63, 64, 65, 5)]
    for size, name in enumerate(names, start=1):
        book.apply_one(OPEN, BID, name, "10", str(size))
    for _ in range(2):
        assert book.top_text() == ":".join(f"{name}:{n}" for n, name in enumerate(names, start=1))
        assert book.top_text(2) == f"n:1:{'n' * 300}:2"


def test_the_checksum_text_follows_more_orders_than_it_keeps() -> None:
    book, naive = OrderBook(codec="int"), NaiveBook()
    for n in range(700):
        book.apply_one(OPEN, n % 2, n, str(n % 13), "1.5")
        naive.apply(OPEN, n % 2, n, n % 13, Decimal("1.5"))
    for n in range(0, 700, 3):
        assert book.top_text(400) == naive.top_text(400) or n % 30
        book.apply_one(CHANGE, n % 2, n, None, "0.5")
        naive.apply(CHANGE, n % 2, n, None, Decimal("0.5"))
    book.apply_one(OPEN, BID, 9999, "14", "1e-9")  # another scale of sizes
    naive.apply(OPEN, BID, 9999, 14, Decimal("1e-9"))
    assert book.top_text(400) == naive.top_text(400)


@given(st.integers(1, 2**63 - 1), st.integers(0, 18))
def test_a_size_is_written_as_javascript_prints_it(size: int, scale: int) -> None:
    book = OrderBook(0, scale, "int")
    book.apply_one(OPEN, BID, 1, 1, size)
    assert book.top_text() == f"1:{javascript_text(Decimal(size).scaleb(-scale))}"


def test_the_checksum_of_a_recorded_raw_book_is_the_one_known(shared: Path) -> None:
    text = (shared / "data/bitfinex_r0_2022/raw_book_capture.txt").read_text()
    rows = json.loads(re.search(r"^(?:< )?\[\d+,(\[\[.*\]\])\]$", text, re.M)[1], parse_float=str)
    book = OrderBook(codec="int")
    for order_id, price, amount in rows:
        side = ASK if str(amount).startswith("-") else BID
        book.apply_one(OPEN, side, order_id, str(price), str(amount).lstrip("-"))
    top = book.top_text()
    assert top.startswith("86143757311:0.24:86143760254:-0.05:86143768647:0.00006183:")
    assert top.endswith(":86143760382:0.180088:86143747320:-0.1")
    assert book.top_crc32() == 2086766977


def test_the_venues_own_checksum_over_tiny_numbers_is_met(shared: Path) -> None:
    """A P0 book has the price where a raw book has the id; the number texts are the same."""
    lines = (shared / "data/bitfinex_small/go_P0_book_with_cs.jsonl").read_text().splitlines()
    snapshot, update, checksum = (json.loads(line, parse_float=str) for line in lines if line)
    book = OrderBook(codec="ascii")
    for price, _, amount in [*snapshot[1], update[1]]:
        text = javascript_text(Decimal(price))
        if text in book:
            book.apply_one(CHANGE, BID, text, None, str(amount))
            continue
        side = ASK if str(amount).startswith("-") else BID
        book.apply_one(OPEN, side, text, str(price), str(amount).lstrip("-"))
    assert ":7e-7:10000:" in book.top_text()
    assert book.top_crc32() == checksum[2]


# Ids ---------------------------------------------------------------------------------------------


def test_an_order_without_an_id_is_refused(book: OrderBook) -> None:
    with pytest.raises(ValueError, match="an OPEN without its order id"):
        book.apply_one(OPEN, BID, None, "1", "1")
    with pytest.raises(IdRefused):
        book.apply_one(OPEN, BID, b"\xff", "1", "1")
    assert len(book) == 5
    assert book.apply_one(DONE, BID, None, "1", "1") == ApplyResult.UNKNOWN_ID


@pytest.mark.parametrize(("kind", "side"), [(0, 0), (8, 0), (1, 2), (1, None), (4, 255), (2, None)])
def test_an_unknown_kind_or_side_is_refused(book: OrderBook, kind: int, side: int | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        book.apply_one(kind, side, "q", "1", "1")
    assert len(book) == 5


def test_a_book_of_many_prices_keeps_them_in_order() -> None:
    """Far more levels than a chunk of the ladder holds, added and taken in any order."""
    shuffled = random.Random(7)
    prices = list(range(1, 5001))
    shuffled.shuffle(prices)
    book = OrderBook(0, 0, "int")
    for price in prices:
        book.apply_one(OPEN, BID, price, price, 1)
        book.apply_one(OPEN, ASK, price + 10_000, price + 10_000, 1)
    book.check()
    assert [price for price, _, _ in book.depth_scaled(9999)[0]] == sorted(prices, reverse=True)
    shuffled.shuffle(prices)
    for n, price in enumerate(prices):
        book.apply_one(DONE, BID, price, price, 1)
        if n % 499 == 0:
            book.check()
            assert book.best_scaled()[0] == max(prices[n + 1 :])
    assert book.levels == (0, 5000)
    book.check()
