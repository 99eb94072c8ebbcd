"""Contract, REST: the row `WS /ws/{symbol}` and its frames, over real sockets."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from ordertape._engine import OrderBook
from ordertape.events import EventKind, Side
from ordertape.venues.registry import VENUES
from support.contract import ENVELOPE, METADATA, STATISTICS
from support.processes import wait_for
from support.served import LIVE, Served, exact


def frames(socket: ClientConnection, until: str, count: int = 1) -> list[dict[str, Any]]:
    """What comes up to the ``count``th frame of a kind."""
    found: list[dict[str, Any]] = []
    while sum(frame["type"] == until for frame in found) < count:
        found.append(exact(socket.recv(timeout=60)))
        assert set(found[-1]) >= ENVELOPE | {"type", "exchange", "symbol"}
    return found


class Follower:
    """A plain book made of nothing but frames."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str, Decimal, Decimal]] = {}
        self.sequence = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "l3_snapshot":
            self.orders = {
                order["order_id"]: (side, Decimal(order["price"]), Decimal(order["size"]))
                for side in ("bid", "ask")
                for order in frame[f"{side}s"]
            }
            self.sequence = frame["sequence"]
        elif frame["type"] == "l3_order":
            self.event(frame["data"])
        elif frame["type"] == "l3_orders":
            for data in frame["data"]:
                self.event(data)

    def event(self, data: dict[str, Any]) -> None:
        assert data["sequence"] == self.sequence + 1
        self.sequence += 1
        kind, order = data["event_type"], data["order_id"]
        if data["metadata"].get("late"):
            return
        if kind in ("open", "change"):
            self.orders[order] = (data["side"], Decimal(data["price"]), Decimal(data["size"]))
        elif kind == "match":
            side, price, size = self.orders[order]
            self.orders[order] = (side, price, size - Decimal(data["size"]))
        elif kind in ("done", "evict"):
            self.orders.pop(order, None)
        elif kind == "clear":
            self.orders.clear()
        if order in self.orders and self.orders[order][2] == 0:
            del self.orders[order]

    def same_as(self, book: OrderBook) -> None:
        theirs = {
            order: (side.name.lower(), price, size)
            for side in Side
            for order, price, size in book.orders(side)
        }
        assert self.orders == theirs


@pytest.mark.contract("WS /ws/{symbol}")
def test_a_snapshot_at_once_and_then_every_event_in_order(server: Served) -> None:
    follower = Follower()
    with server.socket() as socket:
        first = exact(socket.recv(timeout=60))
        assert set(first) >= ENVELOPE | {"exchange", "symbol", "timestamp", "statistics"}
        assert (first["type"], first["exchange"]) == ("l3_snapshot", "bitfinex")
        assert (first["symbol"], first["state"]) == (LIVE, "LIVE")
        assert len(first["bids"]) == first["statistics"]["bid_count"]
        follower.take(first)
        for frame in frames(socket, "l3_order", 200):
            follower.take(frame)
            if frame["type"] == "l3_order":
                assert set(frame) >= ENVELOPE | {"exchange", "symbol", "data"}
                named = {"order_id", "sequence", "side", "price", "size", "event_type"}
                assert set(frame["data"]) == named | {"timestamp", "metadata"}
                added = {"partial", "place_assumed"}
                assert set(frame["data"]["metadata"]) <= METADATA | added
    follower.same_as(server.book_at(follower.sequence))


@pytest.mark.parametrize("form", ["BTC%2FUSDT", "tBTCUST", "BTC-USDT"])
def test_any_form_of_the_symbol(server: Served, form: str) -> None:
    with server.socket(form, "exchange=bitfinex&depth=1") as socket:
        assert exact(socket.recv(timeout=60))["symbol"] == LIVE


def test_depth_is_orders_a_side(server: Served) -> None:
    with server.socket(query="depth=3") as socket:
        first = exact(socket.recv(timeout=60))
    assert (len(first["bids"]), len(first["asks"])) == (3, 3)
    assert first["statistics"]["total_orders"] > 6


def test_batch_ms_gathers_events_into_one_frame(server: Served) -> None:
    follower = Follower()
    with server.socket(query="batch_ms=300") as socket:
        found = frames(socket, "l3_orders", 3)
        for frame in found:
            follower.take(frame)
    assert not any(frame["type"] == "l3_order" for frame in found)
    batches = [frame["data"] for frame in found if frame["type"] == "l3_orders"]
    assert max(len(batch) for batch in batches) > 5


def test_statistics_come_once_a_second(server: Served) -> None:
    with server.socket() as socket:
        frames(socket, "l3_statistics")
        began = time.monotonic()
        found = frames(socket, "l3_statistics", 2)
        assert 1.5 < time.monotonic() - began < 3.5
    statistics = [frame for frame in found if frame["type"] == "l3_statistics"]
    assert set(statistics[0]) >= ENVELOPE | {"exchange", "symbol", "timestamp", "data"}
    assert set(statistics[0]["data"]) >= STATISTICS
    assert statistics[0]["data"]["total_orders"] > 0


def test_since_goes_on_where_a_reader_stood(server: Served) -> None:
    follower = Follower()
    with server.socket() as socket:
        for frame in frames(socket, "l3_order", 5):
            follower.take(frame)
            era = frame["era"]
    wait_for(
        lambda: server.answer(f"/status/bitfinex/{LIVE}")["sequence"] > follower.sequence + 20,
        "more events",
        pause=0.05,
    )
    query = f"exchange=bitfinex&since={era}:{follower.sequence}"
    with server.socket(query=query) as socket:
        found = frames(socket, "l3_order", 30)
    assert not any(frame["type"] == "l3_snapshot" for frame in found)
    for frame in found:
        follower.take(frame)


@pytest.mark.parametrize("since", ["9:1", "1:999999999"])
def test_since_a_place_that_is_none_answers_a_snapshot(server: Served, since: str) -> None:
    with server.socket(query=f"exchange=bitfinex&since={since}") as socket:
        assert exact(socket.recv(timeout=60))["type"] == "l3_snapshot"


@pytest.mark.parametrize(
    ("symbol", "query", "status", "named"),
    [
        (LIVE, "exchange=nowhere", 404, "nowhere"),
        ("no-symbol-at-all", "", 404, "no-symbol-at-all"),
        (LIVE, "depth=-1", 422, "depth"),
        (LIVE, "batch_ms=x", 422, "batch_ms"),
        (LIVE, "batch_ms=99999999", 422, "batch_ms"),
        (LIVE, "since=1:1", 422, "exchange"),
        (LIVE, "exchange=bitfinex&since=here", 422, "since"),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(
    server: Served, symbol: str, query: str, status: int, named: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.socket(symbol, query)
    assert refused.value.response.status_code == status
    assert named in json.loads(refused.value.response.body)["detail"]


def test_a_client_that_waits_gets_the_book_when_the_stream_goes_live(server: Served) -> None:
    with server.socket("XRP/USDT") as socket:
        waiting = [exact(socket.recv(timeout=60)) for _ in VENUES]
        assert {(told["type"], told["state"]) for told in waiting} == {("l3_status", "STOPPED")}
        assert {told["exchange"] for told in waiting} == set(VENUES)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        socket.send("what a client says is not looked at")
        server.begin("XRP/USDT", persist=False)
        found = frames(socket, "l3_order", 20)
    follower = Follower()
    for frame in found:
        assert frame["symbol"] == "XRP/USDT"
        follower.take(frame)


def test_stop_and_start_is_a_status_each_and_a_new_book(server: Served) -> None:
    follower = Follower()
    with server.socket() as socket:
        first = exact(socket.recv(timeout=60))
        follower.take(first)
        era, gaps = first["era"], len(server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"])
        answer = server.post(f"/stop/bitfinex/{LIVE}").json()
        assert answer["status"]["state"] == "STOPPED"
        assert answer["message"]
        assert set(answer) >= ENVELOPE
        for frame in frames(socket, "l3_status"):
            follower.take(frame)
        assert frame["data"]["state"] == "STOPPED"
        assert frame["data"]["is_active"] is False
        last = server.answer(f"/snapshot/bitfinex/{LIVE}")
        assert (last["state"], last["sequence"]) == ("STOPPED", follower.sequence)
        server.begin()
        states = []
        for frame in frames(socket, "l3_snapshot"):
            follower.take(frame)
            if frame["type"] == "l3_status":
                states.append(frame["data"]["state"])
        assert frame["era"] == era + 1
        assert states[-1] == "LIVE"
        assert frame["state"] == "LIVE"
        clear = EventKind.CLEAR.name.lower()
        page = server.answer(f"/orders/bitfinex/{LIVE}", event_type=clear)
        assert page["orders"][-1]["sequence"] <= follower.sequence
        for later in frames(socket, "l3_order", 20):
            follower.take(later)
    gap = server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"][gaps]
    assert gap["healed_by"] == page["orders"][-1]["sequence"]


def test_a_killed_collector_is_told_to_readers_and_its_gap_is_a_row(server: Served) -> None:
    gaps = len(server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"])
    with server.socket() as socket:
        found = frames(socket, "l3_snapshot")
        server.kill_collector()
        found += frames(socket, "l3_snapshot")
    assert found[-1]["era"] == found[0]["era"] + 1
    assert len(server.answer(f"/gaps/bitfinex/{LIVE}")["gaps"]) == gaps + 1
