"""What ``apply(effects=True)`` says of every event, and three ways to one book."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ordertape._engine import NULL, BatchBuilder, EventBatch, OrderBook
from ordertape.events import ApplyResult, EventKind, Flag, Side
from support.naive_book import Effect, NaiveBook

COUNTED = {
    ApplyResult.UNKNOWN_ID: "unknown_id", ApplyResult.DUPLICATE_ID: "duplicate_id",
    ApplyResult.NEGATIVE: "negative", ApplyResult.OVERFILL: "overfill", ApplyResult.LATE: "late",
}  # fmt: skip
PRICES, SIZES = ("price_before", "best_bid", "best_ask"), ("size_before", "level_size")


class Event(NamedTuple):
    kind: int
    side: int
    order_id: str
    price: Decimal
    size: Decimal
    flags: int = 0


def effects_of(book: OrderBook, batch: EventBatch) -> tuple[Any, list[Effect]]:
    """Counters, and each row of the effects as exact numbers."""
    counters, effects = book.apply(batch, effects=True)
    assert len(effects) == len(batch)
    columns = {}
    for name in Effect._fields:
        scale = book.price_scale if name in PRICES else book.size_scale if name in SIZES else 0
        values = np.asarray(effects.column(name)).tolist()
        columns[name] = [
            None if value == NULL else Decimal(value).scaleb(-(scale or 0)) for value in values
        ]
    return counters, [Effect(*row) for row in zip(*columns.values(), strict=True)]


def built(builder: BatchBuilder, events: list[Event], first_seq: int) -> EventBatch:
    for event in events:
        clear = event.kind == EventKind.CLEAR
        builder.add(
            event.kind, None if clear else event.side, None if clear else event.order_id,
            None if clear else format(event.price, "f"), None if clear else format(event.size, "f"),
            1, None, event.flags,
        )  # fmt: skip
    return builder.finish(first_seq)


def assert_equal_books(book: OrderBook, naive: NaiveBook) -> None:
    book.check()
    assert len(book) == len(naive)
    assert book.depth(10_000) == naive.depth()
    assert book.best() == naive.best()
    assert book.crossed == naive.crossed
    assert book.levels == tuple(len(levels) for levels in naive.levels)
    assert [book.orders(side) for side in Side] == [
        [(name, order.price, order.size) for name, order in naive.walk(side)] for side in Side
    ]


# Property ----------------------------------------------------------------------------------------

numbers = st.integers(1, 12).map(Decimal)
fine = st.builds(
    lambda n, places: Decimal(n).scaleb(-places), st.integers(1, 99), st.integers(0, 7)
)
events = st.builds(
    Event,
    st.sampled_from([1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 6, 7]),
    st.integers(0, 1),
    st.integers(0, 14).map(str),
    st.integers(-1, 4).map(Decimal),
    st.one_of(numbers, numbers, numbers, st.integers(-1, 0).map(Decimal), fine),
    st.sampled_from([0, 0, 0, 0, Flag.LAST, Flag.LATE | Flag.INFERRED]),
)


class BooksAgree(RuleBasedStateMachine):
    """A batch at a time, with effects, and an event at a time: one and the same naive book."""

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveBook()
        self.plain, self.told, self.single = OrderBook(), OrderBook(), OrderBook()
        self.builder = BatchBuilder("int")
        self.next_seq = 1

    def apply_all(self, events: list[Event]) -> None:
        batch = built(self.builder, events, self.next_seq)
        expected = dict.fromkeys(self.plain.apply(batch[0:0]).as_dict(), 0)
        effects = []
        for nth, event in enumerate(events):
            result, effect = self.naive.step(*event)
            effects.append(effect)
            if result in COUNTED:
                expected[COUNTED[result]] += 1
            ends = event.flags & Flag.LAST or nth == len(events) - 1
            expected["crossed"] += int(self.naive.crossed) if ends else 0
            if not event.flags & Flag.LATE:
                clear = event.kind == EventKind.CLEAR
                arguments = (None,) * 4 if clear else event[1:5]
                assert self.single.apply_one(event.kind, *arguments) == result
        expected["events"] = len(events)
        # The first apply fills the befores, the others find them as they are.
        assert self.plain.apply(batch).as_dict() == expected
        counters, told = effects_of(self.told, batch)
        assert counters.as_dict() == expected
        assert told == effects
        for row, event, effect in zip(batch, events, effects, strict=True):
            before = effect[:2] if event.kind == EventKind.CHANGE else (None, None)
            if before[0] is None or row["price_before"] is not None:
                assert (row["price_before"], row["size_before"]) == before
        self.next_seq += len(events)

    @rule(events=st.lists(events, min_size=1, max_size=25))
    def some_events(self, events: list[Event]) -> None:
        self.apply_all(events)

    @rule(name=st.integers(0, 14).map(str), size=numbers)
    def a_trade_at_the_front(self, name: str, size: Decimal) -> None:
        for side in Side:
            if (best := self.naive.best()[side]) is not None:
                front, _ = self.naive.queue(best, side)[0]
                self.apply_all(
                    [Event(3, side, front, best, size), Event(4, side, front, best, size)]
                )

    @rule()
    def a_clear(self) -> None:
        nothing = Event(EventKind.CLEAR, 0, "", Decimal(0), Decimal(0))
        orders = [Event(1, side, str(side), Decimal(side), Decimal(1)) for side in Side]
        self.apply_all([nothing, *orders])

    @rule()
    def a_restart(self) -> None:
        digest = self.told.digest()
        self.told = OrderBook()
        self.told.restore(self.plain.snapshot(), self.plain.era)
        assert self.told.digest() == digest

    @invariant()
    def all_are_one_book(self) -> None:
        for book in (self.plain, self.told, self.single):
            assert_equal_books(book, self.naive)
            assert book.era == self.naive.era
        assert len({book.digest() for book in (self.plain, self.told, self.single)}) == 1
        self.plain_and_told_show_one_checksum()
        for name in self.naive.orders:
            assert self.plain.place(name) == self.told.place(name) == self.naive.place(name)

    def plain_and_told_show_one_checksum(self) -> None:
        numbered = NaiveBook()
        for side in Side:
            for name, order in self.naive.walk(side):
                numbered.apply(EventKind.OPEN, side, int(name), order.price, order.size)
        for book in (self.plain, self.told):
            assert book.top_text(5) == numbered.top_text(5)


BooksAgree.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestBooksAgree = BooksAgree.TestCase


# Column by column --------------------------------------------------------------------------------


def told(events: list[Event]) -> list[Effect]:
    return effects_of(OrderBook(), built(BatchBuilder("int"), events, 1))[1]


def one(kind: int, order_id: str, price: int, size: int, side: int = 0, flags: int = 0) -> Event:
    return Event(kind, side, order_id, Decimal(price), Decimal(size), flags)


def test_effects_of_a_life() -> None:
    effects = told(
        [
            one(1, "1", 10, 5),
            one(1, "2", 10, 3),
            one(1, "9", 12, 7, side=1),
            one(2, "1", 10, 4),
            one(2, "1", 11, 4),
            one(3, "2", 10, 1),
            one(3, "2", 10, 2),
            one(4, "2", 10, 0),
            one(4, "1", 11, 4),
            one(7, "1", 12, 4, side=1),
            one(6, "9", 12, 7, side=1),
        ]
    )
    assert effects == [
        #      before       level    best     orders
        #      price size   size, n  bid ask  ahead
        Effect(None, None, 5, 1, 10, None, 0),
        Effect(None, None, 8, 2, 10, None, 1),
        Effect(None, None, 7, 1, 10, 12, 0),
        Effect(10, 5, 7, 2, 10, 12, 0),
        Effect(10, 4, 4, 1, 11, 12, 0),  # the level it went to
        Effect(10, 3, 2, 1, 11, 12, 0),
        Effect(10, 2, 0, 0, 11, 12, 0),  # the level it emptied
        Effect(None, None, None, None, 11, 12, None),  # filled already
        Effect(11, 4, 0, 0, None, 12, 0),
        Effect(None, None, None, None, None, 12, None),
        Effect(12, 7, 0, 0, None, None, 0),
    ]


def test_effects_of_what_did_nothing() -> None:
    effects = told(
        [
            one(4, "7", 10, 5),
            one(1, "1", 10, 5),
            one(3, "1", 10, 5, flags=Flag.LATE),
            one(2, "1", 10, -5),
            one(1, "1", 10, 0),
            one(1, "1", 11, 6),
            one(3, "1", 11, 9),
        ]
    )
    assert effects == [
        Effect(None, None, None, None, None, None, None),
        Effect(None, None, 5, 1, 10, None, 0),
        Effect(None, None, None, None, 10, None, None),
        Effect(10, 5, 5, 1, 10, None, 0),  # refused, but it is known what stood there
        Effect(None, None, None, None, 10, None, None),
        Effect(None, None, 6, 1, 11, None, 0),  # named twice: opened anew
        Effect(11, 6, 0, 0, None, None, 0),  # filled with more than it had
    ]


def test_effects_are_at_the_scales_of_the_book() -> None:
    book = OrderBook(4, 6)
    batch = built(BatchBuilder("int"), [one(1, "1", 10, 5)], 1)
    _, effects = book.apply(batch, effects=True)
    assert np.asarray(effects.column("best_bid")).tolist() == [100_000]
    assert np.asarray(effects.column("level_size")).tolist() == [5_000_000]


def test_a_level_larger_than_an_int64_is_told_as_the_largest() -> None:
    largest = 2**63 - 1
    effects = told([one(1, str(n), 10, largest) for n in range(3)])
    assert [effect.level_size for effect in effects] == [largest] * 3
    assert [effect.level_orders for effect in effects] == [1, 2, 3]


# Ranks -------------------------------------------------------------------------------------------


def test_places_stay_right_over_thousands_of_joins_and_leaves() -> None:
    """A level's tickets spill beyond the first cache line and are dealt anew, many times over."""
    moves = random.Random(7)
    book, naive = OrderBook(0, 0, "int"), NaiveBook()
    builder = BatchBuilder("int", 0, 0)
    waiting: list[int] = []
    next_id = 0
    for wanted in (3, 700, 5, 1500, 0, 40, 2):
        events: list[Event] = []
        while len(waiting) != wanted or len(events) < 600:
            grow = len(waiting) < wanted if len(events) > 500 else moves.random() < 0.5
            if grow or not waiting:
                waiting.append(next_id)
                events.append(one(1, str(next_id), 10, 1))
                next_id += 1
            else:
                gone = waiting.pop(moves.randrange(len(waiting)))
                events.append(one(4, str(gone), 10, 1))
        counters, effects = effects_of(book, built(builder, events, 1))
        assert counters.faults == 0
        expected = [naive.step(*event)[1].orders_ahead for event in events]
        assert [effect.orders_ahead for effect in effects] == expected
        book.check()
    assert next_id > 3000


def test_places_stay_right_in_a_queue_that_is_eaten_from_the_front() -> None:
    book, naive = OrderBook(0, 0, "int"), NaiveBook()
    builder = BatchBuilder("int", 0, 0)
    first, last = 0, 0
    for length in (3, 100, 300, 1, 64, 900, 10):
        events = []
        while len(events) < 1000 or last - first != length:
            if last - first < length or last == first:
                last += 1
                events.append(one(1, str(last), 10, 2))
            else:
                first += 1
                front = one(3, str(first), 10, 2)
                events += [front, front._replace(kind=4, size=Decimal(0))]
        # Now and then one leaves from the middle of the queue.
        gone = (first + last) // 2 + 1
        events.append(one(2, str(gone), 10, 9))
        expected = [naive.step(*event)[1] for event in events]
        assert effects_of(book, built(builder, events, 1))[1] == expected
        events = [one(4, str(gone), 10, 9), one(1, str(gone), 10, 2)]
        for event in events:
            naive.apply(*event)
        book.apply(built(builder, events, 1))
        book.check()
        names = [int(name) for name, _ in naive.queue(Decimal(10))]
        assert [int(name) for name, _ in book.queue(10)] == names
        # Whoever is at the front is taken next.
        for name in names:
            event = one(4, str(name), 10, 2)
            assert effects_of(book, built(builder, [event], 1))[1] == [naive.step(*event)[1]]
        first = last


def test_ranks_begin_with_the_first_effects_and_go_on_without() -> None:
    book, naive = OrderBook(0, 0, "int"), NaiveBook()
    builder = BatchBuilder("int", 0, 0)
    moves = random.Random(8)
    for turn in range(60):
        events = [
            one(
                moves.choice([1, 1, 1, 2, 3, 4, 4]),
                str(moves.randrange(300)),
                moves.randrange(3),
                5,
            )
            for _ in range(100)
        ]
        batch = built(builder, events, 1)
        expected = [naive.step(*event)[1] for event in events]
        if turn >= 20 and turn % 3:
            assert effects_of(book, batch)[1] == expected
        else:
            book.apply(batch)
        book.check()
    assert_equal_books(book, naive)
