"""The Bitfinex v2 protocol from the venue's side, without sockets and without a clock.

A `BitfinexExchange` is a face of an exchange, moved on with it.  A `BitfinexConnection` takes a
client's texts and hands the venue's to ``send``.
The shapes, codes and flags are those of the venue's documentation, https://docs.bitfinex.com/docs
(WebSocket general, public channels, flags).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from ordertape import limits
from ordertape.simulator.bitfinex_market import OB_CHECKSUM, Market, Subscription
from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS
from ordertape.simulator.draws import Draws
from ordertape.simulator.exchange import SimulatedMarket
from ordertape.simulator.faces import Answer, Exchange, Request
from ordertape.simulator.faults import Wire
from ordertape.simulator.faults_rules import Kind
from ordertape.simulator.occurrences import Occurrence, Traded

__all__ = [
    "BULK_UPDATES",
    "OB_CHECKSUM",
    "SEQ_ALL",
    "TIMESTAMP",
    "WIRE",
    "BitfinexConnection",
    "BitfinexExchange",
]

TIMESTAMP: Final = 32_768
SEQ_ALL: Final = 65_536
BULK_UPDATES: Final = 536_870_912
"""The rows of one iteration in one frame."""

ERROR_UNKNOWN_EVENT: Final = 10_000
ERROR_UNKNOWN_PAIR: Final = 10_001
ERROR_SUBSCRIBE: Final = 10_300
ERROR_SUBSCRIBED: Final = 10_301
ERROR_UNKNOWN_CHANNEL: Final = 10_302
ERROR_CHANNEL_LIMIT: Final = 10_305
ERROR_NOT_SUBSCRIBED: Final = 10_401

_MS: Final = 1_000_000


WIRE: Final = Wire(
    sequence=re.compile(rb",(\d+),\d{13}\]$"),
    heartbeat=re.compile(rb'^\{|^\[\d+,"hb"'),
    checksum=re.compile(rb'^\[\d+,"cs",(-?\d+)'),
    parts={
        "sequence": re.compile(rb",(\d+),\d{13}\]$"),
        "id": re.compile(rb"^\[\d+,\[(\d+),"),
        "price": re.compile(rb"^\[\d+,\[\d+,([^,\]]+),"),
        "size": re.compile(rb"^\[\d+,\[\d+,[^,\]]+,([^,\]]+)\]"),
    },
)
"""Of frames with TIMESTAMP and SEQ_ALL."""

_INFO: Final = {
    Kind.RESTART: (20_051, "Stopping. Please try to reconnect"),
    Kind.MAINTENANCE: (20_060, "Entering in Maintenance mode. Please pause any activity."),
    Kind.MAINTENANCE_ENDED: (20_061, "Maintenance ended. You can resume normal activity."),
}


class BitfinexExchange:
    """Markets and connections at the exchange's time.

    ``keep``: published states each window remembers (`Window.states`).
    """

    wire = WIRE
    open = True

    def __init__(self, exchange: Exchange, *, heartbeat_ms: int = 15_000, keep: int = 0) -> None:
        self.exchange, self.seed = exchange, exchange.seed
        self.heartbeat_ns = heartbeat_ms * _MS
        markets = [
            Market(market, exchange.seed, exchange.now_ns, keep)
            for market in exchange.markets.values()
        ]
        self.markets = {market.symbol: market for market in markets}
        self._by_market = {id(market.simulated): market for market in markets}
        self.connections: list[BitfinexConnection] = []
        self.maintenance = False
        """Meanwhile nothing is published."""
        self._connected = 0
        self._heartbeats_ns = exchange.now_ns
        self._due: list[tuple[int, int, Market, str, Traded | None]] = []
        self._scheduled = 0
        for market in self.markets.values():
            self._schedule(exchange.now_ns + market.iteration_ns(), market, "", None)
        exchange.faces.append(self)

    @property
    def now_ns(self) -> int:
        return self.exchange.now_ns

    # The face ---------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        """When the next step happens."""
        return self._due[0][0]

    def take(self, market: SimulatedMarket, occurrences: Sequence[Occurrence], /) -> None:
        """The trades of what happened are told later; the book tells the rest."""
        shown = self._by_market[id(market)]
        for at_ns, name, trade in shown.take(occurrences):
            self._schedule(at_ns, shown, name, trade)

    def step(self) -> None:
        """What is due: iterations of books and messages of trades."""
        while self._due[0][0] <= self.now_ns:
            _, _, market, name, trade = heappop(self._due)
            if trade is not None:
                if not self.maintenance:
                    market.publish_trade(name, trade)
                continue
            if not self.maintenance:
                market.publish(self.now_ns // _MS)
            self._schedule(self.now_ns + market.iteration_ns(), market, "", None)
        if self.now_ns - self._heartbeats_ns >= self.heartbeat_ns // 16 and not self.maintenance:
            self._heartbeats_ns = self.now_ns
            for connection in list(self.connections):
                connection.heartbeats(self.now_ns - self.heartbeat_ns)

    def _schedule(self, at_ns: int, market: Market, name: str, trade: Traded | None) -> None:
        self._scheduled += 1
        heappush(self._due, (at_ns, self._scheduled, market, name, trade))

    def connect(
        self,
        send: Callable[[bytes], None],
        hang_up: Callable[[int, str], None] | None = None,
    ) -> BitfinexConnection:
        """A new client; its greeting has been sent when this returns.  ``hang_up`` (code, reason)
        closes its connection."""
        self._connected += 1
        connection = BitfinexConnection(self, self._connected, send, hang_up)
        self.connections.append(connection)
        return connection

    def announce(self, code: int, message: str = "") -> None:
        """An info event to every client: 20051 restart, 20060 maintenance, 20061 its end."""
        for connection in list(self.connections):
            connection.event({"event": "info", "code": code, "msg": message})

    def perform(self, kind: Kind, _amount: int) -> None:
        """What the venue as a whole does: a kind of VENUE_KINDS; it has no auctions."""
        if kind in _INFO:
            if kind is not Kind.RESTART:
                self.maintenance = kind is Kind.MAINTENANCE
            self.announce(*_INFO[kind])
        if kind is Kind.DELISTED:
            for market in self.markets.values():
                market.delist()

    # REST -------------------------------------------------------------------------------------

    def rest(self, request: Request, *, stale: bool = False) -> Answer:  # noqa: ARG002 - see below
        """The list of pairs, and a raw book ``/v2/book/tBTCUST/R0?len=100``.  ``stale`` has no
        meaning here: these books have no number, so that nothing tells how old they are."""
        body = self._rest(request.path, parse_qs(urlsplit(request.target).query))
        if body is None:
            return Answer(404, msgspec.json.encode(["error", 10_020, "path: invalid"]))
        return Answer(200, body)

    def _rest(self, path: str, query: dict[str, list[str]]) -> bytes | None:
        if path == "/v2/conf/pub:list:pair:exchange":
            listed = [name[1:] for name, market in self.markets.items() if not market.delisted]
            return msgspec.json.encode([listed])
        parts = path.split("/")
        length = query.get("len", ["25"])[-1]
        if parts[:3] != ["", "v2", "book"] or parts[4:] != ["R0"]:
            return None
        market = self.markets.get(parts[3])
        if market is None or market.delisted or length not in map(str, WINDOW_LENGTHS):
            return None
        bids, asks = market.windows[max(WINDOW_LENGTHS)].rows(int(length))
        return f"[{','.join(f'[{i},{p},{a}]' for i, p, a in bids + asks)}]".encode()


class BitfinexConnection:
    """One client.  ``flags`` are those of its last ``conf``; ``updates`` counts its book frames."""

    def __init__(
        self,
        exchange: BitfinexExchange,
        number: int,
        send: Callable[[bytes], None],
        hang_up: Callable[[int, str], None] | None,
    ) -> None:
        self._hang_up = hang_up
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
        platform = {"status": 0 if exchange.maintenance else 1}
        self.event({"event": "info", "version": 2, "serverId": server, "platform": platform})

    def close(self) -> None:
        """The client is gone."""
        for subscription in self._channels.values():
            subscription.leave()
        self._channels.clear()
        if self in self._exchange.connections:
            self._exchange.connections.remove(self)

    def hang_up(self, code: int, reason: str) -> None:
        """The venue ends the connection."""
        self.close()
        if self._hang_up is not None:
            self._hang_up(code, reason)

    def perform(self, kind: Kind, amount: int) -> None:
        """What the venue does on this connection, or as a whole."""
        if kind is Kind.SEQUENCE_JUMP:
            self.sequence += amount
        elif kind is Kind.SEQUENCE_RESET:
            self.sequence = 0
        else:
            self._exchange.perform(kind, amount)

    def books(self, subscription: Subscription, rows: list[str]) -> None:
        """The rows of one iteration: a frame each, or all in one."""
        if self.flags & BULK_UPDATES:
            self.arrays(subscription, (f"[{','.join(rows)}]",))
        else:
            self.arrays(subscription, rows)

    def event(self, fields: dict[str, Any]) -> None:
        """An event object; these carry no sequence."""
        self._send(msgspec.json.encode(fields))

    def arrays(self, subscription: Subscription, bodies: Sequence[str]) -> None:
        """Frames ``[channel,body…]`` with the tail that this client's flags ask for.  The sequence
        counts every array frame of the connection, from 1."""
        now_ns = self._exchange.now_ns
        subscription.last_ns = now_ns
        send = self._send
        end = f",{now_ns // _MS}]" if self.flags & TIMESTAMP else "]"
        head = f"[{subscription.channel},"
        if self.flags & SEQ_ALL:
            for body in bodies:
                self.sequence += 1
                send(f"{head}{body},{self.sequence}{end}".encode())
        else:
            for body in bodies:
                send(f"{head}{body}{end}".encode())

    def heartbeats(self, silent_since_ns: int) -> None:
        """Tells every channel that has been silent so long that it lives."""
        for subscription in list(self._channels.values()):
            if subscription.last_ns <= silent_since_ns and not subscription.market.delisted:
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
        if market is None or market.delisted:
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
        symbol = market.symbol
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
        subscription.leave()
        return self.event({"event": "unsubscribed", "status": "OK", "chanId": subscription.channel})

    def _refuse(self, request: dict[str, Any], message: str, code: int) -> None:
        names = ("channel", "symbol", "subId")
        echo: dict[str, Any] = {name: request[name] for name in names if name in request}
        self.event(echo | {"event": "error", "msg": message, "code": code})
