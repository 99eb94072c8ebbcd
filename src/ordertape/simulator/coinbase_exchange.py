"""Coinbase Exchange from the venue's side, without sockets and without a clock.

WebSocket channels ``full`` (for keys alone), ``heartbeat`` and ``matches``; REST ``/products``,
``/products/{id}``, ``/products/{id}/book``, ``/currencies``, ``/time``.  Shapes, sentences and
limits are those of docs.cdp.coinbase.com/exchange (WebSocket overview, channels, errors, rate
limits; REST).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from ordertape.simulator.coinbase_keys import DEMO_KEYS, Keys
from ordertape.simulator.coinbase_product import SEQUENCES_PER_SECOND, Product
from ordertape.simulator.coinbase_texts import OrderIds, Times
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Answer, Exchange, Request
from ordertape.simulator.faults import Wire
from ordertape.simulator.faults_rules import Kind
from ordertape.simulator.occurrences import Occurrence

__all__ = ["WIRE", "CoinbaseConnection", "CoinbaseExchange"]

CHANNELS: Final = ("full", "heartbeat", "matches")
HEARTBEAT_NS: Final = 1_000_000_000
SUBSCRIBE_NS_MAX: Final = 5_000_000_000
"""A connection that asks for nothing is closed."""
REST_PER_SECOND: Final = 10
REST_BURST: Final = 15
"""Requests of all clients together (the venue counts them by address).  Policy: 429."""
_NEVER: Final = 1 << 62
_AUTHENTICATE: Final = (
    "level2, level3, and full channels now require authentication. "
    "https://docs.cloud.coinbase.com/exchange/docs/websocket-auth"
)
_SIGNED: Final = ("key", "passphrase", "timestamp", "signature")
_HEADERS: Final = tuple(f"cb-access-{name}" for name in ("key", "passphrase", "timestamp", "sign"))

WIRE: Final = Wire(
    sequence=re.compile(rb'^(?!\{"type":"heartbeat").*"sequence":(\d+)'),
    heartbeat=re.compile(rb'^\{"type":"(?:heartbeat|subscriptions|error)"'),
    checksum=None,
    parts={
        "sequence": re.compile(rb'"sequence":(\d+)'),
        "price": re.compile(rb'"(?:new_)?price":"([^"]+)"'),
        "size": re.compile(rb'"(?:remaining_|new_)?size":"([^"]+)"'),
        "id": re.compile(rb'"(?:maker_)?order_id":"([^"]+)"'),
    },
)


class CoinbaseExchange:
    """A face of an exchange.

    ``keep``: how many messages back `Product.digest_at` can look.  ``signed_only``: whole books for
    keys alone (the venue documents it so and is seen to answer anybody).
    """

    wire = WIRE

    def __init__(
        self,
        exchange: Exchange,
        keys: Keys = DEMO_KEYS,
        *,
        ids: OrderIds | None = None,
        keep: int = 0,
        signed_only: bool = False,
        rest_per_second: int = REST_PER_SECOND,
    ) -> None:
        self.exchange, self.keys = exchange, keys
        self.ids = ids or OrderIds(exchange.seed)
        self._signed_only = signed_only
        sequence = 1 + SEQUENCES_PER_SECOND * (max(0, exchange.now_ns - EPOCH_NS) // 10**9)
        products = [
            Product(market, self.ids, sequence, keep) for market in exchange.markets.values()
        ]
        self.products = {product.name: product for product in products}
        self._by_market = {id(product.market): product for product in products}
        self.connections: list[CoinbaseConnection] = []
        self.open = True
        """False in maintenance: nobody is let in, REST answers 503."""
        self._beat_ns = exchange.now_ns + HEARTBEAT_NS
        self._per_second = rest_per_second
        self._tokens_ns = 0
        self._stale: dict[str, bytes] = {}
        self._times = Times()
        exchange.faces.append(self)

    # The face ---------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        return self._beat_ns if self.connections else _NEVER

    @property
    def clients_ns(self) -> int:
        """What a client's clock says: it went on where the exchange's time stood still."""
        return self.exchange.now_ns + self.exchange.behind_ns

    def take(self, market: SimulatedMarket, occurrences: Sequence[Occurrence], /) -> None:
        self._by_market[id(market)].take(occurrences)

    def step(self) -> None:
        """A second is over: heartbeats, and an end for those who asked for nothing."""
        now_ns = self.exchange.now_ns
        if now_ns < self._beat_ns:
            return
        self._beat_ns = now_ns - now_ns % HEARTBEAT_NS + HEARTBEAT_NS
        for connection in list(self.connections):
            connection.beat(now_ns)

    def connect(
        self,
        send: Callable[[bytes], None],
        hang_up: Callable[[int, str], None] | None = None,
    ) -> CoinbaseConnection:
        """A new client.  ``hang_up`` (code, reason) closes its connection."""
        for name, product in self.products.items():
            if name in self._stale:
                self._stale[name] = product.book(3, self.exchange.now_ns)
        if not self.connections:
            self._beat_ns = max(self._beat_ns, self.exchange.now_ns + HEARTBEAT_NS)
        connection = CoinbaseConnection(self, send, hang_up)
        self.connections.append(connection)
        return connection

    def keep_stale_books(self) -> None:
        """From now on each connect leaves whole books behind, for `rest` with ``stale``."""
        for name, product in self.products.items():
            self._stale[name] = product.book(3, self.exchange.now_ns)

    def perform(self, kind: Kind, amount: int) -> None:
        """What the venue as a whole does: a kind of VENUE_KINDS."""
        for product in self.products.values():
            if kind is Kind.SEQUENCE_JUMP:
                product.sequence += amount
            elif kind in (Kind.SEQUENCE_RESET, Kind.RESTART):
                product.sequence = 0
            elif kind in (Kind.AUCTION, Kind.AUCTION_ENDED):
                product.auction = kind is Kind.AUCTION
            elif kind is Kind.DELISTED:
                product.delist()
        if kind in (Kind.MAINTENANCE, Kind.MAINTENANCE_ENDED):
            self.open = kind is Kind.MAINTENANCE_ENDED
        if kind in (Kind.MAINTENANCE, Kind.RESTART):
            for connection in list(self.connections):
                connection.hang_up(1012, "service restart")

    # REST -------------------------------------------------------------------------------------

    def rest(self, request: Request, *, stale: bool = False) -> Answer:
        """``stale``: whole books are those of the last connect."""
        if not self.open:
            return _message(503, "ServiceUnavailable")
        if not self._allowed():
            return _message(429, "Public rate limit exceeded", {"Retry-After": "1"})
        if request.method != "GET":
            return _message(405, "MethodNotAllowed")
        refusal = self._rest_refusal(request)
        if refusal is not None:
            return _message(401, refusal)
        parts = request.path.strip("/").split("/")
        if parts == ["currencies"]:
            return Answer(200, msgspec.json.encode(self._currencies()))
        if parts == ["time"]:
            now_ns = self.exchange.now_ns
            epoch = f"{now_ns // 10**9}.{now_ns // 10**6 % 1000:03d}"
            iso = self._times.text(now_ns)[:-4] + "Z"
            return Answer(200, f'{{"iso":"{iso}","epoch":{epoch}}}'.encode())
        if parts == ["products"]:
            listed = [product.description() for product in self.products.values()]
            return Answer(200, msgspec.json.encode(listed))
        product = self.products.get(parts[1]) if len(parts) > 1 else None
        if parts[0] != "products" or product is None or product.delisted or len(parts) > 3:
            return _message(404, "NotFound")
        if len(parts) == 2:
            return Answer(200, msgspec.json.encode(product.description()))
        if parts[2] != "book":
            return _message(404, "NotFound")
        return self._book(product, request, stale)

    def _currencies(self) -> list[dict[str, object]]:
        names = {
            name for product in self.products.values() for name in (product.base, product.quote)
        }
        return [
            {
                "id": name,
                "name": name,
                "status": "online",
                "min_size": "0.00000001",
                "max_precision": "0.00000001",
                "details": {"type": "crypto"},
                "supported_networks": [],
            }
            for name in sorted(names)
        ]

    def _book(self, product: Product, request: Request, stale: bool) -> Answer:
        level = parse_qs(urlsplit(request.target).query).get("level", ["1"])[-1]
        if level not in ("1", "2", "3"):
            return _message(400, "Invalid level")
        if level == "3":
            if self._signed_only and "cb-access-key" not in request.headers:
                return _message(401, "CB-ACCESS-KEY header is required")
            if stale and product.name in self._stale:
                return Answer(200, self._stale[product.name])
        return Answer(200, product.book(int(level), self.exchange.now_ns))

    def _rest_refusal(self, request: Request) -> str | None:
        """Unsigned requests are let through, wrongly signed ones are not."""
        given = [request.headers.get(name) for name in _HEADERS]
        if given == [None] * 4:
            return None
        for name, value in zip(_HEADERS, given, strict=True):
            if value is None:
                return f"{name.upper()} header is required"
        signed = (request.method, request.target, request.body.decode("utf-8", "replace"))
        key, passphrase, timestamp, sign = (value or "" for value in given)
        given4 = (key, passphrase, timestamp, sign)
        return self.keys.refusal(given4, signed, self.clients_ns)

    def _allowed(self) -> bool:
        """A bucket of REST_BURST tokens that fills by REST_PER_SECOND."""
        token_ns = 10**9 // self._per_second
        full_ns = self.exchange.now_ns - REST_BURST * token_ns
        self._tokens_ns = max(self._tokens_ns, full_ns)
        if self._tokens_ns + token_ns > self.exchange.now_ns:
            return False
        self._tokens_ns += token_ns
        return True


def _message(status: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, msgspec.json.encode({"message": text}), headers)


class CoinbaseConnection:
    """One client; what it says goes to `receive`."""

    def __init__(
        self,
        venue: CoinbaseExchange,
        send: Callable[[bytes], None],
        hang_up: Callable[[int, str], None] | None,
    ) -> None:
        self.send = send
        self._venue, self._hang_up = venue, hang_up
        self._subscribed: dict[str, list[Product]] = {name: [] for name in CHANNELS}
        self._opened_ns = venue.exchange.now_ns

    def close(self) -> None:
        """The client is gone."""
        for name in CHANNELS:
            self._leave([(name, list(self._subscribed[name]))])
        self._subscribed = {name: [] for name in CHANNELS}
        if self in self._venue.connections:
            self._venue.connections.remove(self)

    def hang_up(self, code: int, reason: str) -> None:
        """The venue ends the connection."""
        self.close()
        if self._hang_up is not None:
            self._hang_up(code, reason)

    def perform(self, kind: Kind, amount: int) -> None:
        self._venue.perform(kind, amount)

    def beat(self, now_ns: int) -> None:
        if not any(self._subscribed.values()):
            if now_ns - self._opened_ns > SUBSCRIBE_NS_MAX:
                self.hang_up(1008, "no subscription within 5 seconds")
            return
        for product in self._subscribed["heartbeat"]:
            if not product.delisted:
                self.send(product.heartbeat(now_ns))

    # What clients send ------------------------------------------------------------------------

    def receive(self, text: bytes | str) -> None:
        """One text; the answer is ``subscriptions`` or ``error``."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._error("Malformed JSON")
        kind = request.get("type") if isinstance(request, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            return self._error("Type has to be either subscribe or unsubscribe")
        wanted = self._wanted(request)
        if isinstance(wanted, str):
            return self._error(f"Failed to {kind}", wanted)
        if kind == "unsubscribe":
            self._leave(wanted)
            return self._acknowledge()
        if any(name == "full" for name, _ in wanted):
            refusal = self._refusal(request)
            if refusal is not None:
                return self._error(*refusal)
        self._join(wanted)
        return None

    def _refusal(self, request: dict[str, Any]) -> tuple[str, str] | None:
        if not any(name in request for name in _SIGNED):
            return "Failed to subscribe", _AUTHENTICATE
        key, passphrase, timestamp, signed = (str(request.get(name, "")) for name in _SIGNED)
        reason = self._venue.keys.refusal(
            (key, passphrase, timestamp, signed),
            ("GET", "/users/self/verify", ""),
            self._venue.clients_ns,
        )
        return ("Authentication Failed", reason) if reason else None

    def _wanted(self, request: dict[str, Any]) -> list[tuple[str, list[Product]]] | str:
        """(channel, products) of a request, or what is wrong with it."""
        channels, common = request.get("channels"), request.get("product_ids", [])
        if not isinstance(channels, list) or not channels:
            return "No channels provided"
        wanted = []
        for channel in channels:
            name, names = channel, common
            if isinstance(channel, dict):
                name, names = channel.get("name"), channel.get("product_ids", common)
            if name not in CHANNELS:
                return f"{name} is not a valid channel"
            if not isinstance(names, list) or not names:
                return " is not a valid product"
            products = []
            for product_id in names:
                product = self._venue.products.get(str(product_id))
                if product is None or product.delisted:
                    return f"{product_id} is not a valid product"
                products.append(product)
            wanted.append((str(name), products))
        return wanted

    def _join(self, wanted: Iterable[tuple[str, list[Product]]]) -> None:
        """The acknowledgement goes before the first message."""
        new = []
        for name, products in wanted:
            for product in products:
                if product not in self._subscribed[name]:
                    self._subscribed[name].append(product)
                    new.append((name, product))
        self._acknowledge()
        for name, product in new:
            product.join(name, self)

    def _leave(self, wanted: Iterable[tuple[str, list[Product]]]) -> None:
        for name, products in wanted:
            for product in products:
                if product in self._subscribed[name]:
                    self._subscribed[name].remove(product)
                    product.leave(name, self)

    def _acknowledge(self) -> None:
        channels = [
            {"name": name, "product_ids": [product.name for product in products]}
            for name, products in self._subscribed.items()
            if products
        ]
        self.send(msgspec.json.encode({"type": "subscriptions", "channels": channels}))

    def _error(self, message: str, reason: str | None = None) -> None:
        fields = {"type": "error", "message": message}
        self.send(msgspec.json.encode(fields | ({"reason": reason} if reason else {})))
