"""The WebSocket: books and events of one symbol as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from ordertape import limits
from ordertape.api.answers import refusal, status_of
from ordertape.api.context import Api, TheApi
from ordertape.api.ending import OUTLET, ConnectionOutlet
from ordertape.api.query import whole_number
from ordertape.broadcast.channel import Subscription
from ordertape.broadcast.mailbox import Mailbox, TooSlow
from ordertape.broadcast.market import Channel, status_told
from ordertape.errors import OrdertapeError, SettingRefused, UnknownMarket
from ordertape.models import StreamInfo
from ordertape.venues.registry import VENUES, venue_of

__all__ = ["router"]

router = APIRouter(tags=["live"])
TRY_AGAIN_LATER = 1013
MESSAGE_TOO_BIG = 1009
_SEQUENCE_MAX = 2**63 - 1
_NO_UVICORN = "the live WebSocket writes to uvicorn's connections: start the server with uvicorn"
REASON_BYTES_MAX = 123
"""RFC 6455 5.5: a control frame holds 125 bytes, two of them the code."""


class _TooLong(Exception):
    """A client's message is longer than any has a reason to be."""


@router.websocket("/ws/{symbol:path}")
async def live(
    socket: WebSocket,
    api: TheApi,
    symbol: str,
    exchange: str | None = None,
    depth: Annotated[str, Query()] = "0",
    batch_ms: Annotated[str, Query()] = "0",
    since: str | None = None,
    frames: str = "orders,statistics",
    statistics_ms: Annotated[str, Query()] = str(limits.live_statistics_ms_default),
) -> None:
    try:
        wanted = _kinds(frames)
        wish = _Wish(
            _markets(api, exchange, symbol),
            whole_number("depth", depth, limits.depth_max),
            whole_number("batch_ms", batch_ms, limits.client_batch_ms_max),
            _place(since, exchange, wanted),
            "orders" in wanted,
            _beat(statistics_ms) if "statistics" in wanted else None,
        )
    except OrdertapeError as error:
        await socket.send_denial_response(refusal(str(error), status_of(error)))
        return
    outlet: ConnectionOutlet | None = socket.scope.get(OUTLET)
    if outlet is None:
        await socket.send_denial_response(refusal(_NO_UVICORN, 501))
        return
    await socket.accept()
    await _Session(socket, api, wish, outlet, api.hub.mailbox(outlet)).run()


@dataclass(frozen=True, slots=True)
class _Wish:
    markets: set[tuple[str, str]]
    depth: int
    batch_ms: int
    since: tuple[int, int] | None
    orders: bool
    statistics_ms: int | None
    """How often statistics are wanted; None: never."""


def _kinds(given: str) -> set[str]:
    """What a client wants beside statuses.  Raises SettingRefused."""
    found = {name.strip() for name in given.split(",")}
    if not found <= {"orders", "statistics"}:
        shown = given[: limits.shown_text_max]
        raise SettingRefused(f"frames: expected orders, statistics or both, found {shown!r}")
    return found


def _beat(given: str) -> int:
    """Raises SettingRefused."""
    every_ms = whole_number("statistics_ms", given, limits.live_statistics_ms_max)
    if every_ms < limits.live_statistics_ms_min:
        least = limits.live_statistics_ms_min
        raise SettingRefused(f"statistics_ms: expected {least} or more, found {every_ms}")
    return every_ms


def _markets(api: Api, exchange: str | None, symbol: str) -> set[tuple[str, str]]:
    """The markets of that name, on one venue or on all that know it.  Raises UnknownMarket."""
    if exchange is not None:
        try:
            return {api.server.streams.resolve(exchange, symbol)}
        except UnknownMarket:
            venue_of(exchange).resolve(symbol)  # a name of no venue or market is called that
            raise
    found: set[tuple[str, str]] = set()
    problems = []
    for name in sorted(VENUES):
        try:
            found.add(_resolved(api, name, symbol))
        except UnknownMarket as error:
            problems.append(str(error))
    if not found:
        raise UnknownMarket("; ".join(problems))
    return found


def _resolved(api: Api, exchange: str, symbol: str) -> tuple[str, str]:
    """A market that was collected, or one that may be some day."""
    try:
        return api.server.streams.resolve(exchange, symbol)
    except UnknownMarket:
        venue = venue_of(exchange)
        return venue.name, venue.resolve(symbol)


def _place(since: str | None, exchange: str | None, wanted: set[str]) -> tuple[int, int] | None:
    """(era, sequence) of ``era:sequence``.  Raises SettingRefused."""
    if since is None:
        return None
    if "orders" not in wanted:
        raise SettingRefused("since: expected frames with orders beside it, which it resumes")
    if exchange is None:
        raise SettingRefused("since: expected an exchange with it, a sequence is one market's")
    era, colon, sequence = since.partition(":")
    if not colon:
        shown = since[: limits.shown_text_max]
        raise SettingRefused(f"since: expected era:sequence, found {shown!r}")
    return (
        whole_number("the era of since", era, _SEQUENCE_MAX),
        whole_number("the sequence of since", sequence, _SEQUENCE_MAX),
    )


@dataclass(slots=True)
class _Session:
    """One client, from accepted to gone."""

    socket: WebSocket
    api: Api
    wish: _Wish
    outlet: ConnectionOutlet
    mailbox: Mailbox
    readers: dict[Channel, Subscription] = field(default_factory=dict)

    async def run(self) -> None:
        self.outlet.hold_little()
        parts = [
            asyncio.create_task(part)
            for part in (
                self._until_gone(),
                self._join_forever(),
                self.mailbox.pump_forever(),
                self.mailbox.until_full(),
            )
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        except TooSlow:
            places = self._places()
            await self._end(parts[1:])
            await self._close(TRY_AGAIN_LATER, f"too slow; resume {places}")
        except _TooLong:
            await self._end(parts[1:])
            most = limits.client_message_bytes_max
            await self._close(MESSAGE_TOO_BIG, f"expected messages to {most} bytes")
        except WebSocketDisconnect:
            return
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._leave()
            self.mailbox.close()

    def _leave(self) -> None:
        for channel, reader in self.readers.items():
            channel.leave(reader)
        self.readers.clear()

    async def _end(self, parts: Sequence[asyncio.Task[None]]) -> None:
        """Nothing more is gathered for the client, nor sent but its end."""
        self._leave()
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)

    async def _until_gone(self) -> None:
        """What a client says is not looked at; that it left is.  Raises _TooLong."""
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            said = message.get("bytes") or (message.get("text") or "").encode()
            if len(said) > limits.client_message_bytes_max:
                raise _TooLong

    async def _join_forever(self) -> None:
        """Joins every stream of the pair that runs, now and when one begins."""
        hub, since = self.api.hub, self.wish.since
        for info in self._at_rest():
            self.mailbox.put(status_told(info).parcel)
        while True:
            changed = hub.changed
            for channel in [c for c in self.readers if c.ended]:
                channel.leave(self.readers.pop(channel))
            for key in sorted(self.wish.markets):
                channel_there = hub.channels.get(key)
                if channel_there is not None and channel_there not in self.readers:
                    await self._join(channel_there, since)
                    since = None
            await changed.wait()

    def _at_rest(self) -> list[StreamInfo]:
        """The streams of the pair that do not run; where none was ever collected, those that may
        be some day: a client that hears nothing can't tell what it waits for."""
        channels, streams = self.api.hub.channels, self.api.server.streams
        absent = sorted(self.wish.markets - channels.keys())
        found = [info for key in absent if (info := streams.status(*key)) is not None]
        if found or len(absent) < len(self.wish.markets):
            return found
        reason = "it was never collected here: POST /start begins it"
        return [
            StreamInfo(exchange=exchange, symbol=symbol, state="STOPPED", reason=reason)
            for exchange, symbol in absent
        ]

    async def _join(self, channel: Channel, since: tuple[int, int] | None) -> None:
        wish = self.wish
        reader = Subscription(
            self.mailbox,
            wish.depth,
            wish.batch_ms,
            orders=wish.orders,
            statistics_ms=wish.statistics_ms,
        )
        self.readers[channel] = reader
        await channel.join(reader, self.api.work.live, since)

    def _places(self) -> str:
        """Where the client may go on, of each market it reads."""
        return ", ".join(
            f"{channel.key[0]} since={reader.sent[0]}:{reader.sent[1]}"
            for channel, reader in self.readers.items()
            if reader.sent is not None
        )

    async def _close(self, code: int, reason: str) -> None:
        """The client is told why, and where to go on, behind what is in the socket already: one
        that does not even read that in time is left untold."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(limits.client_close_ms / 1000):
                await self.socket.close(code, reason[:REASON_BYTES_MAX])
