"""The comparison of a live book with the venue's own over REST."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordertape import limits
from ordertape.stream import MarketStream, Step, StreamState
from ordertape.venues import venue_of
from ordertape.venues.session import Fetch
from support.bitfinex import NaiveVenue
from support.coinbase import BUY, SELL, START_NS, PlainCoinbase
from test_stream_market import Kept

MS = 1_000_000
SECOND = 1_000 * MS
INTERVAL = 600


class Coinbase:
    """A live stream against a plain venue, with a clock of its own."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.stream = MarketStream(venue_of("coinbase"), "BTC-USD", sink=self.kept)
        self.venue = PlainCoinbase(3)
        for _ in range(300):
            self.venue.step()
        self.now = START_NS + 10**9
        self.asked: list[Fetch] = []
        self.stream.start(self.now)
        self.stream.on_open(self.now)
        self.send(self.venue.subscriptions(), self.venue.heartbeat())
        self.answer(self.until_asked(), self.venue.rest())
        assert self.stream.state is StreamState.LIVE
        self.live_since = self.now

    def send(self, *texts: str) -> None:
        for text in texts:
            self.now += MS
            self.stream.on_frame(text.encode(), self.now)
        self.stream.flush()

    def steps(self, times: int) -> None:
        for _ in range(times):
            self.send(*self.venue.step())

    def answer(self, fetch: Fetch, body: Any, status: int = 200) -> None:
        self.note(self.stream.on_answer(fetch, status, {}, body, self.now))
        for _ in range(100):
            self.note(self.stream.tick(self.now))

    def note(self, step: Step | None) -> None:
        if step is not None and step.fetch is not None:
            self.asked.append(step.fetch)

    def until_asked(self, seconds: int = 5) -> Fetch:
        for _ in range(seconds * 10):
            if self.asked:
                return self.asked.pop()
            self.now += 100 * MS
            self.send(self.venue.heartbeat())
            self.note(self.stream.tick(self.now))
        raise AssertionError(f"nothing was asked for within {seconds} s")

    def until_audit(self) -> Fetch:
        fetch = self.until_asked(INTERVAL + 5)
        assert fetch.what == "audit"
        return fetch

    def lie(self) -> None:
        """The venue's book becomes another without a word."""
        order_id = self.venue.rows()[0][2]
        self.venue.entry(order_id)[1] += Decimal(1)


def test_an_audit_is_made_after_the_interval_and_counted() -> None:
    life = Coinbase()
    fetch = life.until_audit()
    assert life.now - life.live_since == pytest.approx(INTERVAL * SECOND, abs=SECOND)
    life.answer(fetch, life.venue.rest())
    assert life.stream.integrity.proven
    assert life.stream.integrity.summary == "proven: sequence checked, 1 of 1 audits equal"
    assert life.stream.integrity.as_dict()["audits_equal"] == 1
    life.until_audit()
    assert life.stream.record.gaps == 0


@pytest.mark.parametrize("moment", ["behind", "at", "ahead"])
def test_books_are_compared_at_exactly_the_venues_sequence(moment: str) -> None:
    life = Coinbase()
    fetch = life.until_audit()
    life.steps(50)
    body = life.venue.rest()
    if moment == "ahead":
        ahead = [text for _ in range(50) for text in life.venue.step()]
        body = life.venue.rest()
        life.answer(fetch, body)
        assert life.stream.integrity.audits == 0, "not yet"
        life.send(*ahead)
    elif moment == "behind":
        life.steps(2_000)
        life.answer(fetch, body)
    else:
        life.answer(fetch, body)
    life.now += 10 * MS
    life.stream.tick(life.now)
    assert (life.stream.integrity.audits, life.stream.integrity.audits_equal) == (1, 1)
    assert life.stream.state is StreamState.LIVE


def test_a_difference_is_a_gap_back_dated_to_the_last_agreement_and_a_resync() -> None:
    life = Coinbase()
    life.answer(life.until_audit(), life.venue.rest())
    agreed = life.stream.integrity.last_audit_ns
    life.steps(20)
    life.lie()
    life.answer(life.until_audit(), life.venue.rest())
    assert life.stream.state is StreamState.RESYNCING
    (gap,) = life.kept.of("gap")
    assert gap["from_ns"] == agreed
    assert "the venue's own book is another: 0 orders" in gap["reason"]
    assert life.venue.rows()[0][2] in gap["reason"]
    life.answer(life.until_asked(), life.venue.rest())
    assert life.stream.state is StreamState.LIVE
    assert life.stream.book.era == 2
    assert life.stream.integrity.audits_equal == 1
    assert not life.stream.integrity.proven, "of the new book nothing is proven yet"


def test_the_first_audit_dates_a_difference_back_to_the_snapshot() -> None:
    life = Coinbase()
    life.lie()
    life.answer(life.until_audit(), life.venue.rest())
    (gap,) = life.kept.of("gap")
    assert gap["from_ns"] == life.live_since


@pytest.mark.parametrize("how", ["missing", "besides", "moved"])
def test_every_kind_of_difference_is_found(how: str) -> None:
    life = Coinbase()
    order_id = life.venue.rows()[0][2]
    if how == "missing":
        life.venue.take_out(order_id)
    elif how == "besides":
        life.venue.add(SELL, "20000.55", "1")
    else:
        _, _, size = life.venue.take_out(order_id)
        life.venue._put(order_id, BUY, Decimal("19000"), size)
    life.answer(life.until_audit(), life.venue.rest())
    assert life.stream.state is StreamState.RESYNCING


def test_an_audit_without_an_answer_is_tried_again_soon() -> None:
    life = Coinbase()
    for status, body in ((503, b""), (0, "no answer"), (200, b"{}"), (429, b"")):
        life.answer(life.until_audit(), body, status)
        before = life.now
        fetch = life.until_audit()
        assert life.now - before <= (limits.audit_retry_ms + 1_000) * MS
        life.answer(fetch, life.venue.rest(auction_mode=True))
    assert life.stream.integrity.audits_failed == 8
    assert life.stream.state is StreamState.LIVE


def test_what_the_book_does_not_follow_is_no_difference() -> None:
    life = Coinbase()
    fetch = life.until_audit()
    body = life.venue.rest()
    life.send(life.venue.subscriptions(), life.venue.heartbeat())
    life.steps(5)
    life.answer(fetch, body)
    assert (life.stream.integrity.audits, life.stream.integrity.audits_equal) == (1, 1)
    assert life.stream.record.gaps == 0


def test_a_loss_in_the_middle_of_an_audit_ends_it() -> None:
    life = Coinbase()
    fetch = life.until_audit()
    life.venue.open(BUY, "19000", "1")
    life.steps(2)
    assert life.stream.state is StreamState.RESYNCING
    life.answer(fetch, life.venue.rest())
    assert life.stream.integrity.audits == 0
    life.answer(life.until_asked(), life.venue.rest())
    assert life.stream.state is StreamState.LIVE


# Bitfinex -----------------------------------------------------------------------------------------
class Bitfinex:
    """A live stream against a naive venue with a window of 100."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.stream = MarketStream(venue_of("bitfinex"), "BTC/USD", sink=self.kept)
        self.venue = NaiveVenue(length=100)
        self.now = START_NS
        self.stream.start(self.now)
        self.stream.on_open(self.now)
        for frame in self.venue.connection():
            self.now += MS
            self.stream.on_frame(frame.encode(), self.now)
        assert self.stream.state is StreamState.LIVE

    def until_asked(self, seconds: int = INTERVAL + 5) -> Fetch:
        for nth in range(seconds * 10):
            self.now += 100 * MS
            step = self.stream.tick(self.now)
            if step is not None and step.fetch is not None:
                return step.fetch
            if nth % 10 == 0:
                for frame in self.venue.iteration():
                    self.stream.on_frame(frame.encode(), self.now)
        raise AssertionError("nothing was asked for")

    def rest(self, change: bool = False) -> bytes:
        rows = []
        for side in (0, 1):
            for order_id, price, size in self.stream.book.orders(side, 100):
                rows.append(f"[{order_id},{price},{-size if side else size}]")
        if change:
            first = rows[0].split(",")
            rows[0] = f"{first[0]},{first[1]},7.5]"
        return f"[{','.join(rows)}]".encode()

    def answer(self, fetch: Fetch, body: Any) -> None:
        self.stream.on_answer(fetch, 200, {}, body, self.now)


def test_a_window_is_compared_with_the_raw_book_over_rest() -> None:
    life = Bitfinex()
    fetch = life.until_asked()
    assert fetch.path == "/v2/book/tBTCUSD/R0?len=100"
    life.answer(fetch, life.rest())
    assert (life.stream.integrity.audits, life.stream.integrity.audits_equal) == (1, 1)
    assert "1 of 1 audits equal" in life.stream.integrity.summary


def test_what_one_read_alone_shows_otherwise_is_a_delay() -> None:
    life = Bitfinex()
    life.answer(life.until_asked(), life.rest(change=True))
    assert life.stream.integrity.audits == 0
    life.answer(life.until_asked(10), life.rest())
    assert life.stream.integrity.audits_equal == 1
    assert life.stream.state is StreamState.LIVE


def test_what_two_reads_show_otherwise_is_a_difference() -> None:
    life = Bitfinex()
    # The order's price is what no checksum covers: the book is told another one on the socket.
    fetch = life.until_asked()
    wrong = life.rest().decode().strip("[]").split("],[")
    order_id, price, amount = wrong[-1].split(",")
    moved = f"{order_id},{Decimal(price) + Decimal('0.5')},{amount}"
    body = f"[[{'],['.join([*wrong[:-1], moved])}]]".encode()
    life.answer(fetch, body)
    second = life.until_asked(10)
    stands = life.stream.book.get(order_id)
    life.answer(second, body)
    if stands is not None and stands[1] == Decimal(price):
        assert life.stream.state is StreamState.RESYNCING
        assert order_id in life.kept.of("gap")[0]["reason"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'["error",10020,"path: invalid"]'])
def test_an_answer_that_is_no_raw_book_is_no_difference(body: bytes) -> None:
    life = Bitfinex()
    life.answer(life.until_asked(), body)
    assert life.stream.integrity.audits_failed == 1
    assert life.stream.state is StreamState.LIVE
