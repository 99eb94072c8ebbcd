"""A replica book follows a tape that is being written, and lets readers join and resume."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.broadcast.encode import order_objects, resting_orders
from ordertape.broadcast.frames import Circumstance, Events, Resumed
from ordertape.broadcast.picture import BookPicture
from ordertape.broadcast.replica import Posted, ReplicaBook, StateTold
from ordertape.broadcast.ring import Ring
from ordertape.models import L3Snapshot, orders_of
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.events import batch
from support.outlets import texts_in
from support.processes import wait_for
from support.tape import Market


class Tape:
    """A market on a tape, and a replica of it."""

    def __init__(self, data: Path, codec: str = "int", kept: int = 100_000) -> None:
        self.market = Market(codec)
        self.data = data
        self.journal = JournalWriter(MarketFolder(data, "bitfinex", "A/B"))
        self.posted: list[Posted] = []
        self.replica = ReplicaBook(
            data, "bitfinex", "A/B", post=self.posted.append, events_kept=kept
        )

    def state(self, before: str, after: str) -> None:
        fields = {"from": before, "to": after, "reason": "a test"}
        self.journal.mark(Mark("state", self.market.next_seq - 1, self.market.now, fields))

    def era(self, number: int) -> None:
        """A new book, and what a stream says of it."""
        self.end_of_sync(number, self.clear())

    def clear(self) -> int:
        """A new book's rows, and that it is LIVE; the seq of its CLEAR."""
        clear = self.market.message(clear=True)
        self.journal.append(clear)
        self.state("SYNCING", "LIVE")
        return clear.first_seq

    def end_of_sync(self, number: int, seq: int) -> None:
        self.journal.mark(Mark("era", seq, self.market.now, {"era": number}))

    def go_on(self, messages: int) -> None:
        for message in self.market.messages(messages):
            self.journal.append(message)

    def caught_up(self) -> None:
        last = self.market.next_seq - 1
        wait_for(lambda: self.sequence == last, "the replica")

    @property
    def sequence(self) -> int:
        found = self.replica.statistics()
        return 0 if found is None else found[1]


@pytest.fixture(params=["int", "uuid", "intern"])
def tape(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tape]:
    made = Tape(tmp_path, request.param, kept=1_000)
    try:
        yield made
    finally:
        made.replica.stop()
        made.journal.close()


def sequences(items: Sequence[Posted | Resumed]) -> list[int]:
    found = []
    for item in items:
        if isinstance(item, Resumed):
            data = b"".join(made.data for made in item.parcels(batched=False))
            found += [json.loads(text)["data"] for text in texts_in(data)]
        elif isinstance(item, Events):
            found += [json.loads(data) for data in item.objects]
    return [data["sequence"] for data in found]


def test_the_book_is_the_tapes_and_each_era_is_posted(tape: Tape) -> None:
    tape.replica.wanted = True
    tape.replica.start()
    tape.era(1)
    assert tape.replica.wait_live(5)
    tape.go_on(200)
    tape.era(2)
    tape.go_on(100)
    tape.caught_up()
    picture = tape.replica.picture()
    assert picture is not None
    assert picture.sequence == tape.market.book.seq
    expected = L3Snapshot.from_book("bitfinex", "A/B", tape.market.book)
    shown = json.loads(f"{{{picture.members(0)}}}")
    assert shown["bids"] == json.loads(expected.model_dump_json())["bids"]
    assert shown["asks"] == json.loads(expected.model_dump_json())["asks"]
    books = [item for item in tape.posted if isinstance(item, BookPicture)]
    assert [book.where.era for book in books][-1] == 2
    assert {book.where.state for book in books} == {"LIVE"}
    tape.state("LIVE", "STALE")
    wait_for(lambda: StateTold("STALE", "a test") in tape.posted, "the doubt")
    events = [item for item in tape.posted if isinstance(item, Events)]
    told = sequences([*events])
    assert told == list(range(told[0], tape.market.next_seq))


def test_a_replica_that_began_behind_the_state_tells_it_before_the_book(tape: Tape) -> None:
    tape.replica.wanted = True
    seq = tape.clear()
    tape.replica.start()
    assert tape.replica.wait_live(5)
    tape.end_of_sync(1, seq)
    tape.go_on(1)
    tape.caught_up()
    wait_for(lambda: len(tape.posted) >= 3, "the book and an event")
    told, book, *_ = tape.posted
    assert told == StateTold("LIVE", "a test")
    assert isinstance(book, BookPicture)
    assert book.where.state == "LIVE"


def test_a_reader_joins_with_the_book_and_nothing_twice(tape: Tape) -> None:
    tape.era(1)
    tape.go_on(50)
    tape.replica.start()
    tape.caught_up()
    assert tape.replica.wait_live(5)
    beginning = tape.replica.begin()
    assert isinstance(beginning.items[0], BookPicture)
    assert beginning.after == beginning.items[0].sequence == tape.market.book.seq
    assert sequences(beginning.items) == []


@pytest.mark.parametrize("back", [3, 500, 4_000])
def test_a_reader_resumes_from_memory_or_from_the_tape(tape: Tape, back: int) -> None:
    tape.era(1)
    tape.replica.start()
    tape.go_on(4_000)
    tape.caught_up()
    last = tape.market.book.seq
    beginning = tape.replica.begin((1, last - back))
    assert beginning.after == last - back
    assert sequences(beginning.items) == list(range(last - back + 1, last + 1))


def test_too_much_to_resume_or_another_era_is_a_book(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.resume_events_max", 100)
    tape.era(1)
    tape.replica.start()
    tape.go_on(3_000)
    tape.caught_up()
    for since in ((1, 1), (7, 1), (1, tape.market.book.seq + 1)):
        assert isinstance(tape.replica.begin(since).items[0], BookPicture)


def test_who_has_the_last_event_gets_nothing_and_goes_on(tape: Tape) -> None:
    tape.era(1)
    tape.replica.start()
    tape.go_on(2_000)
    tape.caught_up()
    last = tape.market.book.seq
    beginning = tape.replica.begin((1, last))
    assert (beginning.after, beginning.items, beginning.has_book) == (last, [], True)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_memory_and_tape_meet_without_a_seam(tape: Tape, beyond: int) -> None:
    """Right before, at and behind the oldest event in memory; then as far as may be read."""
    tape.era(1)
    tape.replica.start()
    tape.go_on(2_000)
    tape.caught_up()
    last = tape.market.book.seq
    oldest = last - 1_000  # about: memory holds whole batches
    for after in range(oldest - 12, oldest + 12):
        beginning = tape.replica.begin((1, after + beyond))
        told = sequences(beginning.items)
        assert told == list(range(after + beyond + 1, last + 1))


def test_what_is_old_is_in_memory_no_more_and_read_from_the_tape(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.live_events_kept_seconds", 1)
    tape.replica._ring = Ring(100_000)
    tape.era(1)
    tape.replica.start()
    tape.caught_up()
    tape.go_on(3_000)
    tape.caught_up()
    held = list(tape.replica._ring)
    times = [batch.last_ts_recv for batch in held]
    assert times[-1] - 10**9 <= times[0] < times[-1]
    last = tape.market.book.seq
    assert held[0].first_seq > last / 2
    assert sequences(tape.replica.begin((1, 10)).items) == list(range(11, last + 1))


def test_as_much_as_may_be_read_is_resumed_and_one_more_is_a_book(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape.era(1)
    tape.replica.start()
    tape.caught_up()  # or all of it would be in the book that it begins with
    tape.go_on(3_000)
    tape.caught_up()
    held = next(iter(tape.replica._ring)).first_seq
    monkeypatch.setattr("ordertape.limits.resume_events_max", 100)
    last = tape.market.book.seq
    assert sequences(tape.replica.begin((1, held - 100)).items) == list(range(held - 99, last + 1))
    assert isinstance(tape.replica.begin((1, held - 101)).items[0], BookPicture)


def test_a_place_before_the_era_began_is_a_book(tape: Tape) -> None:
    tape.era(1)
    tape.replica.start()
    tape.go_on(100)
    tape.era(2)
    wait_for(lambda: tape.replica.history.last_era == 2, "the second era")
    tape.caught_up()
    assert isinstance(tape.replica.begin((2, 5)).items[0], BookPicture)


def test_without_a_live_book_a_reader_gets_none(tape: Tape) -> None:
    tape.replica.start()
    assert tape.replica.begin().items == []
    assert tape.replica.picture() is None
    tape.era(1)
    tape.state("LIVE", "CONNECTING")
    wait_for(lambda: tape.replica.state == "CONNECTING", "the loss")
    beginning = tape.replica.begin()
    assert (beginning.items, beginning.has_book) == ([], False)
    assert tape.replica.picture() is not None


def test_what_the_tape_calls_live_is_not_where_its_collector_is_gone(tape: Tape) -> None:
    tape.era(1)
    tape.replica.start()
    assert tape.replica.wait_live(5)
    assert tape.replica.begin(live=False).items == []
    assert tape.replica.begin((1, tape.market.book.seq), live=False).has_book


def test_a_tape_that_can_not_be_read_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ordertape.limits.replica_retry_ms", 5)
    folder = MarketFolder(tmp_path, "bitfinex", "A/B")
    folder.archive.mkdir(parents=True)
    broken = folder.archive / f"events-{1:020d}-{9:020d}.parquet"
    broken.write_text("no Parquet")
    posted: list[Posted] = []
    replica = ReplicaBook(tmp_path, "bitfinex", "A/B", post=posted.append)
    replica.start()
    wait_for(lambda: replica.failure != "", "its failure")
    assert "expected a " in replica.failure
    assert replica.state == "STALE"
    assert posted == [StateTold("STALE", replica.failure)]
    broken.unlink()
    with JournalWriter(folder) as journal:
        for message in Market().messages(5, clear_every=10):
            journal.append(message)
        wait_for(lambda: replica.picture() is not None, "its book")
    replica.stop()
    assert replica.failure == ""


def test_an_event_as_text_says_what_the_model_says() -> None:
    made = batch()
    objects = order_objects(made, 1, '{"exchange":"x","symbol":"y",')
    for text, order in zip(objects, orders_of(made, "x", "y", 1), strict=True):
        assert json.loads(text, parse_float=str) == json.loads(
            order.model_dump_json(), parse_float=str
        )
    market = Market("uuid")
    for message in market.messages(300, clear_every=100):
        for text, order in zip(
            order_objects(message, 3), orders_of(message, "x", "y", 3), strict=True
        ):
            ours = json.loads(order.model_dump_json(), parse_float=str)
            assert json.loads(text, parse_float=str) == {
                key: ours[key] for key in ours if key not in ("exchange", "symbol")
            }


def test_a_book_of_every_depth_is_a_part_of_the_whole_and_shares_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "client_frame_orders", 2)
    market = Market()
    written: list[int] = []

    def counting(rows: EventBatch) -> list[str]:
        written.append(len(rows))
        return resting_orders(rows)

    monkeypatch.setattr("ordertape.broadcast.picture.resting_orders", counting)
    for _ in market.messages(120):
        pass
    where = Circumstance("bitfinex", "A/B", "LIVE", 1, True)
    shown = BookPicture.of(market.book, where, 1)
    depths = [3, 1, 0, 2, len(market.book.snapshot()) // 2, 10**6]
    for depth in depths:
        assert depth == 10**6 or not shown.is_written(depth)
        shown.write(depth)
    assert len(shown.rows) <= sum(written) <= len(shown.rows) + 2 * len(depths)
    assert shown.write(10**6) is shown.write(0)
    for depth in depths:
        assert shown.write(depth) is shown.write(depth)
        assert shown.is_written(depth)
    bids = shown.write(0)[1:]
    assert shown.write(3)[1] is shown.write(2)[1] is bids[0]
    whole = json.loads(f"{{{shown.members(0)}}}")
    for depth in depths:
        (sent,) = texts_in(b"".join(parcel.data for parcel in shown.parcels(depth)))
        book = json.loads(sent)
        assert book["tape"]["ts_recv_ns"] == shown.ts_recv
        for side in ("bids", "asks"):
            assert len(whole[side]) > 3
            assert book[side] == whole[side][: depth or None]
            assert json.loads(f"{{{shown.members(depth)}}}")[side] == book[side]
