"""Frames of Bitfinex that can't be parsed, and numbers that do not fit."""

from __future__ import annotations

import pytest

from ordertape.venues.session import Action
from support.bitfinex import (
    NaiveVenue,
)
from support.bitfinex_session import MS, T, make, play, rows, synced


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"   ",
        b"[",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"[7]",
        b'["7",[1,2,3]]',
        b"[7,{},2,1700000000001]",
        b"[7,null,2,1700000000001]",
        b"[7,[5,100.5],2,1700000000001]",
        b'[7,["5",100.5,1],2,1700000000001]',
        b"[7,[5.5,100.5,1],2,1700000000001]",
        b"[7,[5,100.5,null],2,1700000000001]",
        b'[7,[5,"x",1],2,1700000000001]',
        b"[7,[5,[],1],2,1700000000001]",
        b'[7,[5,100.5,1],"2",1700000000001]',
        b'[7,"cs",null,2,1700000000001]',
        b'[7,"cs"',
        b"[7,[5,100.5,1],2,1700000000001",
        b"[7,[5,100.5,1],2,99999999999999999999]",
        b'{"event":5}',
        b'{"no":"event"}',
        b'{"event":"subscribed","channel":"book","symbol":"tBTCUSD","prec":"R0"}',
        b'{"event":"subscribed","channel":"book","chanId":8,"symbol":"tBTCUSD","prec":"R0","len":"x"}',
        b'{"event":"subscribed","channel":"book","chanId":8,"symbol":"tBTCUSD","prec":"R0","len":0}',
        b"\xff\xfe\x00",
    ],
)
def test_a_frame_that_cant_be_parsed_asks_for_a_resync_and_says_why(text: bytes) -> None:
    session = synced()
    outcome = session.frame(text, T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RESYNC
    assert outcome.fault.unreadable == text
    assert outcome.fault.reason.startswith("unreadable frame: ")


def test_after_an_unreadable_frame_the_sequence_is_taken_as_it_comes() -> None:
    session = synced()
    session.frame(b"[7,[5,100.5", T)
    assert session.frame(b'[7,"hb",9,1700000000001]', T) is None
    outcome = session.frame(b'[7,"hb",11,1700000000001]', T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RECONNECT


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("[5,1e40,1]", "price"),
        ("[5,0.0000000000000000000000001,1]", "price"),
        ("[5,100,123456789012345678901234567890]", "amount"),
    ],
)
def test_a_number_that_fits_no_scale_names_market_field_and_text(row: str, field: str) -> None:
    session = synced()
    outcome = session.frame(f"[7,{row},2,1700000000001]".encode(), T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.FAIL
    assert "bitfinex BTC/USD" in outcome.fault.reason
    assert field in outcome.fault.reason
    assert row.strip("[]").split(",")[1 if field == "price" else 2] in outcome.fault.reason


def test_an_id_beyond_all_integers_is_a_frame_that_cant_be_parsed() -> None:
    outcome = synced().frame(b"[7,[" + b"9" * 45 + b",100.5,1],2,1700000000001]", T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RESYNC


@pytest.mark.parametrize("row", ["[6,1e99,1]", "[[6,1e99,1],[7,100,1]]", '[6,"x",1]'])
def test_what_a_bad_frame_closed_is_told_before_its_fault(row: str) -> None:
    session = synced(flags=32768)
    play(session, ["[7,[5,100.5,1],1700000000001]"])
    told, bad = play(session, [f"[7,{row},1700000000002]"], T + 5 * MS)
    assert [event["order_id"] for event in rows(told.batch)] == ["5"]
    assert bad.fault is not None
    assert bad.fault.action in (Action.FAIL, Action.RESYNC)
    assert session.next_seq == session.book.seq + 1


def test_outcomes_before_a_bad_early_frame_are_told() -> None:
    venue = NaiveVenue(length=25)
    session = make()
    session.frame(venue.conf().encode(), T)
    early = [venue.snapshot(), f"[{venue.book_channel},[6,1e99,1]{venue.tail()}]"]
    assert play(session, early) == []
    snapshot, bad = play(session, venue.subscribed()[:1])
    assert snapshot.synced
    assert bad.fault is not None
    assert bad.fault.action is Action.FAIL


def test_a_broken_snapshot_leaves_no_half_book() -> None:
    session = synced()
    session.resync()
    session.frame(b'{"event":"unsubscribed","status":"OK","chanId":7}', T)
    play(
        session,
        [
            '{"event":"subscribed","channel":"book","chanId":8,"symbol":"tBTCUSD","prec":"R0","len":25}',
        ],
    )
    outcome = session.frame(b"[8,[[11,100,1],[12,oops,1]],2,1700000000001]", T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RESYNC
    assert len(session.book) == 4
    assert session.book.era == 1
