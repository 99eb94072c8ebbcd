"""Mailboxes are bounded, warn first, and leave out old state alone; frames are RFC 6455's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat

import pytest
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from ordertape import limits
from ordertape.broadcast.figures import ClientCounts
from ordertape.broadcast.frames import Parcel
from ordertape.broadcast.mailbox import Mailbox, TooSlow
from ordertape.broadcast.wire import framed
from support.outlets import KeptOutlet, mailbox_of, texts_in, until


class Reader:
    sent: tuple[int, int] | None = None


@asynccontextmanager
async def pumping(mailbox: Mailbox) -> AsyncIterator[None]:
    """Hands on what waits meanwhile."""
    task = asyncio.create_task(mailbox.pump_forever())

    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def state(value: int, topic: str = "l3_status") -> Parcel:
    return Parcel.of(f'{{"type":"{topic}","value":{value}}}', topic)


def event(seq: int, size: int = 0) -> Parcel:
    words = json.dumps({"type": "l3_order", "seq": seq, "more": "x" * size})
    return Parcel(framed(words.encode()), (1, seq))


# Frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_frame_is_what_another_library_makes_of_it(size: int) -> None:
    payload = b"x" * size
    assert framed(payload) == TheirFrame(Opcode.TEXT, payload, True).serialize(mask=False)
    assert framed(payload, first=False, last=False) == TheirFrame(
        Opcode.CONT, payload, False
    ).serialize(mask=False)


# Straight on --------------------------------------------------------------------------------------


async def test_a_client_that_keeps_up_is_written_to_at_once() -> None:
    outlet, reader = KeptOutlet(), Reader()
    mailbox = mailbox_of(outlet)
    mailbox.put(event(1), reader)
    mailbox.put(event(2), reader)
    assert [text["seq"] for text in outlet.taken()] == [1, 2]
    assert reader.sent == (1, 2)


async def test_what_waits_comes_in_order_when_the_connection_takes_more() -> None:
    outlet, reader = KeptOutlet(is_open=False), Reader()
    mailbox = mailbox_of(outlet)
    for seq in (1, 2, 3):
        mailbox.put(event(seq), reader)
    assert (outlet.data, reader.sent) == (b"", None)
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: len(outlet.writes) == 3)
        mailbox.put(event(4), reader)
    assert [text["seq"] for text in outlet.taken()] == [1, 2, 3, 4]
    assert reader.sent == (1, 4)


async def test_one_turn_hands_on_a_bounded_part() -> None:
    outlet = KeptOutlet()
    mailbox = mailbox_of(outlet)
    size = limits.client_turn_bytes
    mailbox.put_later(iter([event(1, size), event(2, size)]), Reader())
    assert len(outlet.writes) == 1  # the rest when others had their turn
    mailbox.put(event(3), Reader())
    async with pumping(mailbox):
        await until(lambda: len(outlet.writes) == 3)
    assert [text["seq"] for text in outlet.taken()] == [1, 2, 3]


async def test_nothing_comes_between_the_pieces_of_a_book() -> None:
    """A warning goes before everything else that waits."""
    outlet = KeptOutlet()
    mailbox = mailbox_of(outlet, 1_000)

    def pieces() -> Iterator[Parcel]:
        yield Parcel(framed(b'{"type":', last=False), messages=0)
        outlet.shut()
        yield Parcel(framed(b'"l3_snap', first=False, last=False), messages=0)
        yield Parcel(framed(b'shot"}', first=False))

    mailbox.put_later(pieces(), Reader())
    for seq in range(6):
        mailbox.put(event(seq, 60), Reader())
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: len(outlet.writes) == 10)
    kinds = [text["type"] for text in outlet.taken()]
    assert kinds == ["l3_snapshot", "l3_warning", *["l3_order"] * 6]


async def test_a_connection_that_closes_ends_the_pump() -> None:
    outlet = KeptOutlet(is_open=False)
    mailbox = mailbox_of(outlet)
    mailbox.put(event(1))
    outlet.closing = True
    outlet.reopen()
    async with asyncio.timeout(60):
        await mailbox.pump_forever()
    assert outlet.data == b""


# Bounds -------------------------------------------------------------------------------------------


async def test_half_full_warns_once_and_before_what_waits() -> None:
    outlet = KeptOutlet(is_open=False)
    mailbox = mailbox_of(outlet, 1_000)
    for seq in range(7):
        mailbox.put(event(seq, 70))
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: len(outlet.writes) == 8)
    texts = outlet.taken()
    assert texts[0]["type"] == "l3_warning"
    assert "over 1000 this connection is closed" in texts[0]["detail"]
    assert [text["seq"] for text in texts[1:]] == list(range(7))


async def test_full_drops_what_waits_and_ends_the_client() -> None:
    outlet, counts = KeptOutlet(is_open=False), ClientCounts()
    mailbox = Mailbox(outlet, counts, 1_000)
    for seq in range(30):
        mailbox.put(event(seq, 70))
    assert mailbox.full
    with pytest.raises(TooSlow):
        await mailbox.until_full()
    outlet.reopen()
    mailbox.put(event(31))
    assert outlet.data == b""
    found = counts.figures()
    assert (found.closed_too_slow, found.waiting_bytes, found.clients) == (1, 0, 1)
    assert 500 < found.largest_mailbox_bytes <= 1_000
    assert found.dropped_frames > 5
    mailbox.close()
    assert counts.figures().clients == 0


async def test_one_parcel_alone_always_fits() -> None:
    mailbox = mailbox_of(KeptOutlet(is_open=False), 10)
    mailbox.put(event(1, 1_000))
    assert not mailbox.full


async def test_what_a_client_begins_with_does_not_count() -> None:
    outlet = KeptOutlet(is_open=False)
    mailbox = mailbox_of(outlet, 1_000)
    mailbox.put_later(iter([event(1, 5_000)]), Reader())
    for seq in range(2, 40):
        mailbox.put(event(seq, 100), asked_for=True)
    assert not mailbox.full
    mailbox.put(event(40, 400))
    assert not mailbox.full


async def test_a_book_larger_than_a_mailbox_closes_nobody_who_takes_it() -> None:
    outlet, counts = KeptOutlet(), ClientCounts()
    mailbox = Mailbox(outlet, counts, 1_000)

    def pieces() -> Iterator[Parcel]:
        yield event(0, 5_000)
        outlet.shut()
        yield from (event(1, 5_000), event(2, 5_000))

    mailbox.put_later(pieces(), Reader(), 15_000)
    for seq in range(3, 9):
        mailbox.put(event(seq, 50))
    assert counts.figures().waiting_bytes > 15_000
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: counts.waiting_bytes == 0)
    assert [t["seq"] for t in outlet.taken() if t["type"] == "l3_order"] == list(range(9))
    assert not mailbox.full
    assert sum(counts.figures().waited.counts) == 7  # the events and the warning before them


async def test_who_takes_nothing_of_a_book_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "client_stalled_ms", 20)
    outlet, counts = KeptOutlet(is_open=False), ClientCounts()
    mailbox = Mailbox(outlet, counts)
    mailbox.put(event(1))
    async with pumping(mailbox):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):  # events alone are bounded by their size
                await mailbox.until_full()
        mailbox.put_later(iter([event(2)]), Reader(), 5_000)
        with pytest.raises(TooSlow):
            async with asyncio.timeout(60):
                await mailbox.until_full()
    found = counts.figures()
    assert (found.closed_too_slow, found.dropped_frames, found.waiting_bytes) == (1, 2, 0)


async def test_who_takes_a_book_slowly_is_not_closed_until_it_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection may be full all the time: what the client has not acknowledged gets less."""
    monkeypatch.setattr(limits, "client_stalled_ms", 20)
    outlet = KeptOutlet(is_open=False)
    falling = iter(range(40, 0, -1))
    outlet.looks = chain(falling, repeat(0))
    mailbox = mailbox_of(outlet)
    mailbox.put_later(iter([event(1)]), Reader(), 5_000)
    async with pumping(mailbox):
        with pytest.raises(TooSlow):
            async with asyncio.timeout(60):
                await mailbox.until_full()
    assert next(falling, None) is None


async def test_what_waits_is_counted_once_when_it_is_dropped_and_noted_when_it_is_taken() -> None:
    outlet, counts = KeptOutlet(), ClientCounts()
    mailbox = Mailbox(outlet, counts)
    mailbox.put_later(iter([event(1)]), Reader(), 100)  # goes straight on
    assert counts.figures().waited.counts[-1] == 0
    outlet.shut()
    for value in range(3):
        mailbox.put(state(value))
    mailbox.put_later(iter([event(2), event(3)]), Reader(), 100)
    mailbox.overflow()
    found = counts.figures()
    assert (found.conflated_frames, found.dropped_frames) == (2, 2)


async def test_a_third_book_is_not_kept_for_a_client_that_has_not_taken_the_first() -> None:
    outlet, first, other = KeptOutlet(is_open=False), Reader(), Reader()
    mailbox = mailbox_of(outlet)
    for seq in (1, 3):
        mailbox.put_later(iter([event(seq)]), first, 100)
        mailbox.put(event(seq + 1), first)
    mailbox.put_later(iter([event(5)]), other, 100)  # another market's
    assert not mailbox.full
    mailbox.put(event(6), first)
    mailbox.put_later(iter([event(7)]), first, 100)
    assert mailbox.full


# Leaving out --------------------------------------------------------------------------------------


async def test_the_newest_state_alone_waits_and_says_how_many_it_replaced() -> None:
    outlet, counts, reader = KeptOutlet(is_open=False), ClientCounts(), Reader()
    mailbox = Mailbox(outlet, counts, 10_000)
    mailbox.put(event(1), reader)
    for value in range(3):
        mailbox.put(state(value), reader)
        mailbox.put(event(2 + value), reader)
    for value in range(2):
        mailbox.put(state(value, "l3_statistics"), reader)
    mailbox.put(state(9, "l3_statistics"), Reader())  # another market's
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: counts.frames_sent == 7)
        mailbox.put(state(7), reader)
    texts = outlet.taken()
    assert [text["seq"] for text in texts if text["type"] == "l3_order"] == [1, 2, 3, 4]
    told = [text for text in texts if text["type"] != "l3_order"]
    assert told == [
        {"type": "l3_status", "value": 2, "conflated": 2},
        {"type": "l3_statistics", "value": 1, "conflated": 1},
        {"type": "l3_statistics", "value": 9},
        {"type": "l3_status", "value": 7},
    ]
    assert texts.index(told[0]) == 3  # where the newest of them stood
    assert counts.figures().conflated_frames == 3


async def test_state_alone_never_fills_a_mailbox() -> None:
    outlet = KeptOutlet(is_open=False)
    mailbox, reader = mailbox_of(outlet, 1_000), Reader()
    for value in range(10_000):
        mailbox.put(state(value, "l3_statistics"), reader)
    assert not mailbox.full


async def test_a_book_replaces_one_that_waits_unless_events_stand_on_it() -> None:
    outlet, counts, reader = KeptOutlet(is_open=False), ClientCounts(), Reader()
    mailbox = Mailbox(outlet, counts, 10_000)
    for seq in (1, 2):
        mailbox.put_later(iter([event(seq)]), reader, 100)
    mailbox.put(event(3), reader)
    mailbox.put_later(iter([event(4)]), reader, 100)
    async with pumping(mailbox):
        outlet.reopen()
        await until(lambda: len(outlet.writes) == 3)
    assert [text["seq"] for text in outlet.taken()] == [2, 3, 4]
    assert counts.figures().conflated_frames == 1


def test_the_reading_of_frames_here_joins_pieces() -> None:
    data = framed(b"ab", last=False) + framed(b"c", first=False) + framed(b"d")
    assert list(texts_in(data)) == [b"abc", b"d"]
