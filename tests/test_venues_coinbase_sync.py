"""The sync rule of the `full` channel: queue, snapshot over REST, replay, refetch; refusals."""

from __future__ import annotations

from typing import Any

import pytest

from ordertape import limits
from ordertape.events import EventKind, Flag
from ordertape.venues.session import Action
from support.coinbase import BUY
from support.coinbase_life import ASKED, MS, Life, fault


def test_what_came_while_the_snapshot_was_on_its_way_is_replayed() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.subscriptions(), *venue.open(BUY, "19999", "1"))
    fetch = life.asked()
    for _ in range(50):
        life.send(*venue.step())
    body = venue.rest()
    for _ in range(3000):
        life.send(*venue.step())
    outcome = life.answer(fetch, body)
    assert outcome is not None
    assert (outcome.synced, outcome.behind) == (True, True)
    assert life.outcomes[-1].caught_up
    assert life.equal
    assert life.events[0]["kind"] == EventKind.CLEAR


def test_a_snapshot_that_is_ahead_of_the_stream_waits_for_it() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch = life.asked()
    ahead = [text for _ in range(30) for text in venue.step()]
    life.answer(fetch, venue.rest())
    life.send(*ahead[:-1])
    life.tick()
    assert life.events == []
    life.send(ahead[-1])
    life.tick()
    while life.session.busy:
        life.tick()
    assert life.equal
    life.send(*venue.step())
    assert life.equal
    assert [outcome for outcome in life.outcomes if outcome.fault] == []


def test_a_snapshot_does_not_cover_an_unreadable_message_of_unknown_number() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch = life.asked()
    lost, unreadable = (venue.rows()[at][2] for at in (0, 1))
    venue.cancel(lost)
    life.answer(fetch, venue.rest())
    assert life.events == []
    life.send(venue.cancel(unreadable)[0][:-20])
    assert life.tick() is None
    life.send(*venue.open(BUY, "19997", "1"))
    assert life.events == [], "the snapshot is older than what could not be read"
    outcome = life.tick(limits.snapshot_retry_ms_min)
    while outcome is None or outcome.fetch is None:
        outcome = life.tick(limits.snapshot_retry_ms_min)
    life.answer(outcome.fetch, venue.rest())
    assert life.equal


def test_a_snapshot_older_than_the_first_message_is_asked_for_again() -> None:
    life = Life(orders=20)
    venue = life.venue
    old = venue.rest()
    venue.open(BUY, "19999", "1")
    life.send(*venue.open(BUY, "19998", "1"))
    assert life.answer(life.asked(), old) is None
    assert life.tick() is None, "not at once"
    assert life.tick(limits.snapshot_retry_ms_min) is not None
    assert life.session.counters["snapshots too old"] == 1
    life.answer(life.outcomes[-1].fetch or ASKED, venue.rest())
    assert life.equal


def test_a_gap_while_syncing_asks_for_a_newer_snapshot() -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(*venue.open(BUY, "19999", "1"))
    fetch, body = life.asked(), venue.rest()
    venue.open(BUY, "19998", "1")
    life.send(*venue.open(BUY, "19997", "1"))
    life.answer(fetch, body)
    assert life.session.counters["snapshots too old"] == 1
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


@pytest.mark.parametrize("shown_by", ["a message", "a heartbeat"])
def test_a_number_that_the_venue_never_gave_holds_a_snapshot_up_once_only(shown_by: str) -> None:
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.open(BUY, "19999", "1")[0].replace('"sequence": 1', '"sequence": 91'))
    fetch = life.asked()
    life.send(*venue.open(BUY, "19998", "1") if shown_by == "a message" else [venue.heartbeat()])
    assert life.answer(fetch, venue.rest()) is None, "no book reaches that number"
    life.send(venue.heartbeat())
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


def test_an_auction_is_waited_for() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    life.answer(life.asked(), life.venue.rest(auction_mode=True))
    assert len(life.session.book) == 0
    assert life.session.waits_until >= life.now + limits.auction_retry_ms * MS
    outcome = life.tick(limits.auction_retry_ms)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, life.venue.rest())
    assert life.equal


def test_a_429_waits_as_long_as_it_asks() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    life.answer(life.asked(), b"{}", 429, retry_after="7")
    assert life.tick(6_900) is None
    assert life.tick(100) is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (0, "no answer"),
        (200, b""),
        (200, b"{}"),
        (200, b'{"bids":[],"asks":[]}'),
        (200, b'{"bids":[["1","1","a"]],"asks":[["1","1","b"]],"sequence":5000}'),
        (200, b'{"bids":[["1","1","a"],["1","2","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["1","0","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["x","1","a"]],"asks":[],"sequence":5000}'),
        (200, b'{"bids":[["1","1","a"]],"asks":[],"sequence":5000} more'),
    ],
)
def test_an_answer_without_a_book_is_asked_for_again(status: int, body: Any) -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    action, reason = fault(life.answer(life.asked(), body, status))
    assert action is Action.NOTE
    assert reason.startswith("no snapshot: ")
    assert life.tick(limits.snapshot_retry_ms_min) is not None


def test_a_snapshot_of_another_count_never_becomes_the_book() -> None:
    """The venue counts anew and answers with a book of before: every message would be late."""
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    was = life.venue.sequence
    life.venue.sequence = was + 1_000_000
    before = life.venue.rest()
    life.venue.sequence = was
    life.answer(life.asked(), before)
    for _ in range(50):
        life.send(*life.venue.step(), life.venue.heartbeat())
        life.tick(limits.snapshot_ahead_ms_max // 20)
    assert life.events == []
    assert life.session.counters["snapshots that no message reached"] == 1
    life.answer(ASKED, life.venue.rest())
    assert life.equal


def test_answers_that_keep_failing_end_the_connection() -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    actions = []
    for _ in range(limits.snapshot_failures_max):
        outcome = life.tick(limits.snapshot_retry_ms_max)
        assert outcome is not None
        actions.append(fault(life.answer(outcome.fetch or ASKED, b"", 503))[0])
    assert actions == [Action.NOTE] * (limits.snapshot_failures_max - 1) + [Action.RECONNECT]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b"{}"),
        (403, b'{"message":"Invalid API Key"}'),
        (403, b'{"message":"The key lacks the permission View"}'),
        (404, b'{"message":"NotFound"}'),
    ],
)
def test_a_refusal_that_would_come_again_fails_the_stream(status: int, body: bytes) -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    assert fault(life.answer(life.asked(), body, status))[0] is Action.FAIL


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b""),
        (403, b'{"message":"Forbidden"}'),
        (403, b'{"message":["api key"]}'),
        (403, b"<html>You don't have permission to access this server.</html>"),
        (404, b"<html>no backend</html>"),
    ],
)
def test_who_stands_before_the_venue_and_refuses_is_asked_again_ever_more_seldom(
    status: int, body: bytes
) -> None:
    life = Life(orders=20)
    life.send(life.venue.heartbeat())
    told = [fault(life.answer(life.asked(), body, status))]
    while told[-1][0] is Action.NOTE:
        assert life.tick(limits.snapshot_retry_ms_min // 2) is None, "not at once"
        outcome = life.tick(limits.snapshot_retry_ms_max)
        assert outcome is not None
        told.append(fault(life.answer(outcome.fetch or ASKED, body, status)))
    assert [action for action, _ in told].count(Action.NOTE) == limits.snapshot_failures_max - 1
    assert told[-1][0] is Action.RECONNECT
    assert all(f"status {status}" in reason for _, reason in told)


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "sync_queue_messages_max", 10)
    life = Life(orders=20)
    venue = life.venue
    life.send(venue.heartbeat())
    fetch, body = life.asked(), venue.rest()
    for nth in range(20):
        life.send(*venue.open(BUY, f"{19_000 + nth}", "1"))
    assert len(life.session._queue.messages) <= 10
    life.answer(fetch, body)
    assert life.session.counters["snapshots too old"] == 1
    outcome = life.tick(limits.snapshot_retry_ms_min)
    assert outcome is not None
    life.answer(outcome.fetch or ASKED, venue.rest())
    assert life.equal


def test_a_large_snapshot_is_handed_out_in_slices() -> None:
    life = Life(orders=3 * limits.sync_slice_rows)
    life.send(life.venue.heartbeat())
    outcome = life.answer(life.asked(), life.venue.rest())
    assert outcome is not None
    assert outcome.partial
    sizes = [len(found.batch) for found in life.outcomes if found.batch is not None]
    assert max(sizes) == limits.sync_slice_rows
    assert sum(sizes) == 3 * limits.sync_slice_rows + 1
    assert [found.synced for found in life.outcomes].count(True) == 1
    last = [event["flags"] & Flag.LAST for event in life.events]
    assert [bool(flag) for flag in last] == [False] * (len(last) - 1) + [True]


def test_a_clock_that_is_refused_is_asked_about_again_but_seldom() -> None:
    """It may be set right: only what is wrong with the key itself stays so."""
    expired = '{"type":"error","message":"Authentication Failed","reason":"%s"}'
    life = Life(orders=20)
    told = life.send(expired % "request timestamp expired")
    over_rest = Life(orders=20)
    over_rest.send(over_rest.venue.heartbeat())
    answer = over_rest.answer(over_rest.asked(), b'{"message":"request timestamp expired"}', 401)
    for outcome in (told, answer):
        assert fault(outcome)[0] is Action.RECONNECT
        assert outcome is not None
        assert outcome.fault is not None
        assert outcome.fault.wait_ms == 30_000


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('{"type":"error","message":"Failed to subscribe","reason":"level2, level3, and full '
         'channels now require authentication."}', Action.FAIL),
        ('{"type":"error","message":"authentication failure"}', Action.RECONNECT),
        ('{"type":"error","message":"the author of this is unknown"}', Action.RECONNECT),
        ('{"type":"error","message":"Authentication Failed","reason":"Invalid API Key"}',
         Action.FAIL),
        ('{"type":"error","message":"Failed to subscribe","reason":"X-Y is not a valid product"}',
         Action.FAIL),
        ('{"type":"error","message":"ErrSlowConsume"}', Action.RECONNECT),
        ('{"type":"subscriptions","channels":[]}', Action.FAIL),
    ],
)  # fmt: skip
def test_what_the_venue_refuses_ends_or_renews_the_connection(text: str, action: Action) -> None:
    assert fault(Life().send(text))[0] is action
