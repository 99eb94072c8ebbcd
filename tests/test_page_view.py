"""A page that takes the frames of a view shows what stands in the book, at every tick."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ordertape import limits
from ordertape._engine import EventBatch, Heat, Lifecycles, OrderBook
from ordertape.page.codec import Gap, decode
from ordertape.page.codes import Codes, codes_for
from ordertape.page.followed import FollowedBook
from ordertape.page.handles import Handles
from ordertape.page.heat import BUCKET_NS
from ordertape.page.scene import Asked, Posted, Reader, Scene, Spot
from ordertape.page.socket import PageStream
from ordertape.page.view import Out, View, Wish
from ordertape.tape.history import History, Hole
from support.page import PlainPage
from support.tape import Market

TICK_NS = 100_000_000


class Watched:
    """A market, a view of it, and a page that is sent everything."""

    def __init__(self, wish: Wish, seed: int = 7) -> None:
        self.market = Market(seed=seed, orders=60)
        self.handles = Handles()
        book = OrderBook(codec=self.market.codec)
        self.batches = [self.market.message() for _ in range(200)]
        for batch in self.batches:
            book.apply(batch)
        self.followed = FollowedBook(book, self._applied)
        self.now = self.market.now // TICK_NS * TICK_NS
        self.view = View(self.followed, self.handles, wish, self.now)
        self.page = PlainPage()

    def _applied(self, *told: Any) -> None:
        self.view.applied(*told)

    def tick(self) -> None:
        """A tenth of a second of the market, then a look at it."""
        self.now += TICK_NS
        while self.market.now < self.now - 3_000_000:
            batch = self.market.message(step_ns=5_000_000)
            self.batches.append(batch)
            self.followed.take(batch)
        for out in self.view.tick(self.now):
            self.page.take(out)

    def join(self) -> None:
        for out in self.view.keys(self.now):
            self.page.take(out)


def shown_levels(book: OrderBook) -> list[dict[int, tuple[int, int]]]:
    return [
        {price: (size, orders) for price, size, orders in side} for side in book.depth_scaled(200)
    ]


@pytest.mark.parametrize("group", [1, 10, 250])
def test_the_ladder_is_the_book_at_every_tick(group: int) -> None:
    watched = Watched(Wish(group))
    watched.join()
    for _ in range(60):
        watched.tick()
        assert list(watched.page.ladder) == shown_levels(watched.followed.book)


@pytest.mark.parametrize("numbers", [limits.page_handles_max, 600])
def test_the_queue_is_each_orders_place_at_every_tick(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "page_handles_max", numbers)
    watched = Watched(Wish(1))
    watched.join()
    seen = 0
    for _ in range(60):
        watched.tick()
        for order_id, told in watched.page.large.items():
            if not told.get("ending"):
                assert watched.handles.order_id(told["handle"]) == order_id
        book = watched.followed.book
        for (side, price), shown in watched.page.queue.items():
            expected = [
                (order_id, int(size.scaleb(book.size_scale or 0)))
                for order_id, size in book.queue(price, side)
            ]
            found = [(watched.handles.order_id(handle), size) for handle, size in shown]
            assert found == expected[:48]
            assert watched.page.queue_orders[side, price] == len(expected)
            seen += len(found)
    assert seen
    assert watched.handles.given > 600, "too few orders came for any number to be forgotten"


@pytest.mark.parametrize("group", [1, 40])
def test_columns_are_the_most_that_rested_in_every_bucket(group: int) -> None:
    watched = Watched(Wish(group))
    watched.join()
    for _ in range(80):
        watched.tick()
    expected = buckets(watched.batches, group, watched.view.codes)
    assert len(watched.page.columns) >= 80
    # The first was half over when the page began to look.
    for t_us, codes in sorted(watched.page.columns.items())[1:]:
        assert codes == expected(t_us * 1000 // BUCKET_NS[0])


def buckets(batches: list[EventBatch], group: int, codes: Codes) -> Callable[[int], dict[int, int]]:
    """bucket → row → code, made from every event since the first."""
    book, lives = OrderBook(), Lifecycles(hold_ns=0, evicted_max=0)
    heat = Heat(group, price_scale=batches[0].price_scale, size_scale=batches[0].size_scale)
    told: dict[int, dict[int, int]] = {}
    sizes: dict[int, int] = {}
    for batch in batches:
        _, effects = book.apply(batch, effects=True)
        lives.take(batch, effects, book, [heat])
    heat.advance(batches[-1].last_ts_recv + 10**9)
    rows = heat.drain(0)
    columns = {name: np.asarray(rows.column(name)).tolist() for name in rows.names}
    begin = 0
    for bucket, end in zip(columns["bucket"], columns["end"], strict=True):
        sizes |= dict(zip(columns["row"][begin:end], columns["size"][begin:end], strict=True))
        told[bucket], begin = dict(sizes), end

    def column(bucket: int) -> dict[int, int]:
        known = max((b for b in told if b <= bucket), default=None)
        if known is None:
            return {}
        resting = {row: size for row, size in told[known].items() if size}
        coded = codes.of(np.fromiter(resting.values(), np.int64, len(resting)))
        return dict(zip(resting, coded.tolist(), strict=True))

    return column


def test_who_joins_later_sees_the_same() -> None:
    watched = Watched(Wish(10))
    watched.join()
    for _ in range(20):
        watched.tick()
    late = PlainPage()
    for out in watched.view.keys(watched.now):
        late.take(out)
    assert (late.ladder, late.queue) == (watched.page.ladder, watched.page.queue)
    (newest,) = late.columns
    assert late.columns[newest] == watched.page.columns[newest]


@pytest.mark.parametrize("level", range(len(BUCKET_NS)))
def test_nothing_waits_that_no_reader_is_sent(level: int) -> None:
    """Buckets of a level that nobody drains would be held for ever."""
    watched = Watched(Wish(1, level=level))
    for _ in range(130):
        watched.tick()
    (heat,) = watched.followed.heats
    heat.advance(watched.now + BUCKET_NS[-1])
    assert [nth for nth in range(len(BUCKET_NS)) if len(heat.drain(nth))] == [level]


def test_every_trade_is_told_once() -> None:
    watched = Watched(Wish(1))
    for _ in range(60):
        watched.tick()
    traded = [
        (batch[nth]["price"], batch[nth]["size"])
        for batch in watched.batches[200:]
        for nth in range(len(batch))
        if batch[nth]["kind"] in (3, 7)
    ]
    book = watched.followed.book
    told = [(trade.price, trade.size) for trade in watched.page.trades]
    assert len(told) == len(traded) > 10
    assert told == [
        (int(price.scaleb(book.price_scale or 0)), int(size.scaleb(book.size_scale or 0)))
        for price, size in traded
    ]


def test_large_orders_are_told_from_birth_to_end() -> None:
    watched = Watched(Wish(1, large=1))
    watched.join()
    for _ in range(60):
        watched.tick()
    alive = {
        order_id
        for order_id, told in watched.page.large.items()
        if told.get("ended") is None and not told["out_of_window"]
    }
    book = watched.followed.book
    assert alive == {order_id for side in (0, 1) for order_id, _, _ in book.orders(side)}
    ended = [told for told in watched.page.large.values() if told.get("ended")]
    assert {told["reason"] for told in ended} >= {"filled", "canceled"}


def test_of_a_large_order_only_what_changed_is_told_again() -> None:
    watched = Watched(Wish(1, large=1))
    watched.join()
    outs = []
    while len(outs) < 40:
        watched.now += TICK_NS
        while watched.market.now < watched.now - 3_000_000:
            watched.followed.take(watched.market.message(step_ns=5_000_000))
        outs += [json.loads(o.body) for o in watched.view.tick(watched.now) if o.kind is None]
    later = 0
    for told in outs:
        if "opened" in told:
            assert None not in told.values()
            assert "handle" in told
            watched.page.large[told["order_id"]] = told
            continue
        before = watched.page.large[told["order_id"]]
        news = told.keys() - {"op", "order_id"}
        assert news
        assert all(before.get(name) != told[name] for name in news)
        watched.page.large[told["order_id"]] = {**before, **told}
        later += 1
    assert later > 10


def test_codes_rise_with_sizes_and_keep_nothing_apart() -> None:
    codes = codes_for(np.array([0, 5, 1000, 1100, 10**12], np.int64))
    assert codes.unit == 1024 // 2 or codes.unit == 1024
    coded = codes.of(np.array([0, 1, 1000, 2000, 10**15], np.int64)).tolist()
    assert coded[0] == 0
    assert coded == sorted(coded)
    assert coded[3] - coded[2] == 12
    assert coded[-1] == 254


def test_no_more_views_are_drawn_than_the_limit_says() -> None:
    watched = Watched(Wish(1))
    scene = Scene(Spot("bitfinex", "BTC/USD", "live"), watched.followed.book, History())
    posted: list[Posted] = []
    readers = [Reader(Asked(group=n), posted.append) for n in range(1, limits.page_views_max + 2)]
    for reader in readers:
        scene.join(reader)
    assert [reader.wish is None for reader in readers] == [False] * limits.page_views_max + [True]
    assert b'"refused"' in posted[-1].outs[0].body
    scene.leave(readers[0])
    scene.join(readers[-1])
    assert readers[-1].wish is not None
    for reader in readers:
        scene.leave(reader)
    assert scene.readers == 0


def test_a_slow_page_loses_no_gap_and_no_answer() -> None:
    stream = PageStream(1, asyncio.Event())
    watched = Watched(Wish(1))
    gap = watched.view.gap(Hole(1_000, 2_000, "sequence jumped"))
    stream.post(Posted([*watched.view.keys(watched.now), gap]))
    stream.leave_out()
    kept = [decode(message)[1] for message in stream.take() if isinstance(message, bytes)]
    assert kept == [Gap(1, 2, "sequence jumped")]
    assert stream.conflated == 3


@pytest.mark.parametrize("channel", ["large", "trades"])
def test_a_large_order_whose_news_was_dropped_is_told_whole(channel: str) -> None:
    stream = PageStream(1, asyncio.Event())
    stream.post(Posted([Out(channel, None, False, 0, b'{"op":"x"}')] * 5_000))
    assert not stream.needs_key
    stream.post(Posted([Out(channel, None, False, 0, b'{"op":"x"}')]))
    assert stream.conflated == 1
    assert stream.needs_key == (channel == "large")
