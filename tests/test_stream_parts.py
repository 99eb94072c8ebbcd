"""Quarantine, rate and integrity of a stream."""

from __future__ import annotations

from ordertape import limits
from ordertape.stream.integrity import Integrity
from ordertape.stream.quarantine import Quarantine
from ordertape.stream.rates import Rate
from ordertape.venues.session import Checksum, Proofs

SECOND = 10**9


def test_the_quarantine_keeps_the_last_frames_cut_and_counts_all() -> None:
    quarantine = Quarantine(frames_max=3, frame_bytes_max=4)
    for nth in range(5):
        quarantine.add(nth, f"reason {nth}", b"abcdefgh")
    assert quarantine.total == 5
    assert [frame.reason for frame in quarantine.frames] == ["reason 2", "reason 3", "reason 4"]
    assert quarantine.frames[0].text == b"abcd"
    assert quarantine.frames[0].length == 8


def test_a_rate_is_the_mean_over_the_window_and_falls_to_nothing() -> None:
    count = 0
    rate = Rate(lambda: count, seconds=3)
    for second in range(10):
        if second * SECOND >= rate.next_sample:
            rate.sample(second * SECOND, count)
        count += 50
    assert rate.per_second(10 * SECOND) == 50
    assert rate.per_second(100 * SECOND) == 0


def test_a_book_is_proven_by_sequence_and_an_equal_checksum() -> None:
    integrity = Integrity()
    assert not integrity.proven
    assert integrity.summary == "not connected yet"
    integrity.connected = True
    assert integrity.summary == "no book yet"
    integrity.new_book(Proofs(sequence=False, checksum=False, venue_time=False))
    assert integrity.summary == (
        "unproven: the venue gives no sequence, the venue gives no checksum, no audit yet"
    )
    integrity.new_book(Proofs(sequence=True, checksum=True, venue_time=True))
    assert integrity.summary == "proof pending: no checksum yet"
    assert integrity.compare(Checksum(5, 5), now=1)
    assert integrity.proven
    assert not integrity.compare(Checksum(5, 6), now=2)
    assert not integrity.proven
    assert integrity.summary == "in doubt: 1 checksum in a row differs"
    assert not integrity.misses_exhausted
    integrity.compare(Checksum(5, 6), now=3)
    assert integrity.misses_exhausted
    integrity.new_book(Proofs(sequence=True, checksum=True, venue_time=True))
    assert (integrity.misses, integrity.compared, integrity.equal) == (0, 3, 1)
    assert integrity.as_dict()["proven"] is False


def test_a_book_without_sequence_is_never_proven() -> None:
    integrity = Integrity()
    integrity.new_book(Proofs(sequence=False, checksum=True, venue_time=False))
    integrity.compare(Checksum(5, 5), now=1)
    assert not integrity.proven
    assert integrity.summary == "unproven: the venue gives no sequence"


def test_a_book_may_stay_crossed_over_as_many_commits_as_the_limit_says() -> None:
    integrity = Integrity()
    for _ in range(limits.crossed_commits_max):
        assert not integrity.note_commit(crossed=True, commits_max=limits.crossed_commits_max)
    assert integrity.note_commit(crossed=True, commits_max=limits.crossed_commits_max)
    assert not integrity.note_commit(crossed=False, commits_max=limits.crossed_commits_max)
    assert not integrity.note_commit(crossed=True, commits_max=limits.crossed_commits_max)
