"""Whatever comes over the wire, a session answers with an outcome and never with an exception."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ordertape import limits
from ordertape._engine import OrderBook
from ordertape.stream import MarketStream, StreamState
from ordertape.venues import venue_of
from ordertape.venues.bitfinex import BitfinexSession
from ordertape.venues.session import Action, Outcome
from support.bitfinex import START_MS, NaiveVenue

T = START_MS * 1_000_000
VENUE = NaiveVenue(length=25)
FRAMES = [frame.encode() for frame in VENUE.connection() + VENUE.iteration(6)]
PIECES = [b"[", b"]", b"{", b"}", b",", b'"', b"0", b"-", b"1e999", b"null", b"true", b"\xff", b" "]


def mutated(frame: bytes, draw: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(data) + 1)
        what = draw.randrange(3)
        if what == 0:
            data[at:at] = draw.choice(PIECES)
        elif what == 1:
            del data[at : at + draw.randint(1, 12)]
        else:
            data[at : at + 1] = draw.choice(PIECES)
    return bytes(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
@example(seed=21440)  # a checksum frame whose text is not UTF-8
def test_mutated_frames_are_outcomes_and_leave_the_book_whole(seed: int) -> None:
    draw = random.Random(seed)
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    for nth, frame in enumerate(FRAMES * 2):
        text = mutated(frame, draw) if draw.random() < 0.3 else frame
        outcome = session.frame(text, T + nth)
        assert outcome is None or isinstance(outcome, Outcome)
        session.tick(T + nth)
    session.book.check()


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_any_bytes_are_an_outcome(text: bytes) -> None:
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    session.frame(VENUE.subscribed()[0].encode(), T)
    outcome = session.frame(text, T)
    assert outcome is None or isinstance(outcome, Outcome)


@pytest.mark.parametrize(
    "frame",
    [
        b'[7,"\xe5s",1,2,1700000000000]',
        b"[7,[[5,0e1,1]],2,1700000000000]",
        b"[8,[[5,1,1],[6,-0,1]]]",
    ],
)
def test_what_is_no_text_or_no_order_is_refused(frame: bytes) -> None:
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    told = b'{"event":"subscribed","channel":"book","chanId":%d,"symbol":"tBTCUSD","prec":"R0"}'
    session.frame(told % int(frame[1:2]), T)
    outcome = session.frame(frame, T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RESYNC
    assert len(session.book) == 0


@pytest.mark.parametrize("amount", [b'"buy"', b'"1"', b"[]", b"null", b"{}"])
def test_an_end_whose_amount_is_no_number_ends_nothing(amount: bytes) -> None:
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    told = b'{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0"}'
    session.frame(told, T)
    session.frame(b"[7,[[5,100,1],[6,101,-1]],1,1700000000000]", T)
    outcome = session.frame(b"[7,[5,0," + amount + b"],2,1700000000001]", T + 1)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RESYNC
    assert len(session.book) == 2


@pytest.mark.parametrize(
    "opening", [b"[", b"[7,[", b'{"event":', b'{"event":"info","msg":[', b"[7,"]
)
def test_deep_nesting_is_a_frame_that_cant_be_parsed(opening: bytes) -> None:
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    for depth in (b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000):
        outcome = session.frame(opening + depth, T)
        assert outcome is not None
        assert outcome.fault is not None
        assert outcome.fault.action is Action.RESYNC


def test_a_number_of_a_million_digits_is_shown_short() -> None:
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    session.frame(VENUE.subscribed()[0].encode(), T)
    outcome = session.frame(b"[165356,[[5," + b"1" * 1_000_000 + b",1]]]", T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.FAIL
    assert "price" in outcome.fault.reason
    assert len(outcome.fault.reason) < 500


def test_a_flood_of_garbage_ends_in_reconnects_and_bounded_memory() -> None:
    stream = MarketStream(venue_of("bitfinex"), "BTC/USD")
    stream.start(T)
    wishes = 0
    for nth in range(300):
        if stream.state is StreamState.CONNECTING:
            stream.on_open(T + nth)
        step = stream.on_frame(b"\x00 garbage", T + nth)
        wishes += step is not None and step.wish is not None
    assert wishes > 50
    assert len(stream.quarantine.frames) <= 100
    assert len(stream.errors) <= 20


def test_frames_before_subscribed_are_bounded_by_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "frames_before_subscribed_bytes_max", 10_000)
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    frame = b'[9,["' + b"x" * 3_000 + b'"]]'
    outcomes = [session.frame(frame, T + nth) for nth in range(4)]
    assert outcomes[:3] == [None] * 3
    assert outcomes[3] is not None
    assert outcomes[3].fault is not None
    assert outcomes[3].fault.action is Action.RECONNECT


def test_channels_that_nobody_asked_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "channels_max", 20)
    session = BitfinexSession("BTC/USD", OrderBook(codec="int"))
    told = b'{"event":"subscribed","channel":"ticker","chanId":%d,"symbol":"t%d"}'
    outcomes = [session.frame(told % (nth, nth), T) for nth in range(21)]
    assert outcomes[:20] == [None] * 20
    assert outcomes[20] is not None
    assert outcomes[20].fault is not None
    assert outcomes[20].fault.action is Action.RECONNECT
    assert len(session.foreign) == 20


def test_statements_that_no_checksum_closes_are_committed_though_more_keep_coming() -> None:
    stream = MarketStream(venue_of("bitfinex"), "BTC/USD")
    venue = NaiveVenue(length=25, sequenced=False)
    stream.start(T)
    stream.on_open(T)
    now = T
    for frame in venue.connection():
        stream.on_frame(frame.encode(), now)
    assert stream.state is StreamState.LIVE
    before = stream.sequence
    for _ in range(150):  # rows every 10 ms, never their checksum
        for frame in venue.iteration():
            if '"cs"' not in frame:
                now += 10_000_000
                stream.on_frame(frame.encode(), now)
                stream.tick(now)
    assert now - T > 1_000_000_000
    assert stream.sequence > before
