"""A recorded market played again is the market that was: any time, any speed, any way there."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from ordertape import cli
from ordertape._engine import EventBatch
from ordertape.models import iso_from_ns
from ordertape.numbers import plain
from ordertape.page.codec import HeatDelta, HeatKey, decode
from ordertape.page.player import Player, ReplayedMarket
from ordertape.page.scene import Asked, Posted, Reader
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import History, history_of
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.marks import gap_mark
from ordertape.tape.reader import TapeReader
from ordertape.times import NS_PER_SECOND, parse_time
from support.page import PlainPage
from support.served import FINISHED, Served
from support.tape import START, Market, naive_book

STEP_NS = 20_000_000
BUCKET_NS = 100_000_000
GAP_AT = START + 20 * NS_PER_SECOND


class Played:
    """A player, its markets' pages, and what its clock said."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.player = Player(self.said.put)

    def open(self, symbol: str, at: int | None, **asked: Any) -> Shown:
        folder = MarketFolder(self.data, "bitfinex", symbol)

        def history() -> History:
            return history_of(TapeReader(self.data, "bitfinex", symbol))

        shown = Shown(Reader(Asked(**asked), lambda posted: shown.take(posted)))
        shown.market = self.player.join(TapeLookup(folder), history, at, 1, shown.reader)
        self.clock()
        return shown

    def clock(self, done: Callable[[dict[str, Any]], bool] = lambda _told: True) -> dict[str, Any]:
        """The next that the clock says of which ``done`` holds."""
        while True:
            told = self.said.get(timeout=120)
            if told["op"] == "refused":
                raise AssertionError(told["detail"])
            if done(told):
                return told

    def seek(self, at: int) -> int:
        self.player.seek(at)
        return parse_time(self.clock()["t"])


class Shown:
    """The page of one replayed market."""

    market: ReplayedMarket

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.page = PlainPage()
        self.epochs: list[dict[str, Any]] = []
        self.begins: list[int] = []

    def take(self, posted: Posted) -> None:
        if posted.anew:
            self.page, self.begins = PlainPage(), []
        for out in posted.outs:
            self.page.take(out)
            if out.kind is None and (told := json.loads(out.body))["op"] == "opened":
                self.epochs.append(told)
            elif out.channel == "heat" and out.kind in (1, 2):
                self.begins.append(out.t_us * 1000)


def record(
    data: Path, symbol: str, seed: int, messages: int = 2_000, pause_ns: int = 0
) -> list[EventBatch]:
    """Forty seconds, half in the archive, with a gap noticed at half time; ``pause_ns`` longer."""
    market = Market(seed=seed, orders=40)
    folder = MarketFolder(data, "bitfinex", symbol)
    half = messages // 2
    batches = list(market.messages(half, clear_every=half, step_ns=STEP_NS))
    market.now += pause_ns
    batches += market.messages(half, clear_every=half, step_ns=STEP_NS)
    with JournalWriter(folder) as journal:
        for batch in batches[:half]:
            journal.append(batch)
    archiver = Archiver(folder, file_rows_max=600, row_group_rows=170)
    archiver.finish()
    archiver.close()
    with JournalWriter(folder) as journal:
        seq = batches[half].first_seq
        journal.mark(gap_mark(seq - 1, GAP_AT, None, "a test", era=1))
        for batch in batches[half:]:
            journal.append(batch)
        healed = batches[half].last_ts_recv
        journal.mark(gap_mark(seq, GAP_AT, healed, "a test", era=2, healed_by=seq))
    return batches


@pytest.fixture
def batches(tmp_path: Path) -> list[EventBatch]:
    return record(tmp_path, "A/USD", 7)


@pytest.fixture
def played(tmp_path: Path, batches: list[EventBatch]) -> Iterator[Played]:
    found = Played(tmp_path)
    yield found
    found.player.stop_thread()


def ladder_at(batches: list[EventBatch], at: int) -> list[dict[int, tuple[int, int]]]:
    book = naive_book(batches, at - 1)
    return [
        {price: (size, orders) for price, size, orders in side} for side in book.depth_scaled(200)
    ]


def test_a_seek_shows_the_book_as_it_stood(played: Played, batches: list[EventBatch]) -> None:
    shown = played.open("A/USD", START + 5 * NS_PER_SECOND)
    for seconds in (0.31, 39.0, 12.0, 20.02, 1.2345678):
        at = START + int(seconds * NS_PER_SECOND)
        assert played.seek(at) == at
        assert list(shown.page.ladder) == ladder_at(batches, at)


def test_the_same_time_shows_the_same_columns_however_it_was_reached(played: Played) -> None:
    shown = played.open("A/USD", START + 3 * NS_PER_SECOND)
    at = START + 8 * NS_PER_SECOND
    played.seek(at)
    for _ in range(10):
        played.player.step(BUCKET_NS)
        played.clock()
    first = dict(shown.page.columns)
    unit = shown.epochs[-1]["code_unit"]
    played.seek(START + 30 * NS_PER_SECOND)
    played.seek(at)
    played.player.step(NS_PER_SECOND)
    played.clock()
    assert (shown.page.columns, shown.epochs[-1]["code_unit"]) == (first, unit)
    assert len(first) == 10


def test_play_is_the_steps_it_passes_and_ends_where_the_tape_does(
    played: Played, batches: list[EventBatch]
) -> None:
    shown = played.open("A/USD", START + 35 * NS_PER_SECOND)
    played.player.play(5)
    told = played.clock(lambda told: bool(told["ended"]))
    assert parse_time(told["t"]) == batches[-1].last_ts_recv + 1
    assert not told["playing"]
    assert list(shown.page.ladder) == ladder_at(batches, parse_time(told["t"]))
    assert {b - a for a, b in pairwise(shown.begins[1:])} == {BUCKET_NS}


def plays_at(speed: float, told: dict[str, Any]) -> bool:
    return bool(told["speed"] == speed)


def test_faster_play_sends_coarser_columns_not_more(played: Played) -> None:
    shown = played.open("A/USD", START + NS_PER_SECOND)
    for speed, bucket_ms in ((0.1, 100), (5.0, 100), (50.0, 1_000), (250.0, 5_000)):
        played.player.play(speed)
        played.clock(partial(plays_at, speed))
        played.player.stop()
        played.clock(lambda told: not told["playing"])
        assert shown.epochs[-1]["bucket_ms"] == bucket_ms
        assert shown.epochs[-1]["group"] == shown.epochs[0]["group"]


def test_a_step_by_event_is_one_message(played: Played, batches: list[EventBatch]) -> None:
    at = START + 6 * NS_PER_SECOND + 1
    shown = played.open("A/USD", at)
    following = [batch for batch in batches if batch.last_ts_recv >= at]
    for batch in following[:30]:
        played.player.step_event(None)
        told = played.clock()
        assert parse_time(told["t"]) == batch.last_ts_recv + 1
        assert list(shown.page.ladder) == ladder_at(batches, batch.last_ts_recv + 1)


def test_markers_are_gaps_and_large_orders_one_after_the_other(
    played: Played, batches: list[EventBatch]
) -> None:
    shown = played.open("A/USD", START + 18 * NS_PER_SECOND)
    assert shown.reader.wish is not None
    large = shown.reader.wish.large
    found = [GAP_AT]
    for batch in batches:
        for at in range(len(batch)):
            row = batch[at]
            snapshot = row["flags"] & 1
            if row["kind"] == 1 and not snapshot and int(row["size"].scaleb(8)) >= large:
                found.append(row["ts_recv"])
    found = sorted(set(found))
    behind = [at for at in found if at >= START + 18 * NS_PER_SECOND]
    # What counts as large is told anew at every seek.
    played.player.marker(shown.market, forward=True)
    assert parse_time(played.clock()["t"]) == behind[0] + 1
    played.seek(GAP_AT + 1)
    played.player.marker(None, forward=False)
    before = parse_time(played.clock()["t"])
    assert before <= GAP_AT
    played.seek(GAP_AT)
    played.player.marker(None, forward=True)
    assert parse_time(played.clock()["t"]) > GAP_AT


def test_a_gap_is_told_when_the_clock_passes_it(played: Played) -> None:
    shown = played.open("A/USD", GAP_AT - NS_PER_SECOND)
    assert shown.page.gaps == []
    played.player.step(2 * NS_PER_SECOND)
    played.clock()
    gaps = shown.page.gaps
    assert [(gap.from_us, gap.reason) for gap in gaps] == [(GAP_AT // 1000, "a test")]


def test_within_a_gap_it_is_said_to_be_open_however_it_was_reached(tmp_path: Path) -> None:
    """And it ends where it ended, not before."""
    batches = record(tmp_path, "A/USD", 7, pause_ns=10 * NS_PER_SECOND)
    healed = next(batch for batch in batches if batch.last_ts_recv > GAP_AT).last_ts_recv
    opened, ended = (GAP_AT // 1000, 0), (GAP_AT // 1000, healed // 1000)
    played = Played(tmp_path)
    shown = played.open("A/USD", GAP_AT + 4 * NS_PER_SECOND)

    def told() -> list[tuple[int, int]]:
        return [(gap.from_us, gap.to_us) for gap in shown.page.gaps]

    assert set(told()) == {opened}
    played.player.step(NS_PER_SECOND)
    played.clock()
    assert set(told()) == {opened}
    played.player.step(healed - GAP_AT)
    played.clock()
    assert told()[-1] == ended
    played.seek(GAP_AT - NS_PER_SECOND)
    assert told() == []
    played.player.step(2 * NS_PER_SECOND)
    played.clock()
    assert told() == [opened]
    played.player.stop_thread()


def test_a_step_over_a_long_gap_begins_anew_behind_it(tmp_path: Path) -> None:
    batches = record(tmp_path, "A/USD", 7, pause_ns=3_600 * NS_PER_SECOND)
    behind = next(batch for batch in batches if batch.last_ts_recv > GAP_AT + NS_PER_SECOND)
    played = Played(tmp_path)
    last = batches[len(batches) // 2 - 1].last_ts_recv
    shown = played.open("A/USD", last + 1)
    epochs = len(shown.epochs)
    played.player.step_event(shown.market)
    assert parse_time(played.clock()["t"]) == behind.last_ts_recv + 1
    assert len(shown.epochs) == epochs + 1
    assert len(shown.begins) < 10, "not a column for each tenth of a second of the gap"
    assert list(shown.page.ladder) == ladder_at(batches, behind.last_ts_recv + 1)
    played.player.stop_thread()


def test_several_markets_go_in_step(played: Played, batches: list[EventBatch]) -> None:
    others = record(played.data, "B/USD", 11)
    at = START + 9 * NS_PER_SECOND
    first, second = played.open("A/USD", at), played.open("B/USD", None)
    for _ in range(5):
        played.player.step_event(second.market)
        now = parse_time(played.clock()["t"])
        assert list(first.page.ladder) == ladder_at(batches, now)
        assert list(second.page.ladder) == ladder_at(others, now)


def test_a_file_that_moved_on_is_looked_for_again_and_no_failure_is_left_unsaid(
    played: Played,
) -> None:
    folder, failures = MarketFolder(played.data, "bitfinex", "A/USD"), [True]

    def history() -> History:
        if failures and failures.pop():
            raise FileNotFoundError("archived meanwhile")
        return history_of(TapeReader(played.data, "bitfinex", "A/USD"))

    def broken() -> History:
        raise ZeroDivisionError("a defect")

    shown = Shown(Reader(Asked(), lambda posted: shown.take(posted)))
    at = START + NS_PER_SECOND
    shown.market = played.player.join(TapeLookup(folder), history, at, 1, shown.reader)
    assert parse_time(played.clock()["t"]) == at
    assert shown.epochs
    other = Shown(Reader(Asked(), lambda posted: other.take(posted)))
    played.player.join(TapeLookup(folder), broken, at, 2, other.reader)
    told = played.said.get(timeout=120)
    assert (told["op"], told["stream"]) == ("refused", 2)
    assert told["detail"] == "unexpected ZeroDivisionError: a defect"
    assert played.seek(2 * at - START) == 2 * at - START


def test_the_clock_stays_within_the_recording(played: Played, batches: list[EventBatch]) -> None:
    played.open("A/USD", START + NS_PER_SECOND)
    assert played.seek(0) == (START // BUCKET_NS + 1) * BUCKET_NS
    end = batches[-1].last_ts_recv + 1
    assert played.seek(2 * end) == end


@contextmanager
def page(served: Served) -> Iterator[ClientConnection]:
    address = served.address.replace("http", "ws", 1)
    with connect(f"{address}/api/v1/orderbook-heatmap/page/ws", max_size=None) as socket:
        yield socket


def heard(socket: ClientConnection, op: str) -> dict[str, Any]:
    while True:
        message = socket.recv(timeout=60)
        if isinstance(message, str) and (told := json.loads(message))["op"] == op:
            found: dict[str, Any] = told
            return found


def heard_both(socket: ClientConnection, *ops: str) -> list[dict[str, Any]]:
    """The next text of each kind, in whatever order they come."""
    found: dict[str, dict[str, Any]] = {}
    while len(found) < len(ops):
        message = socket.recv(timeout=60)
        if isinstance(message, str) and (told := json.loads(message))["op"] in ops:
            found.setdefault(told["op"], told)
    return [found[op] for op in ops]


def test_a_page_replays_a_recording_and_seeks_in_it(served: Served) -> None:
    middle = served.batches[800].last_ts_recv
    with page(served) as socket:
        wish = {"op": "open", "stream": 3, "exchange": "bitfinex", "symbol": FINISHED}
        wish |= {"source": "replay"}
        socket.send(json.dumps(wish))
        assert "expected the time" in heard(socket, "refused")["detail"]
        socket.send(json.dumps({"op": "play", "speed": 1}))
        assert "expected an open replay" in heard(socket, "refused")["detail"]
        socket.send(json.dumps({**wish, "at": iso_from_ns(middle)}))
        opened, clock = heard_both(socket, "opened", "clock")
        assert (opened["source"], opened["stream"]) == ("replay", 3)
        assert parse_time(opened["last"]) == served.batches[-1].last_ts_recv
        assert clock["t"] == iso_from_ns(middle)
        socket.send(json.dumps({"op": "play", "speed": 2}))
        shown, columns = PlainPage(), 0
        while columns < 5:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                header, content = decode(message)
                shown.take_content(header.t_us, content, bool(header.flags & 1))
                columns += isinstance(content, HeatKey | HeatDelta)
        assert shown.ladder[0]
        socket.send(json.dumps({"op": "seek", "at": iso_from_ns(middle)}))
        again = heard(socket, "opened")
        assert again["epoch"] > opened["epoch"]
        for wrong, words in (
            ({"op": "play", "speed": 0}, "speed"),
            ({"op": "play", "speed": 1001}, "speed"),
            ({"op": "seek", "at": "noon"}, "expected a time"),
            ({"op": "step", "by": "year"}, "year"),
            ({"op": "marker", "direction": "next", "stream": 9}, "expected a replayed stream"),
        ):
            socket.send(json.dumps(wrong))
            assert words in heard(socket, "refused")["detail"]
        socket.send(json.dumps({"op": "stop"}))
        # A replay that stands says nothing: the page is to know that its socket is not lost.
        assert heard(socket, "alive") == {"op": "alive"}


def test_a_replay_in_a_pipe_ends_with_the_book_at_the_tapes_end(
    tmp_path: Path, batches: list[EventBatch], capsys: pytest.CaptureFixture[str]
) -> None:
    begin = iso_from_ns(START + 38 * NS_PER_SECOND)
    wish = ["replay", "bitfinex", "A/USD", "--from", begin, "--speed", "20"]
    assert cli.run([*wish, "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    bid, ask = (plain(best) for best in naive_book(batches).best() if best is not None)
    assert "REPLAY" in lines[-1]
    assert f"seq {batches[-1].last_seq}" in lines[-1]
    assert f"bid {bid} ask {ask}" in lines[-1]


def test_a_replay_from_no_time_or_at_no_speed_is_refused_in_a_sentence(
    tmp_path: Path, batches: list[EventBatch], capsys: pytest.CaptureFixture[str]
) -> None:
    assert batches
    for wrong, words in (
        (["--from", "noon"], "expected a time"),
        (["--from", "2023-11-14", "--speed", "0"], "speed"),
        ([], "--from"),
    ):
        wish = ["replay", "bitfinex", "A/USD", *wrong, "--data", str(tmp_path)]
        assert cli.run(wish) == 2
        assert words in capsys.readouterr().err
