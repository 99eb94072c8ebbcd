"""Frames that are damaged, made up or huge: nothing crashes, nothing wrong is applied."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordertape._engine import CoinbaseFeed, CoinbaseSnapshot, IdCodec, OrderBook
from ordertape.errors import NumberRefused
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.session import Action, chained
from support.coinbase import BUY, PRODUCT, START_NS, PlainCoinbase

FRAMES = 5_000


def synced(venue: PlainCoinbase) -> CoinbaseSession:
    session = CoinbaseSession(PRODUCT, OrderBook(codec="uuid"))
    snapshot = CoinbaseSnapshot(venue.rest(), session.book.codec)
    session.feed.adopt(snapshot, 1, START_NS)
    session._follow()
    return session


def damaged(text: bytes, draw: random.Random) -> bytes:
    """The text with a byte or a piece of it changed."""
    at, length = draw.randrange(len(text)), draw.randrange(1, 12)
    return draw.choice(
        (
            lambda: text[:at],
            lambda: text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :],
            lambda: text[:at] + text[at + length :],
            lambda: text[:at] + text[at : at + length] * 2 + text[at + length :],
            lambda: text[:at] + draw.choice(PIECES) + text[at:],
            lambda: text + draw.choice(PIECES),
        )
    )()


PIECES = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"null", b"NaN", b"-"),
    *(b"1e400", b"1e-400", b"0" * 60, b'"sequence":1,', b'"price":"-0",', b'"type":"open",'),
]


def is_message(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def test_damaged_frames_never_crash_and_what_is_no_json_is_never_applied() -> None:
    draw = random.Random(11)
    venue = PlainCoinbase(11)
    for _ in range(100):
        venue.step()
    session = synced(venue)
    faults = 0
    while faults < FRAMES:
        for text in venue.step():
            bad = damaged(text.encode(), draw)
            before = (session.feed.last, session.book.digest())
            outcome = chained(session.frame(bad, START_NS), session.flush())
            followed = session.feed.last == before[0] + 1
            if not is_message(bad):
                assert not followed, bad
                assert outcome is not None, bad
                assert outcome.fault is not None, bad
            if not followed:
                assert session.book.digest() == before[1], bad
            elif outcome is not None and outcome.batch is not None:
                assert outcome.batch.last_seq == session.next_seq - 1
            session.book.check()
            faults += 1
            # Whatever was made of it: the next frame finds the venue's book again.
            if bad != text.encode():
                session = synced(venue) if faults % 50 else renewed(session, venue)


def renewed(session: CoinbaseSession, venue: PlainCoinbase) -> CoinbaseSession:
    """The same session with a new snapshot."""
    session.resync()
    snapshot = CoinbaseSnapshot(venue.rest(), session.book.codec)
    session.feed.adopt(snapshot, session.next_seq, START_NS)
    session._follow()
    return session


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_bytes_of_any_kind_are_answered_with_a_fault(text: bytes) -> None:
    session = synced(PlainCoinbase(1))
    outcome = session.frame(text, START_NS)
    assert session.feed.last == 1000
    assert outcome is None or outcome.fault is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ["type", "sequence", "order_id", "side", "price", "size", "remaining_size", "reason"]
FIELDS += ["maker_order_id", "taker_order_id", "trade_id", "new_size", "old_size", "new_price"]


@given(
    st.sampled_from(["received", "open", "match", "done", "change", "heartbeat", "noop", "error"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
)
@settings(max_examples=500)
def test_fields_of_any_kind_leave_a_book_that_agrees_with_itself(
    kind: str, fields: dict[str, Any]
) -> None:
    venue = PlainCoinbase(1)
    order_id = venue.add(BUY, "100", "1")
    session = synced(venue)
    whole = {"type": kind, "product_id": PRODUCT, "sequence": 1001, "order_id": order_id}
    text = json.dumps({**whole, "side": "buy", "price": "100", **fields}).encode()
    session.frame(text, START_NS)
    session.book.check()
    assert session.feed.last in (1000, 1001)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "1e400", "-0.5", "", "0x10", "1" * 40, "0." + "1" * 40, "１"]
)
def test_numbers_that_can_t_be_held_are_refused(number: str) -> None:
    venue = PlainCoinbase(1)
    session = synced(venue)
    fields = {"order_id": venue.new_id(), "side": BUY, "remaining_size": "1"}
    text = venue.say("open", **fields, price=number).encode()
    outcome = chained(session.frame(text, START_NS), session.flush())
    if number == "-0.5":  # a number; that prices are positive is no rule of the venue's
        assert outcome is not None
        assert outcome.batch is not None
        return
    assert outcome is not None
    assert outcome.fault is not None
    assert outcome.fault.action in (Action.FAIL, Action.RESYNC)
    assert len(session.book) == 0


def test_deep_nesting_and_long_texts_are_refused_or_passed_over() -> None:
    session = synced(PlainCoinbase(1))
    deep = b'{"type":"open","x":' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    outcome = session.frame(deep, START_NS)
    assert outcome is not None
    assert outcome.fault is not None
    assert "nested too deep" in outcome.fault.reason
    session = synced(PlainCoinbase(1))
    long = json.dumps({"type": "noop", "product_id": PRODUCT, "sequence": 1001, "x": "y" * 10**7})
    assert session.frame(long.encode(), START_NS) is None
    assert session.feed.last == 1001


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_a_body_of_any_kind_is_a_book_or_refused(body: bytes) -> None:
    with pytest.raises((ValueError, NumberRefused)):
        CoinbaseSnapshot(body, IdCodec("uuid"))


def test_a_damaged_book_is_refused_or_agrees_with_itself() -> None:
    draw = random.Random(3)
    venue = PlainCoinbase(3)
    for _ in range(200):
        venue.step()
    body = venue.rest()
    for _ in range(2_000):
        bad = damaged(body, draw)
        book = OrderBook(codec="uuid")
        try:
            snapshot = CoinbaseSnapshot(bad, book.codec)
        except ValueError:
            continue
        assert is_message(bad), bad
        if snapshot.auction_mode:
            continue
        CoinbaseFeed(book, PRODUCT, emptied_max=10, gather_rows=1, gather_ns=0).adopt(
            snapshot, 1, START_NS
        )
        book.check()
