"""The window resolver: statements become events that make a second book the same."""

from __future__ import annotations

import gc
import weakref
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import OrderBook, WindowResolver
from ordertape.errors import NumberRefused
from ordertape.events import Flag, Reason, Side
from support.naive_book import NaiveBook
from support.window import (
    CHANGE,
    CLEAR,
    DONE,
    EVICT,
    HORIZON_NS,
    INFERRED,
    LATE,
    LEFT,
    MATCH,
    OPEN,
    TRADE,
    Bench,
    Row,
    fill,
    row_of,
)

# One thing at a time -----------------------------------------------------------------------------


def test_a_snapshot_is_a_clear_and_state() -> None:
    bench = Bench()
    bench.clear()
    bench.put(7, 100, 5)
    bench.put(8, 101, -6)
    assert bench.window.pending == 3
    state = Flag.SNAPSHOT | Flag.PLACE_ASSUMED
    assert bench.commit() == [
        Row(CLEAR, None, None, None),
        Row(OPEN, "7", 100, 5, 0, state),
        Row(OPEN, "8", 101, 6, 0, state),
    ]
    assert (bench.book.era, bench.next_seq) == (1, 2)
    bench.clear()
    assert bench.commit() == [Row(CLEAR, None, None, None)]
    assert (bench.book.era, len(bench.book), bench.next_seq) == (2, 0, 3)


def test_a_clear_makes_void_what_was_not_committed() -> None:
    bench = Bench()
    bench.put(7, 100, 5)
    bench.clear()
    bench.put(8, 100, 5)
    assert [row.order_id for row in bench.commit()] == [None, "8"]


def test_an_order_named_twice_in_a_snapshot_stands_as_it_was_named_last() -> None:
    bench = Bench()
    bench.clear()
    bench.put(7, 100, 5)
    bench.put(8, 100, 5)
    bench.put(7, 101, -6)
    state = Flag.SNAPSHOT | Flag.PLACE_ASSUMED
    assert bench.commit() == [
        Row(CLEAR, None, None, None),
        Row(OPEN, "8", 100, 5, 0, state),
        Row(OPEN, "7", 101, 6, 0, state),
    ]


def test_an_order_opens_changes_and_ends() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    assert bench.commit() == [Row(OPEN, "1", 100, 5)]
    bench.put(1, 100, 4)
    assert bench.commit() == [Row(CHANGE, "1", 100, 4, Reason.AMENDED)]
    bench.put(1, 99, 4)
    assert bench.commit() == [Row(CHANGE, "1", 99, 4, Reason.AMENDED, Flag.PLACE_ASSUMED)]
    bench.put(1, 99, 4)
    assert bench.commit() == []
    bench.put(1, 99, -4)
    assert bench.commit() == [Row(CHANGE, "1", 99, 4, Reason.AMENDED, Flag.PLACE_ASSUMED)]
    bench.remove(1)
    assert bench.commit() == [Row(DONE, "1", 99, 4, Reason.UNKNOWN)]
    bench.remove(1)
    assert bench.commit() == []
    counters = bench.window.counters
    assert (counters["unchanged"], counters["side_flips"], counters["unknown_id"]) == (1, 1, 1)
    assert (counters["ended"], counters["evicted"]) == (1, 0)


def test_an_amount_of_nothing_is_a_removal_where_the_order_rested() -> None:
    bench = Bench()
    bench.put(1, 100, -5)
    bench.commit()
    bench.put(1, 90, 0)
    batch = bench.window.commit(bench.next_seq, bench.now)
    assert batch is not None
    assert row_of(batch[0]) == Row(DONE, "1", 100, 5, Reason.UNKNOWN)
    assert batch[0]["side"] == Side.ASK


def test_an_order_removed_and_put_again_in_one_commit_never_left() -> None:
    bench = Bench()
    fill(bench)
    bench.remove(1)
    bench.put(1, 100, 10)
    assert bench.commit() == []
    bench.remove(1)
    bench.put(1, 100, 7)
    assert bench.commit() == [Row(CHANGE, "1", 100, 7, Reason.AMENDED)]
    bench.put(1, 100, 9)
    bench.remove(1)
    bench.put(2, 99, 11)
    assert [row.kind for row in bench.commit()] == [CHANGE, DONE, CHANGE]


@pytest.mark.parametrize("side", Side)
def test_what_a_better_order_pushes_out_was_evicted_and_comes_back(side: Side) -> None:
    bench = Bench()
    fill(bench, side)
    worst, price, sign = (5, 96, 1) if side == Side.BID else (55, 105, -1)
    bench.put(99, 100.5, sign * 3)
    bench.remove(worst)
    assert bench.commit()[1] == Row(EVICT, str(worst), price, 10)
    bench.remove(99)
    bench.put(worst, price, sign * 10)
    assert bench.commit() == [
        Row(DONE, "99", Decimal("100.5"), 3, Reason.UNKNOWN),
        Row(OPEN, str(worst), price, 10, 0, Flag.REENTRY | Flag.PLACE_ASSUMED),
    ]
    counters = bench.window.counters
    assert (counters["evicted"], counters["reentered"]) == (1, 1)


def test_nothing_is_evicted_from_a_side_that_has_room() -> None:
    bench = Bench()
    fill(bench)
    bench.remove(5)
    assert bench.commit() == [Row(DONE, "5", 96, 10, Reason.UNKNOWN)]


def test_an_order_better_than_the_worst_was_not_evicted() -> None:
    bench = Bench()
    fill(bench)
    bench.remove(3)
    bench.put(6, 95, 10)
    assert [row.kind for row in bench.commit()] == [DONE, OPEN]


def test_inside_a_price_the_larger_id_is_the_worse() -> None:
    for removed, kind in ((7, EVICT), (5, DONE)):
        bench = Bench(orders_per_side=2)
        bench.put(removed, 100, 1)
        bench.put(4, 101, 1)
        bench.commit()
        bench.put(6, 100, 1)
        bench.remove(removed)
        assert [row.kind for row in bench.commit()] == [OPEN, kind]


def test_an_id_older_than_the_newest_has_an_assumed_place() -> None:
    bench = Bench()
    bench.put(10, 100, 5)
    bench.commit()
    bench.put(9, 100, 5)
    bench.put(11, 100, 5)
    assert [row.flags for row in bench.commit()] == [Flag.PLACE_ASSUMED, 0]


def test_the_window_may_be_given_another_length() -> None:
    bench = Bench(orders_per_side=250)
    fill(bench)
    bench.window.orders_per_side = 4
    assert bench.window.orders_per_side == 4
    bench.remove(5)
    assert [row.kind for row in bench.commit()] == [EVICT]


def test_evicted_ids_are_bounded() -> None:
    bench = Bench(orders_per_side=2, evicted_max=3)
    bench.put(1, 1, 1)
    bench.put(2, 2, 1)
    bench.commit()
    for n in range(3, 60):
        bench.put(n, n, 1)
        bench.remove(n - 2)
        assert [row.kind for row in bench.commit()] == [OPEN, EVICT]
    returned = []
    for n in range(1, 58):
        bench.put(n, 0.5, 1)
        if bench.commit()[0].flags & Flag.REENTRY:
            returned.append(n)
    assert returned[-3:] == [55, 56, 57]
    assert len(returned) <= 2 * 3


def test_a_discard_forgets_statements_and_keeps_trades() -> None:
    bench = Bench()
    bench.trade(77, 1, 100)
    bench.clear()
    bench.put(1, 100, 1)
    bench.window.discard()
    assert (bench.window.pending, bench.window.waiting_trades) == (0, 1)
    assert bench.commit() == []
    bench.put(1, 100, 1)
    assert [row.flags for row in bench.commit()] == [0]


def test_a_scale_that_grows_in_the_middle_takes_everything_along() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    bench.commit()
    bench.trade(77, -2, 100)
    bench.remove(1)
    bench.put(2, "100.125", "0.00000001")
    rows = bench.commit()
    assert (bench.book.price_scale, bench.book.size_scale) == (3, 8)
    assert rows == [
        Row(MATCH, "1", 100, 2, 0, INFERRED),
        Row(DONE, "1", 100, 3, Reason.UNKNOWN),
        Row(OPEN, "2", Decimal("100.125"), Decimal("0.00000001")),
    ]
    bench.put(3, "1e-9", 1)
    bench.trade(78, -4, 100)
    assert bench.commit() == [
        Row(OPEN, "3", Decimal("1e-9"), 1),
        Row(MATCH, "1", 100, 3, 0, INFERRED | LATE),
    ]


def test_a_bad_number_leaves_the_window_as_it_was() -> None:
    bench = Bench()
    bench.put(1, 100, 5)
    for price, amount in (("x", "1"), ("1", "x"), ("1e-30", "1"), ("1", "1e30")):
        with pytest.raises(NumberRefused):
            bench.put(2, price, amount)
        with pytest.raises(NumberRefused):
            bench.trade(2, amount, price)
    assert (bench.window.pending, bench.window.waiting_trades) == (1, 0)
    assert bench.trade(2, 1, 1)
    assert bench.commit() == [Row(OPEN, "1", 100, 5)]


def test_times_of_receipt_never_decrease_whatever_is_told() -> None:
    book = OrderBook()
    window = WindowResolver(
        book, orders_per_side=9, horizon_ns=HORIZON_NS, evicted_max=9, trades_max=9
    )
    window.put(1, "1", "1", 50)
    window.put(2, "1", "1", 40)
    first = window.commit(1, 60)
    window.put(3, "1", "1", 10)
    second = window.commit(3, 60)
    assert first is not None
    assert second is not None
    assert [row["ts_recv"] for row in (first[0], first[1], second[0])] == [50, 50, 50]
    assert book.ts_recv == 50


def test_the_resolver_reads_ids_with_the_codec_of_its_book() -> None:
    """A restart: the book is restored from a tape, with the tape's dictionary."""
    source = OrderBook(codec="intern")
    for name in ("one", "two"):
        source.apply_one(OPEN, Side.BID, name, "1", "1")
    book = OrderBook()
    window = WindowResolver(
        book, orders_per_side=9, horizon_ns=HORIZON_NS, evicted_max=9, trades_max=9
    )
    book.restore(source.snapshot(), 1)
    window.remove("two", 5)
    window.put("three", "1", "1", 5)
    batch = window.commit(10, 5)
    assert batch is not None
    assert [(row["kind"], row["order_id"]) for row in (batch[0], batch[1])] == [
        (DONE, "two"), (OPEN, "three"),
    ]  # fmt: skip
    assert batch.codec == book.codec
    assert [name for name, _, _ in book.orders(0)] == ["one", "three"]


# Frames ------------------------------------------------------------------------------------------


def framed(bench: Bench) -> Bench:
    bench.window.row_head, bench.window.trade_head = b"[17,", b"[9,"
    bench.window.expected_seq = 5
    return bench


def events(bench: Bench) -> list[dict[str, Any]]:
    batch = bench.window.commit(1, 10)
    assert batch is not None
    return [batch[n] for n in range(len(batch))]


def test_a_frame_of_a_row_is_its_put_or_its_removal() -> None:
    bench, other = framed(Bench()), Bench()
    for n, row in enumerate(
        ["[1,100,5]", "[2,100.5,-0.25]", "[1,100,4]", "[2,0,-1]", "[3,1e2,7e-7]"], start=5
    ):
        assert bench.window.expected_seq == n
        assert bench.window.frame(f"[17,{row},{n},1700000000123]".encode(), n) is None
        assert bench.window.heard_at == n
        order_id, price, amount = row[1:-1].split(",")
        time = 1_700_000_000_123 * 10**6
        if price == "0":
            other.window.remove(order_id, n, time, n)
        else:
            other.window.put(order_id, price, amount, n, time, n)
    assert bench.window.frame(b"[17,[4,100,5],12,1700000000123]", 12) is LEFT
    bench.window.expected_seq = -1
    assert bench.window.frame(b"[17,[4,100,5],10,1700000000123]", 12) is LEFT
    assert events(bench) == events(other)
    assert bench.book.digest() == other.book.digest()


def test_a_frame_of_a_trade_is_that_trade() -> None:
    bench, other = framed(Bench()), Bench()
    for one in (bench, other):
        one.window.put(1, "100", "5", 1)
        one.window.put(2, "101", "-5", 1)
        one.window.commit(1, 2)
        one.window.put(1, "100", "4", 3)
        one.window.remove(2, 3)
    trades = ['"te",[7,3,-1,100]', '"tu",[7,3,-1,100]', '"tu",[8,4,5,101]', '"te",[9,5,2e-1,101.5]']
    for n, text in enumerate(trades, start=5):
        assert bench.window.frame(f"[9,{text},{n},1700000000123]".encode(), n) is None
        trade_id, milliseconds, amount, price = text[6:-1].split(",")
        other.window.trade(trade_id, amount, price, n, int(milliseconds) * 10**6, n)
    assert (bench.window.expected_seq, bench.window.heard_at) == (9, 0)
    assert bench.window.frame(b'[9,"te",[10,5,2,101],12,1700000000123]', 12) is LEFT
    assert bench.window.waiting_trades == 3
    assert bench.window.trades_due == 5 + HORIZON_NS
    assert events(bench) == events(other)
    assert bench.window.counters == other.window.counters
    assert bench.window.trades_due == 8 + HORIZON_NS
    bench.window.commit(9, 10 + HORIZON_NS)
    assert bench.window.trades_due == 2**63 - 1


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"[", b"[17,", b"[18,[1,100,5],5,9]", b"[17,[1,100,5],6,9]", b"[17,[1,100,5],5]",
        b"[17,[1,100,5]]", b"[17,[[1,100,5]],5,9]", b'[17,"hb",5,9]', b"[17,[1,100,5],5,9],",
        b"[17, [1,100,5],5,9]", b"[17,[1,100],5,9]", b"[17,[1,100,5,6],5,9]",
        b"[17,[1,x,5],5,9]", b"[17,[1,100,1e30],5,9]", b"[17,[-1,100,5],5,9]",
        b"[17,[1.5,100,5],5,9]", b"[17,[1,100,5],5,99999999999999999]", b"[17,[1,100,5],05,9]",
        b'[17,[1,"100",5],5,9]', b"[17,[1,null,5],5,9]", b"[17,[1,100,5]5,9]",
        b'[17,"cs",1,6,9]', b'[18,"cs",1,5,9]', b'[17,"cs",1,5]', b'[17,"cs",1,5,9],',
        b'[17,"cs",1,5,9', b'[17,"cs",x,5,9]', b'[17,"cs",1.5,5,9]', b'[17,"cs",--1,5,9]',
        b'[17,"cs", 1,5,9]', b'[17,"cs",,5,9]', b'[17,"cs",1,5,9,1]', b'[9,"hb",5,9]',
        b'[17,"te",[1,2,3,4],5,9]', b'[9,"te",[1,2,3,4],6,9]', b'[9,"te",[1,2,3,4],5]',
        b'[9,"te",[1,2,3],5,9]', b'[9,"te",[1,2,3,4,5],5,9]', b'[9,"tx",[1,2,3,4],5,9]',
        b'[9,"te",[1,2,x,4],5,9]', b'[9,"te",[1,2,3,1e30],5,9]', b'[9,"te",[1,2.5,3,4],5,9]',
        b'[9,"te",[-1,2,3,4],5,9]', b'[9,"te", [1,2,3,4],5,9]', b'[9,"cs",1,5,9]',
        b'[9,"te",[1,99999999999999999,3,4],5,9]', b"[9,[1,100,5],5,9]",
    ],
)  # fmt: skip
def test_a_frame_that_is_not_just_that_is_left_to_the_parser(frame: bytes) -> None:
    bench = framed(Bench())
    assert bench.window.frame(frame, 1) is LEFT
    window = bench.window
    assert (window.expected_seq, window.heard_at, window.closed_at) == (5, 0, 0)
    assert (window.pending, window.waiting_trades) == (0, 0)
    assert bench.commit() == []
    assert bench.book.price_scale in (None, 0)


def test_the_closing_frame_commits_and_compares() -> None:
    bench = framed(Bench())
    window = bench.window
    window.next_seq = 41
    assert window.frame(b"[17,[1,100,5],5,1700000000123]", 5) is None
    batch, sent, ours = window.frame(b'[17,"cs",-123,6,1700000000123]', 6)
    assert row_of(batch[0]) == Row(OPEN, "1", 100, 5)
    assert (batch.first_seq, window.next_seq) == (41, 42)
    assert (sent, ours) == (-123, bench.book.top_crc32(25))
    assert (window.expected_seq, window.heard_at, window.closed_at) == (7, 6, 6)
    assert window.frame(b'[17,"cs",0,7,1]', 7) == (None, 0, ours)
    assert (window.pending, window.next_seq) == (0, 42)


def test_what_a_frame_leads_to_may_use_the_resolver() -> None:
    said: list[Any] = []

    def closed(batch: Any, sent: int, ours: int) -> str:
        said.append((window.expected_seq, len(batch), sent, ours))
        return "closed"

    def otherwise(frame: bytes, ts_recv: int) -> str:
        said.append((frame, ts_recv))
        window.put(2, "101", "-1", ts_recv)
        return "otherwise"

    book = OrderBook()
    window = WindowResolver(
        book, orders_per_side=5, horizon_ns=9, evicted_max=9, trades_max=9,
        closed=closed, otherwise=otherwise,
    )  # fmt: skip
    window.row_head, window.expected_seq = b"[17,", 5
    assert window.frame(b"anything", 3) == "otherwise"
    assert window.frame(b"[17,[1,100,5],5,9]", 4) is None
    assert window.frame(b'[17,"cs",7,6,9]', 5) == "closed"
    assert said == [(b"anything", 3), (7, 2, 7, book.top_crc32(25))]
    assert book.top_text() == "1:5:2:-1"


def test_a_frame_that_nobody_takes_is_refused() -> None:
    window = WindowResolver(
        OrderBook(), orders_per_side=5, horizon_ns=9, evicted_max=9, trades_max=9
    )
    with pytest.raises(ValueError, match="found another frame"):
        window.frame(b"[17,[1,100,5],5,9]", 4)


def test_a_resolver_that_its_owner_refers_to_in_a_circle_is_collected() -> None:
    class Owner:
        def __init__(self) -> None:
            self.window = WindowResolver(
                OrderBook(), orders_per_side=5, horizon_ns=9, evicted_max=9, trades_max=9,
                closed=self.hear, otherwise=self.hear,
            )  # fmt: skip
            self.frame = self.window.frame

        def hear(self, *_: object) -> None: ...

    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None


# Anything at all ---------------------------------------------------------------------------------


class NaiveWindow:
    """The rules of a window without trades: the state, and the events expected."""

    def __init__(self, orders_per_side: int) -> None:
        self.book, self.length = NaiveBook(), orders_per_side
        self.evicted: set[int] = set()
        self.newest = 0

    def commit(self, statements: list[tuple[int, Any, Decimal]]) -> list[Row]:
        """Statements: (id, price, signed amount), an amount of 0 where the order left."""
        newest, changes = self.newest, []
        for nth, (name, price, amount) in enumerate(statements):
            later = next((s for s in statements[nth + 1 :] if s[0] == name), None)
            if amount == 0 and later is not None and later[2] != 0:
                continue  # put again: it never left
            old = self.book.orders.get(name)
            if amount == 0:
                if old is not None:
                    changes.append((DONE, name, old))
                    self.book.apply(DONE, old.side, name, old.price, old.size)
                continue
            side, size = Side.ASK if amount < 0 else Side.BID, abs(amount)
            if old is None:
                changes.append((OPEN, name, self.opened(name, price, size, newest)))
                self.book.apply(OPEN, side, name, price, size)
            elif (old.side, old.price, old.size) != (side, price, size):
                kept = (old.side, old.price) == (side, price) and size < old.size
                flags = 0 if kept else Flag.PLACE_ASSUMED
                changes.append((CHANGE, name, Row(2, str(name), price, size, 4, flags)))
                self.book.apply(CHANGE, side, name, price, size)
        return [self.ended(name, what) if kind == DONE else what for kind, name, what in changes]

    def opened(self, name: int, price: Any, size: Any, newest: int) -> Row:
        flags = Flag.PLACE_ASSUMED if name <= newest else 0
        if name in self.evicted:
            self.evicted.remove(name)
            flags |= Flag.REENTRY | Flag.PLACE_ASSUMED
        self.newest = max(self.newest, name)
        return Row(OPEN, str(name), price, size, 0, flags)

    def ended(self, name: int, old: Any) -> Row:
        """Evicted where its side is full and everything there is better than it."""

        def key(price: Any, one: int) -> Any:
            return (price if old.side == Side.ASK else -price, one)

        keys = [key(order.price, one) for one, order in self.book.walk(old.side)]
        if len(keys) >= self.length and key(old.price, name) > max(keys, default=(0, 0)):
            self.evicted.add(name)
            return Row(EVICT, str(name), old.price, old.size)
        return Row(DONE, str(name), old.price, old.size, Reason.UNKNOWN)


amounts = st.one_of(
    st.integers(-4, 4).map(Decimal),
    st.just(Decimal(0)),
    st.sampled_from(["0.5", "-1e-7"]).map(Decimal),
)
told = st.tuples(st.integers(1, 14), st.integers(95, 103), amounts)


@settings(max_examples=150)
@given(st.lists(st.lists(told, max_size=8), max_size=14), st.integers(1, 5))
def test_any_statements_give_the_naive_book_and_the_naive_events(
    commits: list[list[tuple[int, int, Decimal]]], length: int
) -> None:
    bench, naive = Bench(orders_per_side=length, evicted_max=1000), NaiveWindow(length)
    for statements in commits:
        for name, price, amount in statements:
            if amount == 0:
                bench.remove(name)
            else:
                bench.put(name, price, format(amount, "f"))
        assert bench.commit() == naive.commit(statements)
        for side in Side:
            assert bench.book.orders(side) == [
                (str(name), order.price, order.size) for name, order in naive.book.walk(side)
            ]


steps = st.one_of(
    st.tuples(st.just("put"), told), st.tuples(st.just("put"), told),
    st.tuples(st.just("remove"), told), st.tuples(st.just("trade"), told),
    st.tuples(st.just("trade"), told), st.tuples(st.just("commit"), told),
    st.tuples(st.just("clear"), told), st.tuples(st.just("discard"), told),
)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(steps, max_size=150))
def test_whatever_is_told_every_trade_comes_to_its_whole_size(
    steps: list[tuple[str, tuple[int, int, Decimal]]],
) -> None:
    """Matches, late matches and trades of nobody add up to what traded, to the last digit."""
    bench, rows = Bench(trades_max=6), list[Row]()
    traded, trade_id = Decimal(0), 0
    for what, (name, price, amount) in steps:
        bench.now += 1
        if what == "put":
            bench.put(name, price, format(amount, "f"))
        elif what == "remove":
            bench.remove(name)
        elif what == "trade":
            trade_id += 1
            bench.trade(trade_id, format(amount, "f"), price)
            traded += abs(amount)
        elif what == "commit":
            rows += bench.commit(later=name * 60)
            assert bench.window.waiting_trades <= 6
        elif what == "clear":
            bench.clear()
        else:
            bench.window.discard()
    rows += bench.commit()
    rows += bench.commit(2 * HORIZON_NS)
    assert bench.window.waiting_trades == 0
    assert sum(row.size for row in rows if row.kind in (MATCH, TRADE)) == traded
    counters = bench.window.counters
    late = [row for row in rows if row.flags & LATE]
    matches = [row for row in rows if row.kind == MATCH and not row.flags & LATE]
    assert (len(late), len(matches)) == (counters["late_matched"], counters["matched"])
    assert sum(row.kind == TRADE for row in rows) == counters["unmatched_trades"]
    assert sum(row.kind == EVICT for row in rows) == counters["evicted"]
    assert sum(row.kind == DONE for row in rows) == counters["ended"]
    assert sum(bool(row.flags & Flag.REENTRY) for row in rows) == counters["reentered"]
