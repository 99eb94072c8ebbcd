"""The page's WebSocket on a real server: a simulated market drawn live, whole and in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from ordertape.page.codec import KEY, HeatDelta, HeatKey, decode
from support.page import PlainPage
from support.served import LIVE, Served

BUCKET_US = 100_000


@pytest.fixture(autouse=True)
def live_market(served: Served) -> None:
    served.begin()


@contextmanager
def page(served: Served) -> Iterator[ClientConnection]:
    address = served.address.replace("http", "ws", 1)
    with connect(f"{address}/api/v1/orderbook-heatmap/page/ws", max_size=None) as socket:
        yield socket


def ask(socket: ClientConnection, **request: Any) -> None:
    socket.send(json.dumps(request))


def heard(socket: ClientConnection, op: str) -> dict[str, Any]:
    """The next text of that kind."""
    while True:
        message = socket.recv(timeout=60)
        if isinstance(message, str):
            told: dict[str, Any] = json.loads(message)
            if told["op"] == op:
                return told
            assert told["op"] != "refused", told


def open_live(socket: ClientConnection, **wish: Any) -> dict[str, Any]:
    ask(socket, op="open", stream=1, exchange="bitfinex", symbol=LIVE, **wish)
    return heard(socket, "opened")


def test_a_live_market_is_drawn_bucket_by_bucket_without_a_hole(served: Served) -> None:
    shown, begins, following = PlainPage(), [], 0
    with page(served) as socket:
        opened = open_live(socket)
        assert opened["group"] in opened["groups"]
        while len(begins) < 15:
            message = socket.recv(timeout=60)
            if isinstance(message, str):
                continue
            header, content = decode(message)
            assert (header.stream, header.seq, header.epoch) == (1, following, opened["epoch"])
            following += 1
            shown.take_content(header.t_us, content, bool(header.flags & KEY))
            if isinstance(content, HeatKey | HeatDelta):
                if header.t_us not in begins:  # the first came before it was over
                    begins.append(header.t_us)
                ask(socket, op="ack", stream=1, seq=header.seq)
    assert [b - a for a, b in pairwise(begins)] == [BUCKET_US] * 14
    assert all(shown.columns.values())
    bids, asks = shown.ladder
    assert max(bids) < min(asks)
    assert shown.queue


def test_a_page_that_asks_for_a_key_begins_a_new_epoch_with_everything(served: Served) -> None:
    with page(served) as socket:
        opened = open_live(socket)
        ask(socket, op="key", stream=1)
        kinds = set()
        while len(kinds) < 3:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                header, content = decode(message)
                if header.epoch == opened["epoch"] + 1 and header.flags & KEY:
                    kinds.add(type(content).__name__)
    assert kinds == {"HeatKey", "Ladder", "Queue"}


def test_an_order_of_the_queue_tells_its_life(served: Served) -> None:
    shown = PlainPage()
    with page(served) as socket:
        open_live(socket)
        while not shown.queue:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                header, content = decode(message)
                shown.take_content(header.t_us, content, bool(header.flags & KEY))
        (handle, _), *_ = next(iter(shown.queue.values()))
        ask(socket, op="order", stream=1, handle=handle)
        told = heard(socket, "order")
    assert told["handle"] == handle
    assert told["order_id"]
    assert told.get("side") in ("bid", "ask") or told["detail"] == "this order is not alive"


def test_only_the_channels_that_were_asked_for_come(served: Served) -> None:
    with page(served) as socket:
        open_live(socket, channels=["ladder"])
        kinds = set()
        for _ in range(20):
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                kinds.add(type(decode(message)[1]).__name__)
    assert kinds == {"Ladder"}


def test_a_paused_page_hears_of_its_state_alone_and_goes_on_with_keys(served: Served) -> None:
    with page(served) as socket:
        open_live(socket)
        ask(socket, op="pause", stream=1)
        statuses = 0
        socket_is_quiet = 0
        while statuses < 3:
            message = socket.recv(timeout=60)
            if isinstance(message, str):
                statuses += json.loads(message)["op"] == "status"
            elif statuses >= 2:
                socket_is_quiet += 1
        assert socket_is_quiet == 0
        ask(socket, op="resume", stream=1)
        while not isinstance(message := socket.recv(timeout=60), bytes):
            pass
        assert decode(message)[0].flags & KEY


def test_what_a_page_asks_wrongly_is_refused_in_a_sentence(served: Served) -> None:
    with page(served) as socket:
        for request, words in (
            ("{", "expected a request of the page"),
            ('{"op":"dance","stream":1}', "dance"),
            ('{"op":"open","stream":0,"exchange":"bitfinex","symbol":"X"}', "stream"),
            ('{"op":"ack","stream":9,"seq":1}', "expected an open stream, found 9"),
            ('{"op":"open","stream":1,"exchange":"bitfinex","symbol":"NO/PE"}', "NO/PE"),
            (
                '{"op":"open","stream":1,"exchange":"bitfinex","symbol":"BTC/USDT",'
                '"min_size":"1e9"}',
                "min_size",
            ),
            ("x" * 50_000, "at most"),
        ):
            socket.send(request)
            assert words in heard(socket, "refused")["detail"]


def test_several_markets_share_a_page_and_one_group_is_another_view(served: Served) -> None:
    with page(served) as socket:
        first = open_live(socket)
        wider = first["groups"][-1]
        ask(socket, op="open", stream=2, exchange="bitfinex", symbol=LIVE, group=wider)
        second = heard(socket, "opened")
        assert (second["stream"], second["group"]) == (2, wider)
        seen = set()
        while seen != {1, 2}:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes) and isinstance(decode(message)[1], HeatDelta):
                seen.add(decode(message)[0].stream)


def test_large_is_a_size_a_notional_or_a_quantile(served: Served) -> None:
    with page(served) as socket:
        usual = open_live(socket)
        price = served.answer(f"/snapshot/bitfinex/{LIVE}", depth=1)["statistics"]["best_bid"]
        unit = 10 ** usual["size_scale"]
        assert open_live(socket, large="2.5")["large"] == 2.5 * unit
        notional = open_live(socket, large_notional=str(10 * price))["large"]
        assert 9 * unit < notional < 11 * unit
        # A power of two, and fewer are larger.
        found = [open_live(socket, large_quantile=share)["large"] for share in ("0.1", "0.999")]
        assert found[0] < found[1]
        assert all(size & (size - 1) == 0 for size in found)


def test_sizes_that_no_order_has_show_nothing_and_disturb_no_other_page(served: Served) -> None:
    with page(served) as socket, page(served) as absurd:
        opened = open_live(socket)
        most = "9" * 18
        for wish in ({"min_size": most}, {"large": most}, {"group": 10**15, "min_size": most}):
            answer = open_live(absurd, **wish)
            assert answer["min_size"] == (2**63 - 1 if "min_size" in wish else 0)
        for _ in range(30):
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                assert decode(message)[0].epoch == opened["epoch"]
