"""Mailboxes are bounded and warn first; a reader gets every event once, in order."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from ordertape import limits
from ordertape.broadcast.channel import Mailbox, Subscription, TooSlow
from ordertape.broadcast.frames import BookPicture, Circumstance, Events, Frame, Resumed, Told
from support.tape import Market

WHERE = Circumstance("bitfinex", "A/B", "LIVE", 1, True)


def events(first: int, last: int) -> Events:
    return Events(first, last, 1, WHERE, [f'{{"n":{n}}}' for n in range(first, last + 1)])


def picture(market: Market, sequence: int) -> BookPicture:
    made = BookPicture.of(market.book, WHERE, 0)
    made.sequence = sequence
    return made


async def taken(mailbox: Mailbox) -> list[dict[str, object]]:
    return [json.loads(frame.text) for frame, _ in await mailbox.take()]


async def test_frames_come_in_order_and_a_taker_waits_for_the_first() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    mailbox.put(Frame("a"))
    mailbox.put(Frame("b"))
    assert [frame.text for frame, _ in await waiting] == ["a", "b"]


async def test_half_full_warns_once_and_before_what_waits() -> None:
    mailbox = Mailbox(bytes_max=1_000)
    for _ in range(7):
        mailbox.put(Frame("x" * 100))
    frames = [frame.text for frame, _ in await mailbox.take()]
    assert json.loads(frames[0])["type"] == "l3_warning"
    assert [len(text) for text in frames[1:]] == [100] * 7


async def test_full_drops_what_waits_and_ends_the_client() -> None:
    mailbox = Mailbox(bytes_max=1_000)
    for _ in range(20):
        mailbox.put(Frame("x" * 100))
    assert mailbox.full
    with pytest.raises(TooSlow):
        await mailbox.take()


async def test_what_is_missed_is_written_as_it_is_taken_and_then_comes_what_followed() -> None:
    market, mailbox = Market(seed=5), Mailbox(bytes_max=1_000)
    missed = Resumed(list(market.messages(900))[1:], WHERE, 1)
    reader = Subscription(mailbox)
    reader.begin(missed.batches[0].first_seq - 1, [missed])
    assert not mailbox.full
    reader.deliver(events(missed.last + 1, missed.last + 1))
    told: list[int] = []
    while not told or told[-1] <= missed.last:
        frames = await mailbox.take()
        assert 0 < len(frames) <= limits.client_take_frames
        told += [frame.stand[1] for frame, _ in frames if frame.stand is not None]
    assert told == list(range(missed.batches[0].first_seq, missed.last + 2))


async def test_what_is_missed_comes_in_lists_where_that_is_wanted() -> None:
    market, mailbox = Market(seed=5), Mailbox()
    missed = Resumed(list(market.messages(300))[1:], WHERE, 1)
    reader = Subscription(mailbox, batch_ms=10)
    reader.begin(missed.batches[0].first_seq - 1, [missed])
    lists = await taken(mailbox)
    assert {frame["type"] for frame in lists} == {"l3_orders"}
    reader.close()


async def test_one_frame_alone_always_fits() -> None:
    mailbox = Mailbox(bytes_max=10)
    mailbox.put(Frame("x" * 100))
    assert len(await mailbox.take()) == 1


async def test_a_frame_is_encoded_once_for_all_readers() -> None:
    item = events(1, 3)
    boxes = [Mailbox(), Mailbox()]
    for box in boxes:
        reader = Subscription(box)
        reader.begin(0, [])
        reader.deliver(item)
    one, other = [await box.take() for box in boxes]
    assert all(a[0].text is b[0].text for a, b in zip(one, other, strict=True))


async def test_what_came_before_the_first_book_is_held_and_told_once() -> None:
    market, mailbox = Market(), Mailbox()
    for _ in market.messages(30):
        pass
    reader = Subscription(mailbox)
    reader.deliver(events(8, 9))
    reader.deliver(events(10, 12))
    reader.begin(10, [picture(market, 10), events(11, 11)])
    reader.deliver(events(11, 12))
    reader.deliver(events(13, 13))
    found = await taken(mailbox)
    assert [frame["type"] for frame in found] == ["l3_snapshot", *["l3_order"] * 3]
    assert [frame["data"] for frame in found[1:]] == [{"n": 11}, {"n": 12}, {"n": 13}]


async def test_what_is_held_before_the_first_book_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 100)
    reader = Subscription(Mailbox())
    for first in range(1, 1_000, 10):
        reader.deliver(events(first, first + 9))
    assert reader.overran
    reader.forget_early()
    reader.deliver(events(1_001, 1_001))
    reader.begin(1_000, [])
    assert [frame["data"] for frame in await taken(reader.mailbox)] == [{"n": 1_001}]


async def test_no_event_comes_before_the_first_book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that waits for a stream, whose replica then begins in its middle."""
    market = Market()
    for _ in market.messages(30):
        pass
    reader = Subscription(Mailbox())
    reader.begin(0, [], has_book=False)
    reader.deliver(Told(Frame('{"type":"l3_status"}')))
    reader.deliver(events(72, 80))
    reader.deliver(picture(market, 78))
    reader.deliver(events(81, 81))
    found = await taken(reader.mailbox)
    assert [frame["type"] for frame in found[:2]] == ["l3_status", "l3_snapshot"]
    assert [frame["data"] for frame in found[2:]] == [{"n": 79}, {"n": 80}, {"n": 81}]
    monkeypatch.setattr("ordertape.limits.client_mailbox_bytes_max", 40)
    reader = Subscription(Mailbox(2**20))
    reader.begin(0, [], has_book=False)
    for nth in range(72, 92):
        reader.deliver(events(nth, nth))
    reader.deliver(picture(market, 72))
    assert reader.has_book is False  # what followed that book was not held back
    reader.deliver(picture(market, 90))
    assert reader.has_book
    found = await taken(reader.mailbox)
    assert [frame.get("data") for frame in found[1:]] == [{"n": 91}]


async def test_a_book_is_told_once_a_place() -> None:
    market, mailbox = Market(), Mailbox()
    for _ in market.messages(30):
        pass
    reader = Subscription(mailbox)
    reader.begin(10, [picture(market, 10)])
    reader.deliver(picture(market, 10))
    reader.deliver(picture(market, 4))
    reader.deliver(picture(market, 12))
    assert [frame["sequence"] for frame in await taken(mailbox)] == [10, 12]


async def test_gathered_events_go_out_in_time_and_before_anything_else() -> None:
    mailbox = Mailbox()
    reader = Subscription(mailbox, batch_ms=20)
    reader.begin(0, [])
    reader.deliver(events(1, 2))
    reader.deliver(events(3, 3))
    first = await taken(mailbox)
    assert [frame["data"] for frame in first] == [[{"n": 1}, {"n": 2}, {"n": 3}]]
    reader.deliver(events(4, 4))
    reader.deliver(Told(Frame('{"type":"l3_status"}')))
    assert [frame["type"] for frame in await taken(mailbox)] == ["l3_orders", "l3_status"]
    reader.close()


async def test_where_a_reader_stands_moves_with_its_frames() -> None:
    mailbox = Mailbox()
    reader = Subscription(mailbox, batch_ms=10_000)
    reader.begin(0, [])
    reader.deliver(events(1, 5))
    reader.flush()
    ((frame, whose),) = await mailbox.take()
    assert whose is reader
    assert frame.stand == (1, 5)


async def test_the_age_of_a_book_is_that_of_the_venues_last_frame() -> None:
    """On a quiet market heartbeats come long after the last event."""
    old = time.time_ns() - 60 * 10**9
    mailbox = Mailbox()
    reader = Subscription(mailbox)
    shown = picture(Market(), 5)
    shown.ts_recv, shown.heard = old, time.time_ns()
    reader.begin(5, [shown])
    (frame,) = await taken(mailbox)
    assert frame["age_ms"] < 30_000
