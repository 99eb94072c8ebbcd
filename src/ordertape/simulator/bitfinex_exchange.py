"""The Bitfinex v2 protocol from the venue's side, without sockets and without a clock.

A `BitfinexExchange` holds markets and connections and is moved on by `step`, in the order of its
own time.  A `BitfinexConnection` takes a client's texts and hands the venue's to ``send``.
The shapes, codes and flags are those of the venue's documentation, https://docs.bitfinex.com/docs
(WebSocket general, public channels, flags).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from ordertape import limits
from ordertape.simulator.bitfinex_market import OB_CHECKSUM, Market, Subscription
from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS
from ordertape.simulator.draws import Draws
from ordertape.simulator.flow import Trade
from ordertape.simulator.markets import MarketShape

__all__ = ["OB_CHECKSUM", "SEQ_ALL", "TIMESTAMP", "BitfinexConnection", "BitfinexExchange"]

TIMESTAMP: Final = 32_768
SEQ_ALL: Final = 65_536

ERROR_UNKNOWN_EVENT: Final = 10_000
ERROR_UNKNOWN_PAIR: Final = 10_001
ERROR_SUBSCRIBE: Final = 10_300
ERROR_SUBSCRIBED: Final = 10_301
ERROR_UNKNOWN_CHANNEL: Final = 10_302
ERROR_CHANNEL_LIMIT: Final = 10_305
ERROR_NOT_SUBSCRIBED: Final = 10_401

_MS: Final = 1_000_000


class BitfinexExchange:
    """Markets and connections in one venue time, ``now_ns``.

    ``keep``: published states each window remembers (`Window.states`).
    """

    def __init__(
        self,
        seed: int,
        shapes: Sequence[MarketShape],
        rate: int,
        start_ns: int,
        *,
        heartbeat_ms: int = 15_000,
        keep: int = 0,
    ) -> None:
        self.seed = seed
        self.now_ns = start_ns
        self.heartbeat_ns = heartbeat_ms * _MS
        self.markets = {s.symbol: Market(s, seed, rate, start_ns, keep) for s in shapes}
        self.connections: list[BitfinexConnection] = []
        self._connected = 0
        self._heartbeats_ns = start_ns
        self._due: list[tuple[int, int, Market, str, Trade | None]] = []
        self._scheduled = 0
        for market in self.markets.values():
            self._next_iteration(market)

    @property
    def due_ns(self) -> int:
        """When the next step happens."""
        return self._due[0][0]

    def step(self) -> None:
        """The next thing that is due: an iteration of a book or a message of a trade."""
        self.now_ns, _, market, name, trade = heappop(self._due)
        if trade is not None:
            market.publish_trade(name, trade)
            return
        market.publish(self.now_ns // _MS)
        self._next_iteration(market)
        if self.now_ns - self._heartbeats_ns >= self.heartbeat_ns // 16:
            self._heartbeats_ns = self.now_ns
            for connection in self.connections:
                connection.heartbeats(self.now_ns - self.heartbeat_ns)

    def _next_iteration(self, market: Market) -> None:
        """The flow runs ahead to the end of the iteration, because its trades are told at once."""
        end_ns = self.now_ns + market.iteration_ns()
        for trade in market.flow.run_until(end_ns):
            te_ns, tu_ns = market.trade_times(trade)
            self._schedule(te_ns, market, "te", trade)
            self._schedule(tu_ns, market, "tu", trade)
        self._schedule(end_ns, market, "", None)

    def _schedule(self, at_ns: int, market: Market, name: str, trade: Trade | None) -> None:
        self._scheduled += 1
        heappush(self._due, (at_ns, self._scheduled, market, name, trade))

    def connect(self, send: Callable[[bytes], None]) -> BitfinexConnection:
        """A new client; its greeting has been sent when this returns."""
        self._connected += 1
        connection = BitfinexConnection(self, self._connected, send)
        self.connections.append(connection)
        return connection


class BitfinexConnection:
    """One client.  ``flags`` are those of its last ``conf``; ``updates`` counts its book frames."""

    def __init__(
        self, exchange: BitfinexExchange, number: int, send: Callable[[bytes], None]
    ) -> None:
        self.flags = 0
        self.sequence = 0
        self.updates = 0
        self._exchange = exchange
        self._send = send
        self._channels: dict[int, Subscription] = {}
        self._draws = Draws(f"{exchange.seed} connection {number}")
        self._next_channel = 10_000 + self._draws.bits(18)
        parts = (self._draws.bits(4 * width) for width in (8, 4, 4, 4, 12))
        server = "-".join(f"{part:0{w}x}" for part, w in zip(parts, (8, 4, 4, 4, 12), strict=True))
        self.event({"event": "info", "version": 2, "serverId": server, "platform": {"status": 1}})

    def close(self) -> None:
        """The client is gone."""
        for subscription in self._channels.values():
            subscription.market.readers[subscription.length].remove(subscription)
        self._channels.clear()
        if self in self._exchange.connections:
            self._exchange.connections.remove(self)

    def event(self, fields: dict[str, Any]) -> None:
        """An event object; these carry no sequence."""
        self._send(msgspec.json.encode(fields))

    def arrays(self, subscription: Subscription, bodies: Sequence[str]) -> None:
        """Frames ``[channel,body…]`` with the tail that this client's flags ask for.  The sequence
        counts every array frame of the connection, from 1."""
        now_ns = self._exchange.now_ns
        subscription.last_ns = now_ns
        send, before = self._send, self.sequence
        end = f",{now_ns // _MS}]" if self.flags & TIMESTAMP else "]"
        head = f"[{subscription.channel},"
        self.sequence = before + len(bodies)
        if self.flags & SEQ_ALL:
            for sequence, body in enumerate(bodies, before + 1):
                send(f"{head}{body},{sequence}{end}".encode())
        else:
            for body in bodies:
                send(f"{head}{body}{end}".encode())

    def heartbeats(self, silent_since_ns: int) -> None:
        """Tells every channel that has been silent so long that it lives."""
        for subscription in self._channels.values():
            if subscription.last_ns <= silent_since_ns:
                self.arrays(subscription, ('"hb"',))

    # What clients send -----------------------------------------------------------------------

    def receive(self, text: bytes | str) -> None:
        """One text of the client; whatever it is, the answer is an event."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            request = None
        name = request.get("event") if isinstance(request, dict) else None
        if name == "ping":
            self.event(
                {"event": "pong", "ts": self._exchange.now_ns // _MS, "cid": request.get("cid")}
            )
        elif name == "conf":
            self._configure(request)
        elif name == "subscribe":
            self._subscribe(request)
        elif name == "unsubscribe":
            self._unsubscribe(request)
        else:
            self._refuse({}, "event: unknown", ERROR_UNKNOWN_EVENT)

    def _configure(self, request: dict[str, Any]) -> None:
        flags = request.get("flags", 0)
        if not isinstance(flags, int) or isinstance(flags, bool) or flags < 0:
            self.event({"event": "conf", "status": "FAILED", "flags": self.flags})
            return
        self.flags = flags
        self.event({"event": "conf", "status": "OK", "flags": flags})

    def _subscribe(self, request: dict[str, Any]) -> None:
        channel, symbol = request.get("channel"), request.get("symbol")
        market = self._exchange.markets.get(symbol) if isinstance(symbol, str) else None
        length = 0
        if channel not in ("book", "trades"):
            return self._refuse(request, "channel: unknown", ERROR_UNKNOWN_CHANNEL)
        if market is None:
            return self._refuse(request, "symbol: invalid", ERROR_UNKNOWN_PAIR)
        if channel == "book":
            if request.get("prec", "P0") != "R0":
                return self._refuse(request, "precision not found", ERROR_SUBSCRIBE)
            if request.get("freq", "F0") != "F0":
                return self._refuse(request, "freq: invalid", ERROR_SUBSCRIBE)
            lengths = {str(length): length for length in WINDOW_LENGTHS}
            length = lengths.get(str(request.get("len", "25")), 0)
            if not length:
                return self._refuse(request, "len: invalid", ERROR_SUBSCRIBE)
        if any(s.market is market and s.length == length for s in self._channels.values()):
            return self._refuse(request, "subscribe: dup", ERROR_SUBSCRIBED)
        if len(self._channels) >= limits.simulator_channels_max:
            return self._refuse(request, "channel: limit", ERROR_CHANNEL_LIMIT)
        return self._open_channel(request, market, length)

    def _open_channel(self, request: dict[str, Any], market: Market, length: int) -> None:
        channel = self._next_channel
        self._next_channel += 1 + self._draws.bits(8)
        subscription = Subscription(self, channel, market, length, self._exchange.now_ns)
        self._channels[channel] = subscription
        if length:
            market.open_window(length)
        market.readers[length].append(subscription)
        symbol = market.shape.symbol
        answer: dict[str, Any] = {"event": "subscribed", "channel": request["channel"]}
        answer |= {"chanId": channel, "symbol": symbol}
        if length:
            answer |= {"prec": "R0", "freq": "F0", "len": request.get("len", "25")}
        if "subId" in request:
            answer["subId"] = request["subId"]
        self.event(answer | {"pair": symbol[1:]})
        if not length:
            history = ",".join(market.trade_text(trade) for trade in reversed(market.trades))
            self.arrays(subscription, (f"[{history}]",))

    def _unsubscribe(self, request: dict[str, Any]) -> None:
        channel = request.get("chanId")
        subscription = self._channels.get(channel) if isinstance(channel, int) else None
        if subscription is None:
            return self._refuse({}, "unsubscribe: invalid", ERROR_NOT_SUBSCRIBED)
        del self._channels[subscription.channel]
        subscription.market.readers[subscription.length].remove(subscription)
        return self.event({"event": "unsubscribed", "status": "OK", "chanId": subscription.channel})

    def _refuse(self, request: dict[str, Any], message: str, code: int) -> None:
        names = ("channel", "symbol", "subId")
        echo: dict[str, Any] = {name: request[name] for name in names if name in request}
        self.event(echo | {"event": "error", "msg": message, "code": code})
