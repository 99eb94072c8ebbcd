"""The page's WebSocket: pictures of markets, live or played again."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.api.answers import hidden_folder
from ordertape.api.context import Api, Meant, TheApi
from ordertape.api.ending import OUTLET, ConnectionOutlet
from ordertape.errors import DatabaseError, OrdertapeError
from ordertape.findings.finding import Finding
from ordertape.page import requests
from ordertape.page.large import life_as_json
from ordertape.page.live import LiveMarket
from ordertape.page.player import Player, ReplayedMarket
from ordertape.page.scene import Asked, Posted, Reader, Scene
from ordertape.page.socket import PageStream, PageTooSlow
from ordertape.page.view import text_out
from ordertape.times import parse_time

__all__ = ["router"]

router = APIRouter(tags=["page"])
TOO_SLOW = 4008
_ALIVE = json.dumps({"op": "alive"})
STEPS_NS = {"100ms": 100_000_000, "1s": 1_000_000_000}


@router.websocket("/ws")
async def page(socket: WebSocket, api: TheApi) -> None:
    await socket.accept()
    await _Session(socket, api).run()


class _Open:
    """One market on the page."""

    def __init__(
        self,
        stream: PageStream,
        reader: Reader,
        market: LiveMarket | ReplayedMarket,
        leave: Callable[[], None],
    ) -> None:
        self.stream, self.reader, self.market, self.leave = stream, reader, market, leave


class _Session:
    """One page, from accepted to gone."""

    def __init__(self, socket: WebSocket, api: Api) -> None:
        self.socket, self.api = socket, api
        self.due = asyncio.Event()
        self.open: dict[int, _Open] = {}
        self.said: deque[str] = deque(maxlen=limits.page_waiting_texts_max)
        self._epochs: dict[int, int] = {}
        self._too_slow = asyncio.Event()
        self._player: Player | None = None
        self._counts = api.hub.page_counts
        self._hidden = json.dumps(hidden_folder.get())[1:-1]
        """Where data lie is of use on this machine alone."""

    async def run(self) -> None:
        outlet: ConnectionOutlet | None = self.socket.scope.get(OUTLET)
        if outlet is not None:
            outlet.hold_little()
        self._counts.pages += 1
        parts = [
            asyncio.create_task(part)
            for part in (self._listen(), self._send_forever(), self._too_slow.wait())
        ]
        self.api.alerts.listen(self._alert)
        if self.api.found is not None:
            self.api.found.listen(self._found)
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if self._too_slow.is_set():
                self._counts.closed_too_slow += 1
                # One that does not read even that is left untold.
                async with asyncio.timeout(limits.client_close_ms / 1000):
                    await self.socket.close(TOO_SLOW, "this page applies no frames; open it again")
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self._counts.pages -= 1
            self.api.alerts.leave(self._alert)
            if self.api.found is not None:
                self.api.found.leave(self._found)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            for number in list(self.open):
                self._close(number)
            if self._player is not None:
                self.api.work.live.submit(self._player.stop_thread)

    async def _listen(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                request = requests.read_request(message.get("text") or message.get("bytes") or "")
                self._do(request)
            except requests.RequestRefused as error:
                self._say({"op": "refused", "detail": str(error)})
            except (OrdertapeError, ValueError) as error:
                number = getattr(request, "stream", None)
                stream = {} if number is None else {"stream": number}
                self._say({"op": "refused", **stream, "detail": str(error)})

    def _do(self, request: requests.Request) -> None:
        if isinstance(request, requests.OfClock):
            self._move_clock(request)
            return
        if isinstance(request, requests.Open):
            self._open(request)
            return
        opened = self.open.get(request.stream)
        if opened is None:
            raise requests.RequestRefused(f"expected an open stream, found {request.stream}")
        stream = opened.stream
        match request:
            case requests.Close():
                self._close(request.stream)
            case requests.Key():
                opened.market.keys(opened.reader)
            case requests.Ack(seq=seq):
                stream.acknowledged(seq)
                self._ask_keys_where_wanted()
            case requests.Pause():
                stream.paused = True
                stream.leave_out()
            case requests.Resume():
                stream.paused, stream.asked_keys = False, True
                opened.market.keys(opened.reader)
            case requests.Order():
                self._order(opened, request)

    def _open(self, wish: requests.Open) -> None:
        if wish.stream not in self.open and len(self.open) >= limits.page_streams_max:
            raise requests.RequestRefused(
                f"expected at most {limits.page_streams_max} markets on a page"
            )
        meant = self.api.find(wish.exchange, wish.symbol)
        at = None if wish.at is None else parse_time(wish.at)
        if wish.source == "replay":
            meant.folder.require()
            if at is None and not self._replayed():
                raise requests.RequestRefused("at: expected the time from which to replay")
        self._close(wish.stream)
        channels = None if wish.channels is None else frozenset(wish.channels)
        stream = PageStream(wish.stream, self.due, channels, self._counts)
        stream.epoch = self._epochs.get(wish.stream, 0)
        asked = Asked(
            wish.group,
            _size(wish.min_size),
            _size(wish.large),
            _size(wish.large_notional),
            _size(wish.large_quantile),
            metrics=channels is not None and "metrics" in channels,
        )
        loop = asyncio.get_running_loop()
        reader = Reader(asked, lambda posted: _into(loop, self._posted, stream, posted))
        if wish.source == "live":
            data, pages = meant.folder.data, self.api.pages
            live = pages.join(data, meant.exchange, meant.symbol, reader)
            opened = _Open(stream, reader, live, lambda: pages.leave(live, reader))
        else:
            api, player = self.api, self._clock()
            replayed = player.join(
                *(api.lookup(meant), lambda: api.history(meant), at, wish.stream, reader),
                found=lambda at, forward: _found_beside(api, meant, at, forward=forward),
            )
            opened = _Open(stream, reader, replayed, lambda: player.leave(replayed))
        self.open[wish.stream] = opened

    def _close(self, number: int) -> None:
        opened = self.open.pop(number, None)
        if opened is not None:
            self._epochs[number] = opened.stream.epoch
            opened.leave()

    def _replayed(self) -> list[ReplayedMarket]:
        markets = (opened.market for opened in self.open.values())
        return [market for market in markets if isinstance(market, ReplayedMarket)]

    def _clock(self) -> Player:
        """What plays all that this page replays."""
        if self._player is None:
            loop = asyncio.get_running_loop()

            def say(told: dict[str, Any]) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._say, told)

            self._player = Player(say)
        return self._player

    def _move_clock(self, request: requests.OfClock) -> None:
        if not self._replayed():
            raise requests.RequestRefused("expected an open replay, found none")
        player = self._clock()
        match request:
            case requests.Play(speed=speed):
                player.play(speed)
            case requests.Stop():
                player.stop()
            case requests.Seek(at=at):
                player.seek(parse_time(at))
            case requests.Step(by="event", stream=number):
                player.step_event(self._replayed_stream(number))
            case requests.Step(by=by):
                player.step(STEPS_NS[by])
            case requests.Marker(direction=direction, stream=number):
                player.marker(self._replayed_stream(number), forward=direction == "next")

    def _replayed_stream(self, number: int | None) -> ReplayedMarket | None:
        if number is None:
            return None
        opened = self.open.get(number)
        if opened is None or not isinstance(opened.market, ReplayedMarket):
            raise requests.RequestRefused(f"expected a replayed stream, found {number}")
        return opened.market

    def _posted(self, stream: PageStream, posted: Posted) -> None:
        opened = self.open.get(stream.number)
        if opened is None or opened.stream is not stream:
            return
        try:
            stream.post(posted)
        except PageTooSlow:
            self._too_slow.set()
        self._ask_keys_where_wanted()

    def _ask_keys_where_wanted(self) -> None:
        for opened in self.open.values():
            if opened.stream.wants_keys:
                opened.stream.asked_keys = True
                opened.market.keys(opened.reader)

    def _order(self, opened: _Open, request: requests.Order) -> None:
        loop = asyncio.get_running_loop()
        stream = opened.stream

        def answer(scene: Scene) -> None:
            order_id = request.order_id or scene.handles.order_id(request.handle or 0)
            told = _order_as_json(scene, order_id)
            out = text_out("control", {"op": "order", "handle": request.handle, **told}, 0)
            _into(loop, self._posted, stream, Posted([out]))

        opened.market.ask(answer)

    def _alert(self, alert: Alert) -> None:
        self._say(alert.as_frame())

    def _found(self, exchange: str, symbol: str, finding: Finding) -> None:
        """To a page that shows the market."""
        spots = [opened.market.spot for opened in self.open.values()]
        if any((spot.exchange, spot.symbol) == (exchange, symbol) for spot in spots):
            self._say(
                {"op": "finding", "exchange": exchange, "symbol": symbol, **finding.as_frame()}
            )

    def _say(self, told: dict[str, Any]) -> None:
        if len(self.said) == self.said.maxlen:
            self._counts.left_out_frames += 1
            for opened in self.open.values():
                opened.stream.conflated += 1
        self.said.append(json.dumps(told))
        self.due.set()

    async def _send_text(self, words: str) -> None:
        if self._hidden:
            words = words.replace(self._hidden, "the data folder")
        await self.socket.send_text(words)

    async def _send_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(limits.page_alive_ms / 1000):
                    await self.due.wait()
            except TimeoutError:
                await self.socket.send_text(_ALIVE)
            self.due.clear()
            for _ in range(len(self.said)):
                await self._send_text(self.said.popleft())
            for opened in list(self.open.values()):
                for message in opened.stream.take():
                    if isinstance(message, str):
                        await self._send_text(message)
                    else:
                        await self.socket.send_bytes(message)
            self._ask_keys_where_wanted()


def _order_as_json(scene: Scene, order_id: str | None) -> dict[str, Any]:
    if order_id is None:
        return {"order_id": None, "detail": "this order is not known any more"}
    book, rows = scene.followed.book, scene.followed.lives.get(order_id)
    if rows is None:
        return {"order_id": order_id, "detail": "this order is not alive"}
    told = life_as_json(rows, 0, (book.price_scale or 0, book.size_scale or 0))
    try:
        ahead, size_ahead = book.place(order_id)
    except KeyError:
        return told
    return told | {"orders_ahead": ahead, "size_ahead": format(size_ahead, "f")}


def _found_beside(api: Api, meant: Meant, at: int, *, forward: bool) -> int | None:
    """In the player's thread.  A database that is away hides findings, and stops no replay."""
    try:
        store = api.findings
        where = meant.exchange, meant.symbol, at
        return None if store is None else store.beside(*where, forward=forward)
    except DatabaseError:
        return None


def _size(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _into(loop: asyncio.AbstractEventLoop, take: Any, stream: PageStream, posted: Posted) -> None:
    """From a market's thread into the loop, unless that is closed already."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(take, stream, posted)
