"""Bitfinex's handshake, its codes, its subscriptions."""

from __future__ import annotations

import msgspec
import pytest

from ordertape import limits
from ordertape.events import EventKind
from ordertape.venues.bitfinex_wire import CommitRule
from ordertape.venues.session import Action
from support.bitfinex import (
    NaiveVenue,
    same_book,
)
from support.bitfinex_session import MS, T, make, play, rows, synced


# Handshake ----------------------------------------------------------------------------------------
def test_conf_goes_first_and_subscriptions_follow_its_answer() -> None:
    session = make("BTC/USDT")
    assert [msgspec.json.decode(text) for text in session.opened()] == [
        {"event": "conf", "flags": 32768 + 65536 + 131072}
    ]
    assert session.frame(b'{"event":"info","version":2,"platform":{"status":1}}', T) is None
    answer = session.frame(b'{"event":"conf","status":"OK","flags":229376}', T)
    assert answer is not None
    book, trades = (msgspec.json.decode(text) for text in answer.send)
    assert book["channel"] == "book"
    assert (book["prec"], book["freq"], book["len"]) == ("R0", "F0", "250")
    assert book["symbol"] == trades["symbol"] == "tBTCUST"
    assert trades["channel"] == "trades"


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (229376, CommitRule.CHECKSUM),
        (131072, CommitRule.CHECKSUM),
        (32768 + 65536, CommitRule.TIME),
        (65536, CommitRule.TURN),
        (0, CommitRule.TURN),
    ],
)
def test_the_flags_granted_decide_the_commit_rule(flags: int, rule: CommitRule) -> None:
    session = make()
    session.frame(f'{{"event":"conf","status":"OK","flags":{flags}}}'.encode(), T)
    assert session.rule is rule


def test_refused_flags_are_noted_and_the_session_goes_on_unproven() -> None:
    for refusal in (
        b'{"event":"conf","status":"FAILED","code":10001}',
        b'{"event":"error","msg":"unknown event","code":10000}',
    ):
        session = make()
        session.opened()
        outcome = session.frame(refusal, T)
        assert outcome is not None
        assert outcome.fault is not None
        assert outcome.fault.action is Action.NOTE
        assert len(outcome.send) == 2
        assert session.proofs == (False, False, False)


@pytest.mark.parametrize("length", ['"100"', "100"])
def test_the_length_granted_is_read_as_text_or_number(length: str) -> None:
    session = make()
    session.frame(
        b'{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0",'
        b'"len":' + length.encode() + b"}",
        T,
    )
    assert session.resolver.orders_per_side == 100


def test_a_refused_length_of_250_is_asked_for_again_as_100() -> None:
    session = make()
    session.frame(b'{"event":"conf","status":"OK","flags":229376}', T)
    refusal = b'{"event":"error","msg":"len: invalid","code":10300,"channel":"book"}'
    outcome = session.frame(refusal, T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.NOTE
    assert [msgspec.json.decode(text)["len"] for text in outcome.send] == ["100"]
    again = session.frame(refusal, T)
    assert again is not None
    assert again.fault is not None
    assert again.fault.action is Action.FAIL
    assert "bitfinex BTC/USD" in again.fault.reason
    assert "len: invalid" in again.fault.reason


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (10001, Action.FAIL),
        (10302, Action.FAIL),
        (10000, Action.RECONNECT),
        (10301, Action.RECONNECT),
        (10305, Action.RECONNECT),
        (10400, Action.RECONNECT),
        (10401, Action.RECONNECT),
        (99999, Action.NOTE),
    ],
)
def test_error_codes_decide_what_is_done(code: int, action: Action) -> None:
    session = make()
    session.frame(b'{"event":"conf","status":"OK","flags":229376}', T)
    outcome = session.frame(f'{{"event":"error","msg":"x","code":{code}}}'.encode(), T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is action
    assert str(code) in outcome.fault.reason


def test_what_was_subscribed_once_is_tried_again_after_a_refusal() -> None:
    session = synced()
    session.opened()
    session.frame(b'{"event":"conf","status":"OK","flags":229376}', T)
    refusal = b'{"event":"error","msg":"busy","code":10300,"channel":"trades"}'
    outcome = session.frame(refusal, T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RECONNECT


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (b'{"event":"info","code":20051,"msg":"x"}', Action.RECONNECT),
        (b'{"event":"info","code":20060,"msg":"x"}', Action.PAUSE),
        (b'{"event":"info","code":20061,"msg":"x"}', Action.RESYNC),
        (b'{"event":"info","version":2,"platform":{"status":0}}', Action.PAUSE),
    ],
)
def test_info_codes_are_acted_on(text: bytes, action: Action) -> None:
    outcome = synced().frame(text, T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is action


def test_nothing_is_subscribed_during_maintenance_until_it_ends() -> None:
    session = make()
    session.frame(b'{"event":"info","version":2,"platform":{"status":0}}', T)
    answer = session.frame(b'{"event":"conf","status":"OK","flags":229376}', T)
    assert answer is not None
    assert not answer.send
    ended = session.frame(b'{"event":"info","code":20061}', T)
    assert ended is not None
    assert len(ended.send) == 2
    assert session.resync() == []


def test_the_end_of_maintenance_renews_every_channel() -> None:
    session = synced()
    session.frame(b'{"event":"subscribed","channel":"trades","chanId":9,"symbol":"tBTCUSD"}', T)
    session.frame(b'{"event":"info","code":20061}', T)
    left = [msgspec.json.decode(text) for text in session.resync()]
    assert left == [{"event": "unsubscribe", "chanId": 7}, {"event": "unsubscribe", "chanId": 9}]
    for channel, name in ((7, "book"), (9, "trades")):
        text = f'{{"event":"unsubscribed","status":"OK","chanId":{channel}}}'
        outcome = session.frame(text.encode(), T)
        assert outcome is not None
        assert [msgspec.json.decode(sent)["channel"] for sent in outcome.send] == [name]


def test_unknown_events_codes_and_fields_are_counted_and_ignored() -> None:
    session = synced()
    assert session.frame(b'{"event":"fireworks","colour":"red"}', T) is None
    assert session.frame(b'{"event":"info","code":20999,"new":[1]}', T) is None
    assert session.frame(b'[7,"zz",{"a":1},2,1700000000001]', T) is None
    assert session.counters["unknown events"] == 1
    assert session.counters["unknown info codes"] == 1
    assert session.counters["unknown codes"] == 1


def test_frames_before_subscribed_are_kept_and_taken_in_order() -> None:
    venue = NaiveVenue(length=25)
    session = make()
    session.frame(venue.conf().encode(), T)
    early = [venue.snapshot(), venue.checksum(), *venue.iteration()]
    assert play(session, early) == []
    outcomes = play(session, venue.subscribed())
    assert outcomes[0].synced
    assert all(o.checksum.sent == o.checksum.ours for o in outcomes if o.checksum)
    same_book(session.book, venue.shown)


def test_too_many_frames_of_a_channel_that_nothing_subscribed_end_the_connection() -> None:
    session = make()
    for nth in range(limits.frames_before_subscribed_max):
        assert session.frame(b'[5,"hb"]', T + nth) is None
    outcome = session.frame(b'[5,"hb"]', T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RECONNECT


# Resync -------------------------------------------------------------------------------------------
def test_a_resync_leaves_the_channel_and_subscribes_again_once_it_is_left() -> None:
    session = synced()
    session.frame(b"[7,[5,100.5,1],2,1700000000001]", T)
    (text,) = session.resync()
    assert msgspec.json.decode(text) == {"event": "unsubscribe", "chanId": 7}
    assert session.frame(b"[7,[6,100.5,1],3,1700000000001]", T) is None  # still of the old one
    assert session.resync() == []
    outcome = session.frame(b'{"event":"unsubscribed","status":"OK","chanId":7}', T)
    assert outcome is not None
    assert msgspec.json.decode(outcome.send[0])["channel"] == "book"
    frames = [
        '{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0","len":"25"}',
        "[7,[[21,100,1]],4,1700000000002]",
    ]
    outcomes = play(session, frames)
    assert outcomes[-1].synced
    assert [row["kind"] for row in rows(outcomes[-1].batch)] == [EventKind.CLEAR, EventKind.OPEN]
    assert session.book.era == 2
    assert len(session.book) == 1


def test_frames_of_the_new_subscription_may_come_before_its_answer() -> None:
    session = synced()
    session.resync()
    session.frame(b'{"event":"unsubscribed","status":"OK","chanId":7}', T)
    assert session.frame(b"[7,[[21,100,1]],2,1700000000002]", T) is None
    outcome = session.frame(
        b'{"event":"subscribed","channel":"book","chanId":7,"symbol":"tBTCUSD","prec":"R0","len":9}',
        T,
    )
    assert outcome is not None
    assert outcome.synced
    assert "21" in session.book


def test_a_book_whose_heartbeats_stay_away_is_stalled() -> None:
    session = synced()
    assert session.stalled(T + limits.silence_stale_ms * MS) is None
    session.frame(b'[7,"hb",2,1700000000001]', T + 15_000 * MS)
    assert session.stalled(T + (limits.silence_stale_ms + 15_000) * MS) is None
    reason = session.stalled(T + (limits.silence_stale_ms + 15_010) * MS)
    assert reason is not None
    assert "heartbeat" in reason


def test_a_book_of_another_symbol_or_precision_is_not_ours() -> None:
    session = make()
    for text in (
        b'{"event":"subscribed","channel":"book","chanId":5,"symbol":"tETHUSD","prec":"R0","len":25}',
        b'{"event":"subscribed","channel":"book","chanId":6,"symbol":"tBTCUSD","prec":"P0","len":25}',
    ):
        assert session.frame(text, T) is None
    assert session.frame(b"[5,[[1,100,1]]]", T) is None
    assert len(session.book) == 0
    assert {(f.symbol, f.detail) for f in session.foreign} == {("tETHUSD", "R0"), ("tBTCUSD", "P0")}


def test_a_channel_whose_subscribed_never_came_is_stalled() -> None:
    session = synced()
    history = "[9,[[401597393,1574694475039,0.005,7244.9]],2,1700000000000]"
    assert play(session, [history], T) == []
    assert session.stalled(T + limits.subscribe_timeout_ms * MS) is None
    reason = session.stalled(T + (limits.subscribe_timeout_ms + 1) * MS)
    assert reason is not None
    assert "a channel that was not subscribed" in reason
