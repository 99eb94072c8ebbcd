"""Bitfinex's raw books: commit rules, window, checksums, sequence, trades."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ordertape import limits
from ordertape._engine import EventBatch
from ordertape.events import EventKind, Flag, Reason, Side
from ordertape.simulator import frames as simulated
from ordertape.venues.bitfinex import BitfinexSession
from ordertape.venues.bitfinex_wire import CommitRule
from ordertape.venues.session import Action, Outcome
from support.bitfinex import (
    NaiveBook,
    NaiveVenue,
    r0_capture_text,
    same_book,
    session_text_frames,
    statements,
)
from support.bitfinex_session import MS, T, make, play, rows, synced


# The book -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_the_book_equals_a_naive_one_at_every_commit(seed: int) -> None:
    venue = NaiveVenue(seed=seed, length=25)
    session = make()
    play(session, venue.connection())
    compared = 0
    for nth in range(150):
        for outcome in play(session, venue.iteration(), T + nth * 100 * MS):
            assert outcome.fault is None
            if outcome.checksum is not None:
                assert outcome.checksum.sent == outcome.checksum.ours
                same_book(session.book, venue.shown)
                compared += 1
    assert compared > 100
    session.book.check()


@pytest.mark.parametrize(("timed", "sequenced"), [(True, False), (False, False), (True, True)])
def test_without_checksums_messages_end_at_time_or_turn(timed: bool, sequenced: bool) -> None:
    venue = NaiveVenue(seed=4, length=25, checksums=False, timed=timed, sequenced=sequenced)
    session = make()
    play(session, venue.connection())
    batches = 0
    for nth in range(100):
        before = NaiveBook(dict(venue.shown.orders))
        outcomes = play(session, venue.iteration(), T + nth * 100 * MS)
        if any(outcome.batch for outcome in outcomes):
            batches += 1
            if timed:
                same_book(session.book, before)
    assert batches > 50
    session.tick(T + 10**12)
    same_book(session.book, venue.shown)


def test_a_message_that_nothing_closes_ends_after_a_short_silence() -> None:
    session = synced(flags=0)
    assert session.frame(b"[7,[5,100.5,1]]", T + 10 * MS) is None
    assert session.tick(T + 10 * MS + limits.commit_silence_ms * MS - 1) is None
    outcome = session.tick(T + 10 * MS + limits.commit_silence_ms * MS)
    assert outcome is not None
    (row,) = rows(outcome.batch)
    assert (row["kind"], row["order_id"], row["price"]) == (EventKind.OPEN, "5", Decimal("100.5"))
    assert row["ts_recv"] == T + 10 * MS
    assert row["flags"] & Flag.LAST


def test_an_empty_snapshot_is_a_book_and_lists_after_it_are_updates() -> None:
    session = synced(orders="", flags=0)
    assert len(session.book) == 0
    assert session.book.era == 1
    assert session.frame(b"[7,[[1,100,2],[2,101,-1]]]", T) is None
    assert session.frame(b"[7,[]]", T) is None
    session.tick(T + 10**9)
    assert len(session.book) == 2
    assert session.book.era == 1


def test_a_bulk_update_of_the_shape_of_a_snapshot_does_not_reset_the_book() -> None:
    session = synced()
    session.frame(b"[7,[[5,100,1],[1,0,1]],2,1700000000001]", T)
    outcome = session.frame(b'[7,"cs",0,3,1700000000001]', T)
    assert outcome is not None
    assert {row["kind"] for row in rows(outcome.batch)} == {EventKind.OPEN, EventKind.DONE}
    assert len(session.book) == 4


def test_new_trailing_fields_are_ignored() -> None:
    session = synced()
    assert session.frame(b'[7,[5,100.5,1,"new",{}],2,1700000000001,"more"]', T) is None
    outcome = session.frame(b'[7,"cs",0,3,1700000000001,{"more":1}]', T)
    assert outcome is not None
    assert [row["order_id"] for row in rows(outcome.batch)] == ["5"]


def test_spaces_in_a_frame_change_nothing() -> None:
    session = synced()
    assert session.frame(b" [ 7 , [ 5 , 100.5 , 1 ] , 2 , 1700000000001 ]", T) is None
    outcome = session.frame(b'[ 7, "cs", 0, 3, 1700000000001 ]', T)
    assert outcome is not None
    assert "5" in session.book


def test_what_the_engine_takes_and_what_the_parser_takes_is_told_alike() -> None:
    recorded = list(simulated(7, 4_000, length=25, symbol="tBTCUSD"))
    told = []
    for spaced in (False, True):
        session, outcomes = make(), []
        for ts_recv, text in recorded:
            outcome = session.frame(text.replace(b",", b" ,", 1) if spaced else text, ts_recv)
            while outcome is not None:
                batch = None if outcome.batch is None else rows(outcome.batch)
                outcomes.append((batch, outcome.synced, outcome.checksum, outcome.fault))
                outcome = outcome.then
        told.append((outcomes, session.window_counters, session.book.digest(), session.next_seq))
    assert told[0] == told[1]
    counters = told[0][1]
    assert counters["matched"]
    assert counters["known_trades"]
    assert counters["reentered"]


def test_a_removal_with_a_strange_sign_finds_the_order_by_its_id() -> None:
    session = synced()
    session.frame(b"[7,[3,0,1],2,1700000000001]", T)  # an ask, removed as if it were a bid
    session.frame(b"[7,[1,0,0],3,1700000000001]", T)
    session.frame(b"[7,[77,0,1],4,1700000000001]", T)
    session.frame(b'[7,"cs",0,5,1700000000001]', T)
    assert len(session.book) == 2
    assert session.resolver.counters["unknown_id"] == 1


def test_events_carry_the_venues_time_and_sequence() -> None:
    session = synced()
    session.frame(b"[7,[5,100.5,1],2,1700000000123]", T + 5 * MS)
    outcome = session.frame(b'[7,"cs",0,3,1700000000124]', T + 9 * MS)
    assert outcome is not None
    (row,) = rows(outcome.batch)
    assert row["venue_seq"] == 2
    assert row["ts_event"] == 1_700_000_000_123 * MS
    assert row["ts_recv"] == T + 5 * MS


def test_seq_goes_on_from_where_the_stream_set_it() -> None:
    session = make()
    session.next_seq = 1001
    play(session, NaiveVenue(length=25).connection())
    assert session.book.seq == 1001
    assert session.next_seq == 1002


# The window ---------------------------------------------------------------------------------------
def test_an_order_pushed_out_of_a_full_window_is_evicted_and_may_come_back() -> None:
    session = synced(length=2)
    play(session, ["[7,[2,0,1],2,1700000000001]", "[7,[5,100.5,1],3,1700000000001]"])
    outcome = session.frame(b'[7,"cs",0,4,1700000000001]', T)
    assert outcome is not None
    kinds = {row["order_id"]: row["kind"] for row in rows(outcome.batch)}
    assert kinds == {"2": EventKind.EVICT, "5": EventKind.OPEN}
    play(session, ["[7,[5,0,1],5,1700000000002]", "[7,[2,99,1],6,1700000000002]"])
    outcome = session.frame(b'[7,"cs",0,7,1700000000002]', T)
    assert outcome is not None
    done, back = rows(outcome.batch)
    assert (done["kind"], done["reason"]) == (EventKind.DONE, Reason.UNKNOWN)
    assert back["kind"] == EventKind.OPEN
    assert back["flags"] & Flag.REENTRY


def test_the_recorded_session_has_the_known_ends(shared: Path) -> None:
    """Equal to a naive replay and 25 a side at every batch end; 32 evictions, 28 returns, 58 other
    ends."""
    session, naive = make(), NaiveBook()
    batches: list[EventBatch] = []

    def check(outcome: Outcome | None) -> None:
        if outcome is not None and outcome.batch is not None:
            batches.append(outcome.batch)
            same_book(session.book, naive)
            assert session.book.totals()[:2] == (25, 25)

    for nth, frame in enumerate(session_text_frames(r0_capture_text(shared))):
        outcome = session.frame(frame.encode(), T + nth * MS)
        if outcome is None or not outcome.synced:
            check(outcome)  # the turn was seen: this frame already belongs to the next batch
        for row in statements(frame):
            naive.apply(row)
        if outcome is not None and outcome.synced:
            check(outcome)
    check(session.tick(T + 10**12))
    events = [row for batch in batches for row in rows(batch)]
    assert sum(row["kind"] == EventKind.EVICT for row in events) == 32
    assert sum(bool(row["flags"] & Flag.REENTRY) for row in events) == 28
    assert sum(row["kind"] == EventKind.DONE for row in events) == 58
    assert len(batches) == 30
    assert session.proofs == (False, False, False)


# Checksums ----------------------------------------------------------------------------------------
def test_the_documented_checksum_text_of_a_raw_book_is_reproduced() -> None:
    """Two bids and two asks of the official library's unit test."""
    session = synced(orders="[100,6000,1],[101,6000,2],[102,6100,-3],[103,6100,-4]")
    assert session.book.top_text() == "100:1:102:-3:101:2:103:-4"
    outcome = session.frame(b'[7,"cs",1841538801,2,1700000000001]', T)
    assert outcome is not None
    assert outcome.checksum is not None
    assert outcome.checksum.sent == outcome.checksum.ours == 1841538801


def test_the_checksum_of_the_recorded_snapshot_is_reproduced(shared: Path) -> None:
    session = make()
    frames = list(session_text_frames(r0_capture_text(shared)))
    snapshot = next(nth for nth, frame in enumerate(frames) if "[[" in frame)
    play(session, frames[: snapshot + 1])
    assert session.book.top_crc32() == 2086766977
    assert session.book.top_text().startswith(
        "86143757311:0.24:86143760254:-0.05:86143768647:0.00006183"
    )


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.0000007", "7e-7"),
        ("6.6e-7", "6.6e-7"),
        ("0.000001", "0.000001"),
        ("1e-8", "1e-8"),
        ("0.50", "0.5"),
        ("500793.10790141", "500793.10790141"),
        ("205000", "205000"),
    ],
)
def test_numbers_in_the_checksum_are_written_as_javascript_does(amount: str, text: str) -> None:
    session = synced(orders=f"[100,6000,{amount}]")
    assert session.book.top_text() == f"100:{text}"


def test_orders_of_one_price_are_checked_by_id_whatever_their_place() -> None:
    session = synced(orders="[9,100,1],[10,100,2]")
    play(session, ["[7,[9,99,1],2,1700000000001]", "[7,[9,100,1],3,1700000000002]"])
    outcome = session.frame(b'[7,"cs",0,4,1700000000002]', T)
    assert outcome is not None
    assert session.book.top_text() == "9:1:10:2"


def test_without_a_conf_a_checksum_frame_still_commits_and_compares() -> None:
    session = synced(flags=0)
    session.frame(b"[7,[5,100.5,1]]", T)
    outcome = session.frame(b'[7,"cs",1]', T)
    assert outcome is not None
    assert len(rows(outcome.batch)) == 1
    assert outcome.checksum is not None
    assert session.rule is CommitRule.CHECKSUM
    assert session.proofs == (False, True, False)


# Sequence -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "frame",
    [
        "[7,[5,100.5,1],3,1700000000001]",
        "[7,[5,100.5,1],1,1700000000001]",
        '[7,"cs",0,3,1700000000001]',
        '[7,"hb",3,1700000000001]',
        '[55,"hb",3,1700000000001]',
        '[55,"te",[1,1700000000001,1,100],3,1700000000001]',
        "[7,[5,100.5,1]]",
        "[7,[5,100.5,1],2]",
        '[7,"cs",0]',
    ],
)
def test_a_hole_in_the_sequence_of_any_channel_ends_the_connection(frame: str) -> None:
    outcome = synced().frame(frame.encode(), T)
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action is Action.RECONNECT
    assert outcome.batch is None


def test_heartbeats_and_other_channels_count_in_the_sequence() -> None:
    session = synced()
    session.frame(b'{"event":"subscribed","channel":"ticker","chanId":55,"symbol":"tBTCUSD"}', T)
    frames = [
        '[7,"hb",2,1700000000001]',
        "[55,[1,2,3,4],3,1700000000001]",
        "[7,[5,100.5,1],4,1700000000001]",
        '[7,"cs",0,5,1700000000001]',
    ]
    outcomes = play(session, frames)
    assert [outcome.fault for outcome in outcomes] == [None]
    assert session.counters["heartbeats"] == 1
    assert session.counters["frames of other channels"] == 1


def test_a_new_connection_begins_a_new_sequence() -> None:
    session = synced()
    session.opened()
    venue = NaiveVenue(length=25)
    outcomes = play(session, venue.connection())
    assert not any(outcome.fault for outcome in outcomes)
    assert session.book.era == 2


# Trades -------------------------------------------------------------------------------------------
def with_trades() -> BitfinexSession:
    session = synced()
    session.frame(b'{"event":"subscribed","channel":"trades","chanId":9,"symbol":"tBTCUSD"}', T)
    session.frame(b"[9,[[400,1700000000000,1,101],[399,1,1,1]],2,1700000000000]", T)
    return session


def test_a_trade_known_at_the_commit_is_a_match_and_its_order_is_filled() -> None:
    session = with_trades()
    frames = [
        '[9,"te",[401,1700000000001,1,101],3,1700000000001]',
        "[7,[3,0,-1],4,1700000000001]",
        '[9,"tu",[401,1700000000001,1,101],5,1700000000001]',
    ]
    assert play(session, frames) == []
    outcome = session.frame(b'[7,"cs",0,6,1700000000001]', T + 5 * MS)
    assert outcome is not None
    match, done = rows(outcome.batch)
    assert (match["kind"], match["order_id"], match["size"]) == (EventKind.MATCH, "3", Decimal(1))
    assert (match["trade_id"], match["side"], match["taker_side"]) == ("401", Side.ASK, Side.BID)
    assert (done["kind"], done["reason"], done["size"]) == (EventKind.DONE, Reason.FILLED, 0)
    assert match["flags"] & Flag.INFERRED
    assert done["flags"] & Flag.INFERRED


def test_a_trade_after_the_commit_is_attributed_late() -> None:
    session = with_trades()
    play(session, ["[7,[3,0,-1],3,1700000000001]"])
    outcome = session.frame(b'[7,"cs",0,4,1700000000001]', T + 5 * MS)
    assert outcome is not None
    (done,) = rows(outcome.batch)
    assert done["reason"] == Reason.UNKNOWN
    session.frame(b'[9,"te",[401,1700000000001,1,101],5,1700000000001]', T + 20 * MS)
    outcome = session.frame(b'[7,"cs",0,6,1700000000002]', T + 30 * MS)
    assert outcome is not None
    (match,) = rows(outcome.batch)
    assert match["kind"] == EventKind.MATCH
    assert match["flags"] & Flag.LATE


def test_te_and_tu_are_one_trade_and_history_is_none() -> None:
    session = with_trades()
    frames = [
        '[9,"te",[400,1700000000000,1,101],3,1700000000001]',  # in the history
        '[9,"tu",[402,1700000000001,0.5,105],4,1700000000001]',  # its te got lost
        '[9,"te",[402,1700000000001,0.5,105],5,1700000000001]',
    ]
    assert play(session, frames) == []
    assert session.resolver.waiting_trades == 1
    assert session.resolver.counters["known_trades"] == 2


def test_a_trade_that_no_order_explains_is_told_once_its_horizon_has_passed() -> None:
    session = with_trades()
    session.frame(b'[9,"te",[401,1700000000001,-0.5,99.5],3,1700000000001]', T)
    assert session.tick(T + limits.attribution_horizon_ms * MS) is None
    outcome = session.tick(T + limits.attribution_horizon_ms * MS + 1)
    assert outcome is not None
    (trade,) = rows(outcome.batch)
    assert (trade["kind"], trade["side"], trade["order_id"]) == (EventKind.TRADE, Side.BID, None)
    assert (trade["price"], trade["size"]) == (Decimal("99.5"), Decimal("0.5"))
    assert session.tick(T + 10**12) is None


def test_new_trades_do_not_put_off_the_horizon_of_old_ones() -> None:
    session = with_trades()
    told = 0
    for nth in range(30):
        text = f'[9,"te",[{500 + nth},1700000000001,1,150],{3 + nth},1700000000001]'
        assert session.frame(text.encode(), T + nth * 100 * MS) is None
        outcome = session.tick(T + nth * 100 * MS + 1)
        told += len(rows(outcome.batch)) if outcome else 0
    assert told >= 10
