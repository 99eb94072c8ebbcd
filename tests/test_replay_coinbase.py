"""Coinbase from captures, from frames after the documented shapes, and from the 2017 recording."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape._engine import CoinbaseSnapshot, OrderBook
from ordertape.errors import BadFile
from ordertape.events import REASONS, EventKind, Flag, Side
from ordertape.numbers import plain
from ordertape.replay import CaptureReplay, CaptureWriter, read_capture
from ordertape.venues.coinbase import CoinbaseSession
from support.coinbase import START_NS, PlainCoinbase

GOLDEN = Path(__file__).parent / "golden" / "coinbase"
WS = "wss://ws-feed.exchange.coinbase.com"
REST = "https://api.exchange.coinbase.com/products/BTC-USD/book?level=3"


def told(event: dict[str, Any]) -> dict[str, Any]:
    """An event in words, absent values left out; as a line of ``events.jsonl``."""
    flags = Flag(event["flags"])
    words = {
        "seq": event["seq"],
        "venue_seq": event["venue_seq"],
        "kind": EventKind(event["kind"]).name,
        "reason": REASONS.get(event["reason"]),
        "flags": sorted(flag.name or "" for flag in flags),
        "side": None if event["side"] is None else Side(event["side"]).name,
        "order_id": event["order_id"],
        "price": None if event["price"] is None else plain(event["price"]),
        "size": None if event["size"] is None else plain(event["size"]),
        "taker_order_id": event["taker_order_id"],
        "trade_id": event["trade_id"],
    }
    return {name: value for name, value in words.items() if value is not None}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_documented_message_leads_to_the_events_it_should() -> None:
    """``frames.jsonl``: each type and reason of docs.cdp.coinbase.com, "channels" and
    "get-product-book"; ``events.jsonl``: what each of them means, told by hand."""
    batches = read_capture(GOLDEN / "frames.jsonl", "coinbase", "BTC-USD")
    found = [told(batch[index]) for batch in batches for index in range(len(batch))]
    assert found == lines(GOLDEN / "events.jsonl")


def test_the_frames_are_of_every_documented_type() -> None:
    texts = [json.loads(line["text"]) for line in lines(GOLDEN / "frames.jsonl")]
    types = {text.get("type") for text in texts if "type" in text}
    assert types >= {"received", "open", "match", "done", "change", "activate", "heartbeat"}
    reasons = {text["reason"] for text in texts if text.get("type") == "change"}
    assert reasons == {"STP", "modify_order", "remainder_after_modification", "tpsl_triggered"}


class Recorded:
    """A capture of a plain venue as a collector would keep it."""

    def __init__(self, path: Path, seed: int = 5) -> None:
        self.venue, self.now = PlainCoinbase(seed), START_NS
        self.writer = CaptureWriter(path)
        for _ in range(200):
            self.venue.step()

    def keep(self, *texts: str) -> None:
        for text in texts:
            self.now += 1_000_000
            self.writer.write(self.now, "ws", WS, text)

    def keep_book(self) -> None:
        self.now += 1_000_000
        self.writer.write(self.now, "rest", REST, self.venue.rest())

    def steps(self, times: int) -> None:
        for _ in range(times):
            self.keep(*self.venue.step())


def test_a_capture_with_a_loss_and_a_second_connection_ends_in_the_venues_book(
    tmp_path: Path,
) -> None:
    path = tmp_path / "frames.jsonl.zst"
    recorded = Recorded(path)
    recorded.keep(recorded.venue.subscriptions(), recorded.venue.heartbeat())
    recorded.steps(50)
    recorded.keep_book()
    recorded.steps(500)
    recorded.venue.open("buy", "19000", "1")
    recorded.steps(10)
    recorded.keep_book()
    recorded.steps(100)
    recorded.keep(recorded.venue.subscriptions(), recorded.venue.heartbeat())
    recorded.keep_book()
    recorded.steps(100)
    recorded.writer.close()
    replay = CaptureReplay(path, "coinbase", "btc/usd")
    batches = list(replay.batches())
    book = OrderBook()
    for batch in batches:
        assert book.apply(batch).faults == 0
    assert book.era == 3
    assert book.digest() == replay.stream.book.digest()
    ours = [row for side in (0, 1) for row in book.orders(side)]
    assert ours == [(order, price, size) for _, price, order, size in recorded.venue.rows()]
    assert replay.stream.record.gaps == 2


def test_a_capture_without_a_book_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    recorded = Recorded(path)
    recorded.keep(recorded.venue.heartbeat())
    recorded.steps(5)
    recorded.writer.close()
    with pytest.raises(BadFile, match="coinbase BTC-USD"):
        list(read_capture(path, "coinbase", "BTC-USD"))


def test_the_recording_of_2017_is_followed_without_a_fault(shared: Path) -> None:
    """It has no whole book: one is made of the orders that it cancels without opening them."""
    texts = (shared / "data/coinbase_2017/full_channel_sample.jsonl").read_bytes().splitlines()
    messages = [json.loads(text) for text in texts]
    product = "BTC-USD"
    ours = [message for message in messages if message["product_id"] == product]
    counted = [message for message in ours if message["type"] != "heartbeat"]
    opened = {message["order_id"] for message in ours if message["type"] == "open"}
    older = [m for m in ours if m["type"] == "done" and m["order_id"] not in opened]
    rows = {
        side: [[m["price"], m["remaining_size"], m["order_id"]] for m in older if m["side"] == side]
        for side in ("buy", "sell")
    }
    first = counted[0]["sequence"]
    body = {"bids": rows["buy"], "asks": rows["sell"], "sequence": first - 1}
    session = CoinbaseSession(product, OrderBook(codec="uuid"))
    snapshot = CoinbaseSnapshot(json.dumps(body).encode(), session.book.codec)
    session.feed.adopt(snapshot, 1, START_NS)
    session._follow()
    for nth, text in enumerate(texts):
        outcome = session.frame(text, START_NS + nth)
        assert outcome is None or outcome.fault is None
    ended = {message["order_id"] for message in ours if message["type"] == "done"}
    resting = {order: m for m in ours if m["type"] == "open" for order in [m["order_id"]]}
    expected = {order: Decimal(m["remaining_size"]) for order, m in resting.items()}
    found = {order: size for side in (0, 1) for order, _, size in session.book.orders(side)}
    assert found == {order: size for order, size in expected.items() if order not in ended}
    assert session.feed.last == counted[-1]["sequence"]
    assert session.feed.counters["other_products"] == len(messages) - len(ours)
