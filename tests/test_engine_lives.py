"""Heat and lifecycles of the engine equal those made by hand, whatever the batches."""

from __future__ import annotations

import random
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import NULL, EventBatch, Heat, IdCodec, Lifecycles, OrderBook, Rows
from ordertape.events import EventKind, Flag, Reason, Side
from support.plain_lives import BUCKET_NS, PlainHeat, PlainLives, Told
from support.tape import Market

HOLD_NS = 1_000_000_000
START = 1_790_000_000_000_000_000


def drawn(dice: random.Random, count: int) -> list[Told]:
    """Events that a venue could tell, with bursts and silences between them."""
    resting: dict[int, list[int]] = {}
    ended_late: list[tuple[int, int, int]] = []
    told: list[Told] = []
    ts, next_id = START, 1
    while len(told) < count:
        pause = dice.choice([0, 0, 1_000, 30_000_000, 150_000_000, 700_000_000])
        ts += pause if dice.random() < 0.97 else dice.choice([7, 130]) * 10**9
        draw = dice.random()
        if draw < 0.005:
            told.append(Told(EventKind.CLEAR, Side.BID, 0, 0, 0, ts))
            for order_id, (side, price, size) in list(resting.items()):
                told.append(Told(EventKind.OPEN, side, order_id, price, size, ts, Flag.SNAPSHOT))
            ended_late.clear()
        elif draw < 0.5 or not resting:
            side = dice.choice([0, 1])
            price = dice.randrange(900, 1000) if side == Side.BID else dice.randrange(1000, 1100)
            resting[next_id] = [side, price, dice.randrange(1, 50)]
            told.append(Told(EventKind.OPEN, side, next_id, price, resting[next_id][2], ts))
            next_id += 1
        else:
            order_id = dice.choice(list(resting))
            order = resting[order_id]
            side, price, size = order
            if draw < 0.62:
                order[2] = dice.randrange(1, 50)
                order[1] = dice.choice([price, max(1, price + dice.randrange(-3, 4))])
                reason = Reason.AMENDED
                if order[2] < size and order[1] == price and dice.random() < 0.5:
                    reason = Reason.TRADED_AS_TAKER
                change = Told(EventKind.CHANGE, side, order_id, order[1], order[2], ts, 0, reason)
                told.append(change)
            elif draw < 0.8:
                traded = dice.choice([size, dice.randrange(1, size + 1)])
                order[2] -= traded
                told.append(Told(EventKind.MATCH, side, order_id, price, traded, ts))
                if order[2] == 0:
                    del resting[order_id]
                    if dice.random() < 0.5:
                        filled = Reason.FILLED
                        told.append(Told(EventKind.DONE, side, order_id, price, 0, ts, 0, filled))
            else:
                reason = dice.choice([Reason.CANCELED, Reason.UNKNOWN])
                told.append(Told(EventKind.DONE, side, order_id, price, size, ts, 0, reason))
                del resting[order_id]
                if reason == Reason.UNKNOWN and dice.random() < 0.6:
                    traded = dice.choice([size, dice.randrange(1, size + 1)])
                    late = Flag.LATE | Flag.INFERRED
                    told.append(Told(EventKind.MATCH, side, order_id, price, traded, ts, late))
    return told


def batch_of(told: list[Told], first_seq: int) -> EventBatch:
    clear = [t.kind == EventKind.CLEAR for t in told]
    seqs, seq = [], first_seq - 1
    for event in told:
        seq += not event.flags & Flag.SNAPSHOT
        seqs.append(seq)

    def column(values: list[int], absent: int) -> Any:
        return [absent if c else v for v, c in zip(values, clear, strict=True)]

    return EventBatch.from_arrays(
        kind=[t.kind for t in told],
        side=column([t.side for t in told], 255),
        order_id=[None if c else str(t.order_id) for t, c in zip(told, clear, strict=True)],
        price=column([t.price for t in told], NULL),
        size=column([t.size for t in told], NULL),
        ts_event=[t.ts for t in told],
        flags=[t.flags | Flag.LAST for t in told],
        reason=[t.reason for t in told],
        seq=seqs,
        price_scale=0,
        size_scale=0,
        codec="int",
    )


def columns_of(rows: Rows) -> dict[str, list[int]]:
    return {name: np.asarray(rows.column(name)).tolist() for name in rows.names}


class Pictures:
    """The columns of one level of detail, as a reader of ``drain`` keeps them."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.rows: dict[int, int] = {}
        self.told: dict[int, dict[int, int]] = {}

    def take(self, rows: Rows) -> None:
        found = columns_of(rows)
        begin = 0
        for bucket, end in zip(found["bucket"], found["end"], strict=True):
            for row, size in zip(found["row"][begin:end], found["size"][begin:end], strict=True):
                self.rows[row] = size
            begin = end
            assert bucket not in self.told
            self.told[bucket] = {row: size for row, size in self.rows.items() if size}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32), group=st.sampled_from([1, 7, 25]), least=st.sampled_from([0, 20])
)
def test_every_bucket_has_the_most_that_rested_in_each_row(
    seed: int, group: int, least: int
) -> None:
    dice = random.Random(seed)
    told = drawn(dice, 150)
    book, heat, plain = OrderBook(), Heat(group, least), PlainHeat(group, least)
    lives, plain_lives = Lifecycles(hold_ns=HOLD_NS, evicted_max=10), PlainLives()
    pictures = [Pictures(level) for level in range(4)]
    seq = 1
    while told:
        part, told = told[: dice.randrange(1, 30)], told
        told = told[len(part) :]
        batch = batch_of(part, seq)
        seq = batch.last_seq + 1
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, [heat])
        for event in part:
            plain_lives.take(event)
            plain.take(event.ts, plain_lives.orders())
        for picture in pictures:
            picture.take(heat.drain(picture.level))
    heat.advance(plain.told[-1][0] + 200 * 10**9)
    for level, picture in enumerate(pictures):
        picture.take(heat.drain(level))
        first, last = plain.told[0][0] // BUCKET_NS[level], plain.told[-1][0] // BUCKET_NS[level]
        assert first in picture.told
        assert last in picture.told
        for bucket in {*picture.told, *(ts // BUCKET_NS[level] for ts, _ in plain.told)}:
            assert picture.told[bucket] == plain.column(level, bucket)
    resting = columns_of(heat.resting())
    assert dict(zip(resting["row"], resting["size"], strict=True)) == plain.told[-1][1]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32), group=st.sampled_from([1, 7, 25]), least=st.sampled_from([0, 20])
)
def test_a_heat_that_a_book_drives_is_the_one_that_lives_drive(
    seed: int, group: int, least: int
) -> None:
    dice = random.Random(seed)
    batches, seq = [], 1
    for _ in range(10):
        batches.append(batch_of(drawn(dice, 30), seq))
        seq = batches[-1].last_seq + 1
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10)
    heat, driven = Heat(group, least), [OrderBook() for _ in range(5)]
    bare = [Heat(group, least, level=level) for level in range(4)]
    joins, joined = dice.randrange(10), Heat(group, least)
    for nth, batch in enumerate(batches):
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, [heat])
        for other, own in zip(bare, driven, strict=False):
            other.apply(own, batch)
        if nth < joins:
            driven[4].apply(batch)
        elif nth == joins:
            driven[4].apply(batch)
            joined.begin(driven[4])
        else:
            joined.apply(driven[4], batch)
        for level in range(4):
            assert columns_of(bare[level].drain(level)) == columns_of(heat.drain(level))
    assert joined.prices[:2] == bare[0].prices[:2]
    for other in (*bare, joined):
        assert columns_of(other.resting()) == columns_of(heat.resting())
    assert bare[0].prices == heat.prices
    assert {own.digest() for own in driven} == {book.digest()}


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_every_order_has_one_row_that_tells_its_life(seed: int) -> None:
    dice = random.Random(seed)
    told = drawn(dice, 200)
    book, lives, plain = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=10), PlainLives()
    seq, found = 1, []
    while told:
        part = told[: dice.randrange(1, 30)]
        told = told[len(part) :]
        batch = batch_of(part, seq)
        seq = batch.last_seq + 1
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book)
        for event in part:
            plain.take(event)
        found.append(lives.drain())
    found.append(lives.drain(part[-1].ts + 2 * HOLD_NS))
    rows = [(row["opened"], row) for table in found for row in as_rows(table)]
    expected = [(life.opened, as_row(order_id, life)) for order_id, life in plain.ended]
    assert sorted(rows, key=_opened_and_ended) == sorted(expected, key=_opened_and_ended)
    alive = [as_row(order_id, life) for order_id, life in plain.alive.items()]
    by_id = itemgetter("order_id")
    assert sorted(as_rows(lives.alive()), key=by_id) == sorted(alive, key=by_id)
    assert len(lives) == len(plain.alive)


def _opened_and_ended(pair: tuple[int, dict[str, Any]]) -> tuple[Any, ...]:
    opened, row = pair
    return opened, row["order_id"], row["ended"]


NAMES = ("side", "price_first", "price", "size_first", "size", "opened", "filled", "fills",
         "amendments", "ending", "reason")  # fmt: skip


def as_rows(rows: Rows) -> list[dict[str, Any]]:
    columns = columns_of(rows)
    return [
        {
            "order_id": order_id,
            "ended": None if columns["ended"][nth] == NULL else columns["ended"][nth],
            "truncated": bool(columns["flags"][nth] & 1),
            **{name: columns[name][nth] for name in NAMES},
        }
        for nth, order_id in enumerate(rows.id_texts())
    ]


def as_row(order_id: int, life: Any) -> dict[str, Any]:
    return {
        "order_id": str(order_id),
        "ended": life.ended,
        "truncated": life.truncated,
        **{name: getattr(life, name) for name in NAMES},
    }


def one(kind: int, ts: int, order_id: int = 1, size: int = 5, flags: int = 0) -> Told:
    return Told(kind, Side.BID, order_id, 100, size, ts, flags)


def test_an_evicted_order_that_comes_back_has_one_life() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=2)
    told = [
        one(EventKind.OPEN, START),
        one(EventKind.EVICT, START + 1),
        one(EventKind.OPEN, START + 2, size=4, flags=Flag.REENTRY),
        one(EventKind.DONE, START + 3, size=4),
    ]
    batch = batch_of(told, 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    (row,) = as_rows(lives.drain(START + 10 * HOLD_NS))
    assert (row["opened"], row["ended"], row["size_first"]) == (START, START + 3, 5)


def test_evicted_orders_are_forgotten_oldest_first() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=2)
    told = [one(EventKind.OPEN, START + n, order_id=n + 1) for n in range(5)]
    told += [one(EventKind.EVICT, START + 10 + n, order_id=n + 1) for n in range(5)]
    batch = batch_of(told, 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    rows = as_rows(lives.drain())
    assert [(row["order_id"], row["ending"]) for row in rows] == [("1", 3), ("2", 3), ("3", 3)]
    assert len(lives) == 2


def test_effects_of_another_batch_are_refused() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=0, evicted_max=0)
    batch = batch_of([one(EventKind.OPEN, START)], 1)
    _, effects = book.apply(batch, effects=True)
    longer = batch_of([one(EventKind.OPEN, START, 2), one(EventKind.OPEN, START, 3)], 2)
    with pytest.raises(ValueError, match="expected the effects of this batch's 2 events"):
        lives.take(longer, effects, book)


def test_a_level_of_detail_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="level of detail of 0 to 3"):
        Heat(1).drain(4)


def test_a_heat_grows_with_the_scales_of_its_book() -> None:
    book, lives, heat = OrderBook(), Lifecycles(hold_ns=0, evicted_max=0), Heat(10)
    batch = batch_of([one(EventKind.OPEN, START)], 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book, [heat])
    finer = EventBatch.from_arrays(
        kind=[1], side=[0], order_id=["2"], price=[10_050], size=[70], ts_event=[START], seq=[2],
        flags=[2], price_scale=2, size_scale=1, codec="int",
    )  # fmt: skip
    lives.take(finer, book.apply(finer, effects=True)[1], book, [heat])
    assert heat.group == 1000
    assert columns_of(heat.resting()) == {"row": [10], "size": [120]}


def table_of(rows: Rows) -> dict[str, Any]:
    return {
        name: np.asarray(rows.column(name)).view(np.uint8)
        if name == "order_id"
        else np.asarray(rows.column(name))
        for name in rows.names
    }


def all_of(rows: Rows) -> list[dict[str, Any]]:
    """Every column of every row, by the event that told it."""
    columns = {name: columns_of(rows)[name] for name in rows.names if name != "order_id"}
    listed = [
        {"order_id": order_id, **{name: column[nth] for name, column in columns.items()}}
        for nth, order_id in enumerate(rows.id_texts())
    ]
    return sorted(listed, key=lambda row: (row["told_seq"], row["opened_seq"], row["order_id"]))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), evicted_max=st.sampled_from([0, 1, 3, 100]))
def test_lives_go_on_elsewhere_as_they_would_have_here(seed: int, evicted_max: int) -> None:
    dice, market = random.Random(seed), Market(seed=seed, orders=30)
    book = OrderBook()
    one = Lifecycles(hold_ns=5_000_000, evicted_max=evicted_max)
    other = Lifecycles(hold_ns=5_000_000, evicted_max=evicted_max)
    told: list[list[dict[str, Any]]] = [[], []]
    for nth in range(150):
        batch = market.message(clear=nth == 0 or dice.random() < 0.01)
        _, effects = book.apply(batch, effects=True)
        for lives, rows in ((one, told[0]), (other, told[1])):
            lives.take(batch, effects, book)
            rows += all_of(lives.drain())
        if dice.random() < 0.2:
            parts = [table_of(rows) for rows in (other.alive(), other.waiting())]
            columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
            scales = (other.alive().price_scale, other.alive().size_scale)
            now = (batch.last_seq, batch.last_ts_recv)
            other = Lifecycles(hold_ns=5_000_000, evicted_max=evicted_max)
            other.restore(columns, market.codec, era=one.era, scales=scales, now=now)
    assert told[0]
    assert told[0] == told[1]
    assert all_of(one.alive()) == all_of(other.alive())
    assert all_of(one.waiting()) == all_of(other.waiting())


def test_an_order_that_comes_and_goes_pushes_no_other_out_of_mind() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=0, evicted_max=2)
    told = [one(EventKind.OPEN, START), one(EventKind.EVICT, START)]
    for _ in range(100):
        told.append(one(EventKind.OPEN, START, 2, flags=Flag.REENTRY))
        told.append(one(EventKind.EVICT, START, 2))
    batch = batch_of(told, 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    assert len(lives.drain()) == 0
    assert len(lives) == 2


def test_a_life_is_told_by_the_event_that_ended_it_or_made_its_end_known() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=HOLD_NS, evicted_max=0)
    told = [
        one(EventKind.OPEN, START, 1),
        one(EventKind.OPEN, START, 2),
        one(EventKind.DONE, START + 1, 1)._replace(reason=Reason.UNKNOWN),
        one(EventKind.DONE, START + 2, 2)._replace(reason=Reason.CANCELED),
        one(EventKind.OPEN, START + 2 * HOLD_NS, 3),
    ]
    batch = batch_of(told, 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    rows = all_of(lives.drain())
    assert [(row["order_id"], row["told_seq"], row["told"]) for row in rows] == [
        ("2", 4, START + 2),
        ("1", 5, START + 2 * HOLD_NS),
    ]


def test_lives_end_where_events_are_missing() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=0, evicted_max=0)
    batch = batch_of([one(EventKind.OPEN, START)], 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    lives.cut((9, START + 7))
    (row,) = all_of(lives.drain())
    assert (row["ending"], row["ended_seq"], row["ended"]) == (2, 1, START)
    assert (row["told_seq"], row["told"]) == (9, START + 7)
    assert len(lives) == 0


def test_lives_grow_with_the_scales_of_their_book() -> None:
    book, lives = OrderBook(), Lifecycles(hold_ns=0, evicted_max=0)
    batch = batch_of([one(EventKind.OPEN, START)], 1)
    lives.take(batch, book.apply(batch, effects=True)[1], book)
    finer = EventBatch.from_arrays(
        kind=[1], side=[0], order_id=["2"], price=[10_050], size=[70], ts_event=[START], seq=[2],
        flags=[2], price_scale=2, size_scale=1, codec="int",
    )  # fmt: skip
    lives.take(finer, book.apply(finer, effects=True)[1], book)
    rows = lives.alive()
    assert (rows.price_scale, rows.size_scale) == (2, 1)
    assert [(r["price_first"], r["size_first"], r["bid_first"]) for r in all_of(rows)] == [
        (10_000, 50, 10_000),
        (10_050, 70, 10_050),
    ]
    small = OrderBook()
    with pytest.raises(ValueError, match="larger than the book's"):
        lives.take(batch, small.apply(batch, effects=True)[1], small)


def test_columns_that_are_no_lives_are_refused() -> None:
    lives = Lifecycles(hold_ns=0, evicted_max=0)
    columns = table_of(lives.alive())
    more = {**columns, "side": np.array([1], np.uint8)}
    with pytest.raises(ValueError, match="side: expected 0 values, found 1"):
        lives.restore(more, IdCodec("int"), era=0, scales=(0, 0), now=(0, 0))
