"""A scene and its readers: nobody is told less because of another, gaps are open while they are."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from ordertape import limits
from ordertape._engine import BatchBuilder, EventBatch, OrderBook
from ordertape.page.codec import KEY, Gap, HeatKey, decode
from ordertape.page.scene import Asked, Posted, Reader, Scene, Spot
from ordertape.page.socket import PageStream
from ordertape.page.view import Out, View, Wish
from ordertape.tape.history import History, Hole
from ordertape.tape.marks import Mark
from support.page import PlainPage
from support.tape import Market

TICK_NS = 100_000_000


def scene_of(market: Market) -> Scene:
    """A live market that has gone on for a while."""
    book = OrderBook(codec=market.codec)
    for _ in range(200):
        book.apply(market.message())
    scene = Scene(Spot("bitfinex", "BTC/USD", "live"), book, History())
    scene.now = market.now
    return scene


def view_of(scene: Scene) -> View:
    return View(scene.followed, scene.handles, Wish(1), scene.now)


def shown_levels(book: OrderBook) -> list[dict[int, tuple[int, int]]]:
    return [
        {price: (size, orders) for price, size, orders in side} for side in book.depth_scaled(200)
    ]


def test_a_new_era_ends_orders_and_follows_those_that_stand_on() -> None:
    market = Market(seed=7, orders=60)
    scene = scene_of(market)
    stream, page = PageStream(1, asyncio.Event()), PlainPage()
    scene.join(Reader(Asked(large=Decimal("1E-8")), stream.post))
    before = {order_id for order_id, _, _ in ladder_of(scene)}
    for _ in range(3):
        scene.take(market.message(clear=True))
        scene.tick(market.now + TICK_NS)
        after = {order_id for order_id, _, _ in ladder_of(scene)}
        first = None
        for message in stream.take():
            if isinstance(message, bytes):
                header, content = decode(message)
                first = first or (header.seq, header.flags, type(content))
            elif json.loads(message)["op"] == "large":
                page.take(Out("large", None, False, 0, message.encode()))
        assert first == (0, KEY, HeatKey)
        gone = before - after
        assert after
        assert {page.large[order_id]["ending"] for order_id in gone} == {"cut"}
        alive = {order_id for order_id, told in page.large.items() if "ended" not in told}
        assert alive == after, "what stands on is a new life"
        before = after


def ladder_of(scene: Scene) -> list[tuple[str, Any, Any]]:
    return [order for side in (0, 1) for order in scene.followed.book.orders(side)]


def test_what_no_reader_is_told_is_counted_in_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "page_large_max", 20)
    monkeypatch.setattr(limits, "page_trades_max", 2)
    market = Market(seed=7, orders=60)
    scene = scene_of(market)
    posted: list[Posted] = []
    scene.join(Reader(Asked(large=Decimal("1E-8")), posted.append))
    opened = traded = 0
    for _ in range(100):
        batch = market.message()
        kinds = [batch[nth]["kind"] for nth in range(len(batch))]
        opened, traded = opened + kinds.count(1), traded + kinds.count(3) + kinds.count(7)
        scene.take(batch)
    posted.clear()
    scene.tell_status()
    told = json.loads(posted[0].outs[0].body)
    assert told["trades_left_out"] == traded - 2 > 0
    assert opened - 20 <= told["large_not_followed"] <= opened + len(scene.followed.book)
    assert told["large_not_followed"] > 0


def test_who_asks_for_keys_takes_nothing_from_others() -> None:
    market = Market(seed=7, orders=60)
    scene = scene_of(market)
    pages = [PlainPage(), PlainPage()]

    def take(page: PlainPage, posted: Posted) -> None:
        for out in posted.outs:
            page.take(out)

    readers = [Reader(Asked(group=1), partial(take, page)) for page in pages]
    for reader in readers:
        scene.join(reader)
    for _ in range(30):
        for _ in range(5):
            scene.take(market.message(step_ns=5_000_000))
        scene.keys(readers[1])
        scene.tick(market.now)
        for page in pages:
            assert list(page.ladder) == shown_levels(scene.followed.book)
            for (side, price), shown in page.queue.items():
                whole = sum(size for _, size in scene.followed.book.queue(price, side))
                assert sum(size for _, size in shown) == int(whole.scaleb(8))


def test_a_finer_number_opens_every_reader_anew() -> None:
    market = Market(seed=7, orders=60)
    scene = scene_of(market)
    stream = PageStream(1, asyncio.Event())
    scene.join(Reader(Asked(group=100), stream.post))
    stream.take()
    scene.take(finer(market))
    scene.tick(market.now)
    page = PlainPage()
    opened = None
    for message in stream.take():
        if isinstance(message, str):
            opened = told if (told := json.loads(message))["op"] == "opened" else opened
        else:
            header, content = decode(message)
            page.take_content(header.t_us, content, bool(header.flags & KEY))
    assert opened is not None
    assert (opened["price_scale"], opened["size_scale"], opened["group"]) == (3, 9, 1_000)
    assert list(page.ladder) == shown_levels(scene.followed.book)
    # Batches at the scales before are compared with the book's numbers, and traded at its prices.
    for _ in range(40):
        scene.take(market.message(step_ns=5_000_000))
    scene.tick(market.now)
    for message in stream.take():
        if isinstance(message, bytes):
            header, content = decode(message)
            page.take_content(header.t_us, content, bool(header.flags & KEY))
    assert list(page.ladder) == shown_levels(scene.followed.book)
    assert page.trades
    assert all(99_000 < trade.price < 101_000 for trade in page.trades)


def finer(market: Market) -> EventBatch:
    """A message whose prices and sizes have a digit more than others."""
    usual, market.builder = market.builder, BatchBuilder(market.codec, 3, 9, market.trade_codec)
    batch = market.message(step_ns=5_000_000)
    market.builder = usual
    return batch


def test_trades_and_gaps_that_wait_come_behind_the_keys_of_an_epoch() -> None:
    stream = PageStream(1, asyncio.Event())
    view = view_of(scene_of(Market(seed=7)))
    gap = view.gap(Hole(1_000, 2_000, "sequence jumped"))
    large = Out("large", None, False, 0, b'{"op":"large","order_id":"1"}')
    stream.post(Posted([gap, large]))
    stream.post(Posted(view.keys(10**18), anew=True))
    messages = stream.take()
    assert json.loads(messages[0])["order_id"] == "1"
    frames = [decode(message) for message in messages if isinstance(message, bytes)]
    assert [header.seq for header, _ in frames] == list(range(len(frames)))
    assert frames[0][0].flags & KEY
    assert isinstance(frames[-1][1], Gap)


def test_what_comes_before_keys_that_were_asked_for_is_left_out() -> None:
    stream = PageStream(1, asyncio.Event())
    keys = view_of(scene_of(Market(seed=7))).keys(10**18)
    stream.post(Posted(keys, anew=True))
    stream.leave_out()
    stream.take()
    assert stream.wants_keys
    stream.asked_keys = True
    assert not stream.wants_keys
    stream.post(Posted(keys))
    assert not any(isinstance(message, bytes) for message in stream.take())
    stream.post(Posted(keys, anew=True))
    assert not stream.needs_key
    assert len([message for message in stream.take() if isinstance(message, bytes)]) == 3


class Told:
    """A reader that keeps the gaps and states it was told."""

    def __init__(self, scene: Scene) -> None:
        self.gaps: list[tuple[int, int]] = []
        self.states: list[str] = []
        scene.join(Reader(Asked(), self.take))

    def take(self, posted: Posted) -> None:
        page = PlainPage()
        for out in posted.outs:
            page.take(out)
            if out.kind is None and (told := json.loads(out.body))["op"] == "status":
                self.states.append(told["state"])
        self.gaps += [(gap.from_us, gap.to_us) for gap in page.gaps]


def mark_of(scene: Scene, kind: str, **fields: Any) -> Mark:
    return Mark(kind, scene.followed.seq, scene.now, fields)


def test_an_open_gap_is_told_to_who_comes_while_it_lasts_and_its_end_to_all() -> None:
    scene = scene_of(Market(seed=7))
    begun = scene.now - 10**9
    scene.mark(mark_of(scene, "state", **{"from": "LIVE", "to": "GAP", "reason": "a test"}))
    scene.mark(mark_of(scene, "gap", from_ns=begun, to_ns=None, reason="a test", healed_by=None))
    first = Told(scene)
    scene.tick(scene.now + TICK_NS)
    second = Told(scene)
    assert set(first.gaps) == set(second.gaps) == {(begun // 1000, 0)}
    healed = scene.now
    scene.mark(mark_of(scene, "gap", from_ns=begun, to_ns=healed, reason="a test", healed_by=1))
    scene.tick(scene.now + TICK_NS)
    third = Told(scene)
    assert first.gaps[-1] == second.gaps[-1] == (begun // 1000, healed // 1000)
    assert third.gaps == []


def test_a_market_that_nobody_collects_is_stopped_and_unknown_since_its_last_event() -> None:
    market = Market(seed=7)
    scene = scene_of(market)
    scene.mark(mark_of(scene, "state", **{"from": "SYNCING", "to": "LIVE", "reason": ""}))
    told = Told(scene)
    assert (told.states, told.gaps) == (["LIVE"], [])
    last = scene.followed.book.ts_recv
    scene.uncollected = "nobody collects it now"
    scene.tick(scene.now + TICK_NS)
    scene.tell_status()
    assert told.states[-1] == "STOPPED"
    assert told.gaps == [(last // 1000, 0)]
    assert Told(scene).gaps == [(last // 1000, 0)]
    scene.uncollected = ""
    scene.tick(scene.now + TICK_NS)
    scene.tell_status()
    assert told.states[-1] == "LIVE"
    assert told.gaps[-1] == (last // 1000, scene.now // 1000)
