"""A reader gets every event once, in order; a group is sent the same bytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from ordertape import limits
from ordertape.broadcast.channel import Beat, Group, Subscription
from ordertape.broadcast.frames import Circumstance, Events, Resumed, Told
from ordertape.broadcast.mailbox import Mailbox
from ordertape.broadcast.picture import BookPicture
from support.outlets import KeptOutlet, mailbox_of, until
from support.tape import Market

WHERE = Circumstance("bitfinex", "A/B", "LIVE", 1, True)


def events(first: int, last: int) -> Events:
    return Events(first, last, 1, WHERE, [f'{{"n":{n}}}' for n in range(first, last + 1)])


def picture(market: Market, sequence: int) -> BookPicture:
    made = BookPicture.of(market.book, WHERE, 0)
    made.sequence = sequence
    return made


def whole_market() -> Market:
    """With a book."""
    market = Market()
    for _ in market.messages(30):
        pass
    return market


async def pumped(mailbox: Mailbox, outlet: KeptOutlet, last: int) -> list[dict[str, Any]]:
    """All texts, up to the event ``last``."""
    task, texts = asyncio.create_task(mailbox.pump_forever()), list[dict[str, Any]]()
    try:
        async with asyncio.timeout(60):
            while not texts or sequences(texts)[-1] < last:
                await asyncio.sleep(0)
                texts += outlet.taken()
    finally:
        task.cancel()
    return texts


def sequences(texts: list[dict[str, Any]]) -> list[int]:
    """Of the events in them."""
    found: list[dict[str, int]] = []
    for text in texts:
        if text["type"] == "l3_order":
            found.append(text["data"])
        elif text["type"] == "l3_orders":
            found += text["data"]
    return [data.get("sequence") or data["n"] for data in found]


@pytest.mark.parametrize("batch_ms", [0, 10])
async def test_what_is_missed_is_written_as_it_is_taken_and_then_comes_what_followed(
    batch_ms: int,
) -> None:
    market, outlet = Market(seed=5), KeptOutlet(is_open=False)
    mailbox = mailbox_of(outlet, 1_000)
    missed = Resumed(list(market.messages(900))[1:], WHERE, 1)
    reader = Subscription(mailbox, batch_ms=batch_ms)
    reader.begin(missed.batches[0].first_seq - 1, [missed])
    assert not mailbox.full
    outlet.reopen()
    texts = await pumped(mailbox, outlet, missed.last)
    assert {text["type"] for text in texts} == {"l3_orders" if batch_ms else "l3_order"}
    reader.deliver(events(missed.last + 1, missed.last + 1))
    told = sequences(texts)
    assert told == list(range(missed.batches[0].first_seq, missed.last + 1))
    assert len(outlet.writes) > len(told) / limits.client_take_events
    assert len(outlet.taken()) == 1


async def test_a_large_book_comes_in_frames_as_the_connection_takes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.client_frame_orders", 1)
    market, outlet = Market(), KeptOutlet()
    for _ in market.messages(60):
        pass
    reader = Subscription(mailbox_of(outlet))
    shown = picture(market, 10)
    reader.begin(10, [shown])
    assert len(outlet.writes) > 10
    assert max(map(len, outlet.writes)) < 300
    assert reader.sent == (1, 10)
    (book,) = outlet.taken()
    assert book["bids"] == json.loads(f"{{{shown.members(0)}}}")["bids"]
    assert {"type", "exchange", "state", "era", "age_ms", "tape", "asks"} <= book.keys()


@pytest.mark.parametrize("batch_ms", [0, 1])
async def test_a_frame_is_made_once_for_all_readers(batch_ms: int) -> None:
    group, outlets = Group(batch_ms), [KeptOutlet(), KeptOutlet()]
    for outlet in outlets:
        reader = Subscription(mailbox_of(outlet), batch_ms=batch_ms)
        reader.begin(0, [])
        group.readers.add(reader)
    behind = KeptOutlet()
    late = Subscription(mailbox_of(behind), batch_ms=batch_ms)
    late.begin(2, [])
    group.readers.add(late)
    group.deliver(events(1, 3))
    group.flush()
    one, other = (outlet.writes for outlet in outlets)
    assert len(one) == len(other) == 1
    assert one[0] is other[0]
    assert sequences(behind.taken()) == [3]
    assert late.sent == (1, 3)


async def test_what_came_before_the_first_book_is_held_and_told_once() -> None:
    market, outlet = whole_market(), KeptOutlet()
    reader = Subscription(mailbox_of(outlet))
    reader.deliver(events(8, 9))
    reader.deliver(events(10, 12))
    reader.begin(10, [picture(market, 10), events(11, 11)])
    reader.deliver(events(11, 12))
    reader.deliver(events(13, 13))
    found = outlet.taken()
    assert found[0]["type"] == "l3_snapshot"
    assert sequences(found) == [11, 12, 13]


async def test_what_is_held_before_the_first_book_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 100)
    outlet = KeptOutlet()
    reader = Subscription(mailbox_of(outlet))
    for first in range(1, 1_000, 10):
        reader.deliver(events(first, first + 9))
    assert reader.overran
    reader.forget_early()
    reader.deliver(events(1_001, 1_001))
    reader.begin(1_000, [])
    assert sequences(outlet.taken()) == [1_001]


async def test_no_event_comes_before_the_first_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that waits for a stream, whose replica then begins in its middle."""
    market, outlet = whole_market(), KeptOutlet()
    reader = Subscription(mailbox_of(outlet))
    reader.begin(0, [], has_book=False)
    reader.deliver(Told.of('{"type":"l3_status"}', "l3_status"))
    reader.deliver(events(72, 80))
    reader.deliver(picture(market, 78))
    reader.deliver(events(81, 81))
    found = outlet.taken()
    assert [frame["type"] for frame in found[:2]] == ["l3_status", "l3_snapshot"]
    assert sequences(found) == [79, 80, 81]
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 40)
    reader = Subscription(mailbox_of(outlet, 2**20))
    reader.begin(0, [], has_book=False)
    for nth in range(72, 92):
        reader.deliver(events(nth, nth))
    reader.deliver(picture(market, 72))
    assert reader.has_book is False  # what followed that book was not held back
    reader.deliver(picture(market, 90))
    assert reader.has_book
    assert sequences(outlet.taken()) == [91]


async def test_a_book_is_told_once_a_place() -> None:
    market, outlet = whole_market(), KeptOutlet()
    reader = Subscription(mailbox_of(outlet))
    reader.begin(10, [picture(market, 10)])
    reader.deliver(picture(market, 10))
    reader.deliver(picture(market, 4))
    reader.deliver(picture(market, 12))
    assert [frame["sequence"] for frame in outlet.taken()] == [10, 12]


def group_of(outlet: KeptOutlet, batch_ms: int) -> Group:
    """With one reader, who stands at the start."""
    group, reader = Group(batch_ms), Subscription(mailbox_of(outlet), batch_ms=batch_ms)
    reader.begin(0, [])
    group.readers.add(reader)
    return group


async def test_gathered_events_go_out_in_time_and_before_anything_else() -> None:
    outlet = KeptOutlet()
    group = group_of(outlet, 20)
    group.deliver(events(1, 2))
    group.deliver(events(3, 3))
    assert not outlet.writes
    await until(lambda: bool(outlet.writes))
    (first,) = outlet.taken()
    assert [data["n"] for data in first["data"]] == [1, 2, 3]
    group.deliver(events(4, 4))
    group.deliver(Told.of('{"type":"l3_status"}', "l3_status"))
    assert [frame["type"] for frame in outlet.taken()] == ["l3_orders", "l3_status"]
    group.deliver(events(5, 5))
    group.close()


async def test_what_is_gathered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordertape.limits.client_batch_bytes_max", 100)
    outlet = KeptOutlet()
    group = group_of(outlet, 10_000)
    for seq in range(1, 101):
        group.deliver(events(seq, seq))
    assert len(outlet.writes) > 5
    group.flush()
    assert len(outlet.taken()) > 5


async def test_statistics_keep_their_beat_and_come_straight_to_who_wants_nothing_else() -> None:
    outlet, struck = KeptOutlet(), list[float]()
    reader = Subscription(mailbox_of(outlet), orders=False, statistics_ms=20)
    assert reader.has_book  # it waits for none
    loop, enough = asyncio.get_running_loop(), asyncio.Event()

    def tell(readers: Sequence[Subscription]) -> None:
        struck.append(loop.time())
        for each in readers:
            each.deliver(Told.of('{"type":"l3_statistics"}', "l3_statistics"))
        if len(struck) == 5:
            enough.set()

    began, beat = loop.time(), Beat(20, tell)
    beat.readers.add(reader)
    async with asyncio.timeout(60):
        await enough.wait()
    beat.close()
    assert struck[-1] - began > 0.09
    assert len(outlet.taken()) == 5


async def test_many_are_told_their_statistics_in_turns_and_others_go_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.beat_turn_clients", 4)
    readers = [
        Subscription(mailbox_of(KeptOutlet()), orders=False, statistics_ms=20) for _ in range(10)
    ]
    loop, turns, told, done = (
        asyncio.get_running_loop(),
        list[int](),
        Counter[int](),
        asyncio.Event(),
    )

    def tell(some: Sequence[Subscription]) -> None:
        told.update(map(id, some))
        turns.append(len(some))
        loop.call_soon(turns.append, 0)  # whoever else waits for the loop
        beat.readers.discard(gone)
        if len(turns) >= 12:
            done.set()

    beat, gone = Beat(20, tell), readers[0]
    beat.readers.update(readers)
    async with asyncio.timeout(60):
        await done.wait()
    beat.close()
    assert all(most <= 4 for most in turns)
    assert 0 in turns[1:3]
    assert told[id(gone)] <= 1 < min(told[id(reader)] for reader in readers[1:])


async def test_the_age_of_a_book_is_that_of_the_venues_last_frame() -> None:
    """On a quiet market heartbeats come long after the last event."""
    old = time.time_ns() - 60 * 10**9
    outlet = KeptOutlet()
    reader = Subscription(mailbox_of(outlet))
    shown = picture(Market(), 5)
    shown.ts_recv, shown.heard = old, time.time_ns()
    reader.begin(5, [shown])
    (frame,) = outlet.taken()
    assert frame["age_ms"] < 30_000
