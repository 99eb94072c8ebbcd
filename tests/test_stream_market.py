"""One market's life, told frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec, OrderBook
from ordertape.errors import TransitionRefused
from ordertape.events import EventKind, Flag
from ordertape.stream import MarketStream, Step, StreamState, Wish
from ordertape.tape.marks import Mark
from ordertape.times import iso_from_ns
from ordertape.venues import venue_of
from support.bitfinex import START_MS, NaiveVenue

T = START_MS * 1_000_000
MS = 1_000_000
SECOND = 1_000 * MS


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []
        self.marks: list[Mark] = []
        self.books: list[int] = []

    def append(self, batch: EventBatch, /) -> None:
        self.batches.append(batch)

    def snapshot(self, book: OrderBook, /) -> None:
        self.books.append(book.seq)

    def mark(self, mark: Mark, /) -> None:
        self.marks.append(mark)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [mark.fields for mark in self.marks if mark.kind == kind]


@dataclass
class Tape:
    """What a tape ends with."""

    last_seq: int
    last_ts_recv: int
    era: int
    codec: IdCodec
    price_scale: int | None = 8
    size_scale: int | None = 8
    gap: Mark | None = None


class Life:
    """A stream against a naive venue, with a clock of its own."""

    def __init__(self, *, live: bool = True, **options: Any) -> None:
        self.kept = Kept()
        self.stream = MarketStream(venue_of("bitfinex"), "BTC/USD", sink=self.kept, **options)
        self.venue = NaiveVenue(length=25)
        self.now = T
        if live:
            self.stream.start(self.now)
            self.connect()

    def connect(self) -> None:
        self.stream.on_open(self.now)
        assert not any(step.wish for step in self.send(self.venue.connection()))
        assert self.stream.state is StreamState.LIVE

    def send(self, frames: list[str], step_ns: int = MS) -> list[Step]:
        steps = []
        for frame in frames:
            self.now += step_ns
            step = self.stream.on_frame(frame.encode(), self.now)
            if step is not None:
                steps.append(step)
        return steps

    def iterate(self, times: int = 1) -> list[Step]:
        return [step for _ in range(times) for step in self.send(self.venue.iteration())]

    def tick_until(self, seconds: float, every_ms: int = 100) -> Step | None:
        """Time passes without frames; the first step wished for."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += every_ms * MS
            step = self.stream.tick(self.now)
            if step is not None:
                return step
        return None

    @property
    def states(self) -> list[str]:
        return [fields["to"] for fields in self.kept.of("state")]


def requests(step: Step) -> list[dict[str, Any]]:
    return [msgspec.json.decode(text) for text in step.send]


def bad_checksum(life: Life) -> list[Step]:
    return life.send([life.venue.checksum(life.venue.shown.checksum() ^ 1)])


# Living -------------------------------------------------------------------------------------------
def test_a_stream_goes_from_stopped_to_live_and_back() -> None:
    life = Life()
    life.iterate(20)
    life.stream.stop(life.now)
    assert life.states == ["CONNECTING", "SYNCING", "LIVE", "STOPPED"]
    assert life.stream.integrity.proven
    assert life.stream.counters["gaps"] == 0
    assert life.kept.of("era") == [{"era": 1}]


def test_seq_is_one_more_for_each_event_and_the_sink_has_them_all() -> None:
    life = Life()
    life.iterate(50)
    replayed = OrderBook()
    seq = 0
    for batch in life.kept.batches:
        assert batch.first_seq == seq + 1
        assert replayed.apply(batch).faults == 0
        seq = batch.last_seq
    assert life.stream.sequence == life.stream.events == seq
    assert replayed.digest() == life.stream.book.digest()


def test_the_first_batch_is_a_clear_and_the_state_after_it() -> None:
    life = Life()
    first = life.kept.batches[0]
    assert first[0]["kind"] == EventKind.CLEAR
    assert all(first[index]["flags"] & Flag.SNAPSHOT for index in range(1, len(first)))
    assert (first.first_seq, first.last_seq, len(first)) == (1, 1, 51)
    assert life.kept.of("digest")[0]["orders"] == 50


def test_marks_are_written_every_interval_where_something_happened() -> None:
    life = Life(snapshot_interval_seconds=10)
    for _ in range(25):
        life.send(life.venue.iteration(), step_ns=0)
        life.now += SECOND
        life.stream.tick(life.now)
    assert life.kept.books == sorted(life.kept.books)
    assert len(life.kept.books) == life.stream.record.snapshots_taken == 2
    before = len(life.kept.books)
    life.now += 8 * SECOND
    life.stream.tick(life.now)
    life.now += 11 * SECOND
    life.stream.tick(life.now)
    assert len(life.kept.books) == before + 1  # the second tick found nothing new


def test_a_clock_that_runs_backwards_is_held() -> None:
    life = Life()
    life.now -= 3600 * SECOND
    life.iterate(30)
    times = [batch[index]["ts_recv"] for batch in life.kept.batches for index in range(len(batch))]
    assert times == sorted(times)
    assert times[0] >= T


def test_a_clock_set_back_an_hour_drops_no_connection_and_hides_no_silence() -> None:
    life = Life()
    life.now -= 3600 * SECOND
    life.stream.tick(life.now)
    life.stream.on_close("the network went", life.now)
    life.stream.on_open(life.now)
    assert life.tick_until(5) is None  # all the time that a snapshot may take
    life.send(life.venue.connection())
    assert life.stream.state is StreamState.LIVE
    step = life.tick_until(2 * limits.silence_stale_ms / 1000 + 1)
    assert step is not None
    assert step.wish is Wish.RECONNECT
    assert life.states[-2:] == ["STALE", "CONNECTING"]


def test_a_commit_that_silence_made_is_not_older_than_the_frames_of_a_clock_set_back() -> None:
    life = Life()
    life.send(life.venue.iteration()[:-1])  # its checksum does not come
    life.tick_until(0.2)
    life.now -= SECOND
    life.iterate(5)
    times = [batch[index]["ts_recv"] for batch in life.kept.batches for index in range(len(batch))]
    assert times == sorted(times)


def test_frames_of_no_state_are_refused_by_name() -> None:
    life = Life(live=False)
    with pytest.raises(TransitionRefused, match="open: expected CONNECTING, the stream is STOPPED"):
        life.stream.on_open(T)


# Checksums ----------------------------------------------------------------------------------------
def test_a_first_mismatch_leaves_live_at_once_and_a_match_returns() -> None:
    life = Life()
    assert bad_checksum(life) == []
    assert life.stream.state is StreamState.STALE
    assert "ours is" in life.stream.reason
    life.send([life.venue.checksum()])
    assert life.stream.state is StreamState.LIVE
    assert life.kept.of("gap") == []
    assert len(life.stream.errors) == 1


def test_a_second_mismatch_in_a_row_resyncs_into_a_new_era() -> None:
    life = Life()
    agreed = life.now - MS
    bad_checksum(life)
    (step,) = bad_checksum(life)
    assert step.wish is None
    assert requests(step) == [{"event": "unsubscribe", "chanId": life.venue.book_channel}]
    assert life.stream.state is StreamState.RESYNCING
    assert len(life.stream.book) == 50  # stale, not emptied
    (step,) = life.send(
        [f'{{"event":"unsubscribed","status":"OK","chanId":{life.venue.book_channel}}}']
    )
    assert requests(step)[0]["channel"] == "book"
    life.venue.book_channel = 165999
    life.send([life.venue.subscribed()[0], life.venue.snapshot(), life.venue.checksum()])
    assert life.stream.state is StreamState.LIVE
    assert life.states[-3:] == ["STALE", "RESYNCING", "LIVE"]
    opened, healed = life.kept.of("gap")
    assert opened["to_ns"] is None
    assert opened["from_ns"] == healed["from_ns"] == agreed
    assert opened["reason"] == "2 checksums in a row differ"
    assert healed["era"] == 2
    clear = life.kept.batches[-1]
    assert healed["healed_by"] == clear.first_seq
    assert clear[0]["kind"] == EventKind.CLEAR


def test_resyncs_that_do_not_help_end_in_a_new_connection() -> None:
    life = Life()
    for nth in range(limits.resyncs_in_row_max):
        bad_checksum(life)
        bad_checksum(life)
        assert life.stream.state is StreamState.RESYNCING
        life.send([f'{{"event":"unsubscribed","chanId":{life.venue.book_channel}}}'])
        life.venue.book_channel += 1 + nth
        life.send([life.venue.subscribed()[0], life.venue.snapshot(), life.venue.checksum()])
    bad_checksum(life)
    (step,) = bad_checksum(life)
    assert step.wish is Wish.RECONNECT
    assert "resyncs did not help" in step.reason
    assert life.stream.state is StreamState.CONNECTING


def test_after_a_settled_time_resyncs_are_counted_from_zero() -> None:
    life = Life()
    for _ in range(limits.resyncs_in_row_max + 2):
        life.now += 2 * limits.live_settled_ms * MS
        life.iterate(3)
        assert life.stream.settled(life.now)
        bad_checksum(life)
        bad_checksum(life)
        assert life.stream.state is StreamState.RESYNCING
        life.send([f'{{"event":"unsubscribed","chanId":{life.venue.book_channel}}}'])
        life.send([life.venue.subscribed()[0], life.venue.snapshot(), life.venue.checksum()])
        assert life.stream.state is StreamState.LIVE


# The crossed rule ---------------------------------------------------------------------------------
def test_a_book_that_stays_crossed_over_two_commits_is_resynced() -> None:
    life = Life()
    venue = life.venue
    best_ask = venue.shown.side(False)[0][1]
    venue.shown.orders[99_000_000_001] = (best_ask + 1, venue.middle / venue.middle)
    crossing = f"[{venue.book_channel},[99000000001,{best_ask + 1},1]{venue.tail()}]"
    life.send([crossing, venue.checksum()])
    assert life.stream.state is StreamState.LIVE
    assert life.stream.book.crossed
    venue.shown.orders[99_000_000_002] = (venue.middle - 500, venue.middle / venue.middle)
    other = f"[{venue.book_channel},[99000000002,{venue.middle - 500},1]{venue.tail()}]"
    (step,) = life.send([other, venue.checksum()])
    assert life.stream.state is StreamState.RESYNCING
    assert life.stream.reason == "the book stayed crossed"
    assert requests(step)[0]["event"] == "unsubscribe"


# Losses -------------------------------------------------------------------------------------------
def test_a_hole_in_the_sequence_reconnects_and_is_a_gap() -> None:
    life = Life()
    life.iterate(3)
    last_good = life.kept.batches[-1].last_ts_recv
    life.venue.sequence += 1
    (step,) = life.send([life.venue.heartbeat()])
    assert step.wish is Wish.RECONNECT
    assert "expected" in step.reason
    assert life.stream.state is StreamState.CONNECTING
    assert life.send([life.venue.heartbeat()]) == []
    life.stream.on_close("we closed it", life.now)
    life.now += SECOND
    life.connect()
    opened, healed = life.kept.of("gap")
    assert last_good <= opened["from_ns"] <= life.now
    assert healed["healed_by"] == life.kept.batches[-1].first_seq
    assert healed["to_ns"] >= opened["from_ns"]
    assert life.stream.counters["frames_of_a_connection_given_up"] == 1
    assert life.stream.book.era == 2


def test_an_error_that_comes_again_and_again_is_one_line_with_its_last_time() -> None:
    life = Life(live=False)
    life.stream.start(T)
    assert life.stream.integrity.summary == "not connected yet"
    for second in range(10):
        life.stream.on_connect_failed("refused", T + second * SECOND)
    assert list(life.stream.errors) == [
        f"{iso_from_ns(T + 9 * SECOND)} can't connect: refused (10 times)"
    ]
    life.stream.on_connect_failed("no route", T + 10 * SECOND)
    life.stream.on_connect_failed("refused", T + 11 * SECOND)
    assert [text.partition(" ")[2] for text in life.stream.errors][1:] == [
        "can't connect: no route",
        "can't connect: refused",
    ]


def test_a_lost_connection_keeps_the_book_until_the_next_snapshot() -> None:
    life = Life()
    life.stream.on_close("the venue hung up", life.now)
    assert life.stream.state is StreamState.CONNECTING
    assert len(life.stream.book) == 50
    assert "the venue hung up" in life.stream.errors[-1]
    life.connect()
    assert life.states[-3:] == ["CONNECTING", "SYNCING", "LIVE"]


def test_statements_of_a_message_that_was_cut_off_are_forgotten() -> None:
    life = Life()
    frames = [frame for frame in life.venue.iteration(6) if '"cs"' not in frame]
    life.send(frames)
    sequence = life.stream.sequence
    life.stream.on_close("gone", life.now)
    life.connect()
    assert life.kept.batches[-1].first_seq == sequence + 1
    assert life.kept.batches[-1][0]["kind"] == EventKind.CLEAR


def test_an_unreadable_frame_is_quarantined_and_the_stream_resyncs() -> None:
    life = Life()
    (step,) = life.send(["[165356,[oops"])
    assert requests(step)[0]["event"] == "unsubscribe"
    assert life.stream.state is StreamState.RESYNCING
    assert life.stream.counters["unreadable_frames"] == 1
    (frame,) = life.stream.quarantine.frames
    assert frame.text == b"[165356,[oops"
    assert frame.reason.startswith("unreadable frame")
    assert life.kept.of("gap")[0]["reason"].startswith("unreadable frame")


def test_a_number_that_does_not_fit_ends_the_stream_for_good() -> None:
    life = Life()
    (step,) = life.send([f"[{life.venue.book_channel},[5,1e60,1]{life.venue.tail()}]"])
    assert step.wish is Wish.END
    assert life.stream.state is StreamState.FAILED
    assert "bitfinex BTC/USD: price '1e60'" in life.stream.reason
    assert life.iterate() == []
    life.stream.on_close("closed", life.now)
    assert life.stream.state is StreamState.FAILED
    life.stream.start(life.now)
    life.connect()


def test_an_unknown_pair_fails_with_the_venues_words() -> None:
    life = Life(live=False)
    life.stream.start(T)
    life.stream.on_open(T)
    life.send([life.venue.conf()])
    (step,) = life.send(['{"event":"error","code":10001,"msg":"Unknown pair"}'])
    assert step.wish is Wish.END
    assert "Unknown pair" in step.reason
    assert "tBTCUSD" in step.reason


# Silence ------------------------------------------------------------------------------------------
def test_silence_makes_the_book_stale_and_reconnects() -> None:
    life = Life()
    step = life.tick_until(limits.silence_stale_ms / 1000 + 1)
    assert step is not None
    assert step.wish is Wish.RECONNECT
    assert life.states[-2:] == ["STALE", "CONNECTING"]


def test_heartbeats_keep_a_quiet_market_live() -> None:
    life = Life()
    for _ in range(6):
        assert life.tick_until(14) is None
        life.send([life.venue.heartbeat(life.venue.book_channel), life.venue.heartbeat()])
    assert life.stream.state is StreamState.LIVE


def test_heartbeats_of_trades_alone_do_not_keep_a_book_live() -> None:
    life = Life()
    for _ in range(6):
        step = life.tick_until(10)
        if step is not None:
            break
        life.send([life.venue.heartbeat()])
    assert step is not None
    assert step.wish is Wish.RECONNECT
    assert "heartbeat of the book" in step.reason


def test_a_subscription_that_brings_no_snapshot_is_given_up() -> None:
    life = Life(live=False)
    life.stream.start(T)
    life.stream.on_open(T)
    life.send([life.venue.conf()])
    step = life.tick_until(limits.subscribe_timeout_ms / 1000 + 1)
    assert step is not None
    assert step.wish is Wish.RECONNECT
    assert "no snapshot" in step.reason
    assert life.kept.of("gap") == []  # there never was a book


def test_a_tick_in_a_replay_ends_messages_but_no_connection() -> None:
    life = Life()
    life.now += 3600 * SECOND
    assert life.stream.tick(life.now, liveness=False) is None
    assert life.stream.state is StreamState.LIVE


# Maintenance --------------------------------------------------------------------------------------
def test_maintenance_pauses_without_emptying_and_its_end_renews_the_channels() -> None:
    life = Life()
    assert life.send(['{"event":"info","code":20060,"msg":"Entering Maintenance"}']) == []
    assert life.stream.state is StreamState.STALE
    assert len(life.stream.book) == 50
    life.send([life.venue.checksum()])
    assert life.stream.state is StreamState.STALE
    assert life.tick_until(60) is None
    (step,) = life.send(['{"event":"info","code":20061}'])
    assert {request["chanId"] for request in requests(step)} == {
        life.venue.book_channel,
        life.venue.trades_channel,
    }
    assert life.stream.state is StreamState.RESYNCING
    for channel in (life.venue.book_channel, life.venue.trades_channel):
        life.send([f'{{"event":"unsubscribed","status":"OK","chanId":{channel}}}'])
    life.send([*life.venue.subscribed(), life.venue.snapshot(), life.venue.checksum()])
    assert life.stream.state is StreamState.LIVE
    assert life.iterate(10) == []
    assert life.stream.integrity.proven


def test_a_pause_that_does_not_end_is_given_up() -> None:
    life = Life()
    life.send(['{"event":"info","code":20060}'])
    assert life.tick_until(limits.maintenance_ms_max / 1000 - 1) is None
    step = life.tick_until(2)
    assert step is not None
    assert step.wish is Wish.RECONNECT


def test_a_restart_of_the_venue_reconnects() -> None:
    life = Life()
    (step,) = life.send(['{"event":"info","code":20051}'])
    assert step.wish is Wish.RECONNECT


# Going on with a tape -----------------------------------------------------------------------------
def test_a_restart_goes_on_with_the_tapes_numbers_and_tells_the_gap() -> None:
    tape = Tape(last_seq=500, last_ts_recv=T - 60 * SECOND, era=4, codec=IdCodec("int"))
    life = Life(recovered=tape)
    life.iterate(5)
    assert life.kept.batches[0].first_seq == 501
    assert life.stream.book.era == 5
    assert life.kept.of("era") == [{"era": 5}]
    opened, healed = life.kept.of("gap")
    assert (opened["from_ns"], opened["reason"]) == (T - 60 * SECOND, "not collected")
    assert healed["healed_by"] == 501
    assert life.stream.events == life.stream.sequence - 500


def test_times_never_fall_behind_those_of_the_tape() -> None:
    tape = Tape(last_seq=500, last_ts_recv=T + 60 * SECOND, era=4, codec=IdCodec("int"))
    life = Life(recovered=tape)
    first = life.kept.batches[0][0]["ts_recv"]
    assert T + 60 * SECOND <= first < T + 61 * SECOND


def test_a_gap_that_was_open_when_the_tape_ended_is_the_one_that_is_healed() -> None:
    fields = {"from_ns": 5, "to_ns": None, "reason": "lost", "healed_by": None, "era": 4}
    tape = Tape(500, T - SECOND, 4, IdCodec("int"), gap=Mark("gap", 500, 5, fields))
    life = Life(recovered=tape)
    (healed,) = life.kept.of("gap")
    assert (healed["from_ns"], healed["reason"], healed["healed_by"]) == (5, "lost", 501)


def test_a_new_tape_is_no_gap_and_a_simulated_one_says_so_first() -> None:
    tape = Tape(0, 0, 0, IdCodec(), None, None)
    life = Life(recovered=tape, simulated=True)
    assert life.kept.of("gap") == []
    kinds = [mark.kind for mark in life.kept.marks]
    assert kinds.index("simulated") < kinds.index("era")
    assert life.kept.of("simulated") == [{"simulated": True}]
    assert life.stream.book.codec.spec == "int"


def test_without_flags_the_stream_lives_and_says_that_nothing_is_proven() -> None:
    life = Life(live=False)
    life.venue = NaiveVenue(length=25, sequenced=False, timed=False, checksums=False)
    life.stream.start(T)
    life.connect()
    assert life.iterate(30) == []
    assert life.stream.state is StreamState.LIVE
    assert not life.stream.integrity.proven
    assert "no sequence" in life.stream.integrity.summary
    assert "no checksum" in life.stream.integrity.summary
    life.stream.tick(life.now + SECOND)
    assert len(life.stream.book) == 50
