"""A simulated venue, a fault plan and one of our streams in virtual time: no socket, no waiting.

What `roles/connection.py` does with sockets this does with a heap of times: connects, hands texts
to the stream, sends what it says, fetches, ticks, hangs up, waits, connects again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from ordertape import limits
from ordertape._engine import EventBatch, OrderBook
from ordertape.roles.pacing import Backoff
from ordertape.settings import Credentials
from ordertape.simulator.bitfinex_exchange import BitfinexExchange
from ordertape.simulator.coinbase_exchange import CoinbaseExchange
from ordertape.simulator.coinbase_keys import DEMO_KEYS
from ordertape.simulator.coinbase_texts import OrderIds
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Exchange, Request
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.faults_line import Act, Delivery, FaultyLine
from ordertape.simulator.faults_rest import arrival, made_after_ns, sent_after_ns
from ordertape.simulator.faults_rules import Rule
from ordertape.simulator.markets import MARKETS
from ordertape.stream.market import MarketStream, Step, Wish
from ordertape.stream.state import StreamState
from ordertape.tape.marks import Mark
from ordertape.venues.registry import venue_of

MS = 1_000_000
SECOND = 1_000 * MS
TICK = limits.stream_tick_ms * MS
CREDENTIALS = Credentials(DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
START_NS = EPOCH_NS + 3_600 * SECOND
SYMBOLS = {"bitfinex": "BTC/USD", "coinbase": "BTC-USD"}


@dataclass
class Tape:
    """What the stream would have written."""

    batches: list[EventBatch] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def append(self, batch: EventBatch, /) -> None:
        self.batches.append(batch)

    def snapshot(self, book: OrderBook, /) -> None:
        self.marks.append(Mark("digest", book.seq, 0, {"digest": book.digest()}))

    def mark(self, mark: Mark, /) -> None:
        self.marks.append(mark)

    def gaps(self) -> list[tuple[int, int | None, str]]:
        """(from, to, reason) of every gap row, as they stand in the end."""
        found: dict[int, tuple[int, int | None, str]] = {}
        for mark in self.marks:
            if mark.kind == "gap":
                fields = mark.fields
                found[fields["from_ns"]] = (fields["from_ns"], fields["to_ns"], fields["reason"])
        return sorted(found.values())


class Judge:
    """Looks on; see `checks.py`."""

    def heard(self, world: World, text: bytes) -> None:
        """A text arrived; the stream has not seen it yet."""

    def took(self, world: World, text: bytes) -> None:
        """The stream has seen it."""

    def served(self, world: World, text: bytes) -> None:
        """A text left the stream LIVE."""

    def ticked(self, world: World) -> None:
        """Ten milliseconds passed."""


class World:
    """``skew`` (ns of true time → ns): how far the stream's clock is from the venue's."""

    def __init__(
        self,
        venue: str,
        seed: int,
        rules: list[Rule],
        *,
        rate: int = 150,
        live_orders: int = 200,
        credentials: Credentials = CREDENTIALS,
        skew: Callable[[int], int] = lambda _: 0,
        audit_seconds: int = limits.audit_interval_seconds_default,
        judge: Judge | None = None,
    ) -> None:
        self.venue, self.seed, self.skew = venue, seed, skew
        self.judge = judge or Judge()
        ids = OrderIds(seed)
        coinbase = venue == "coinbase"
        market = SimulatedMarket(
            *(MARKETS["BTC-USD"], seed, rate, START_NS),
            live_orders=live_orders,
            keep=50_000 if coinbase else 0,
            id_text=ids.text,
            id_codec="uuid",
        )
        self.exchange = Exchange(seed, [market], START_NS)
        self.market = market
        self.coinbase = CoinbaseExchange(self.exchange, ids=ids, keep=50_000) if coinbase else None
        self.bitfinex = None if coinbase else BitfinexExchange(self.exchange, keep=4_000)
        self.face: Any = self.coinbase or self.bitfinex
        if self.coinbase is not None and any(rule.kind.name == "REST_STALE" for rule in rules):
            self.coinbase.keep_stale_books()
        self.plan = FaultPlan(seed, rules)
        self.tape = Tape()
        self.stream = MarketStream(
            venue_of(venue),
            SYMBOLS[venue],
            sink=self.tape,
            credentials=credentials,
            audit_interval_seconds=audit_seconds,
        )
        self.draws = random.Random(f"{seed} world")
        self.backoff = Backoff(uniform=self.draws.uniform)
        self.counts: Counter[str] = Counter()
        self.requests: list[tuple[int, str, int]] = []
        """(true ns, path, status) of every REST answer."""
        self.wire: _Wire | None = None
        self.ended = False
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.stream.start(self.clock())
        self.at(self.exchange.now_ns, self._connect)
        self.at(self.exchange.now_ns + TICK, self._tick)

    # Time -----------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.exchange.now_ns

    def clock(self) -> int:
        """What the stream's machine takes the time for."""
        return self.now + self.skew(self.now)

    def at(self, at_ns: int, act: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._due, (at_ns, self._count, act))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Lets so much time pass; True as soon as ``until`` holds."""
        end = self.now + int(seconds * SECOND)
        while self._due[0][0] <= end:
            at_ns, _, act = heappop(self._due)
            self.exchange.run_until(at_ns)
            act()
            if until is not None and until():
                return True
        self.exchange.run_until(end)
        return False

    @property
    def live(self) -> bool:
        return self.stream.state is StreamState.LIVE

    # The connection -------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self.ended:
            return
        number = self.plan.connect()
        if self.plan.refuses(number, self.now) or not self.face.open:
            self.counts["refused"] += 1
            self._again()
            return
        self.wire = _Wire(self, number)
        self.wire.open()

    def _again(self, least_ms: int = 0) -> None:
        if self.stream.settled(self.clock()):
            self.backoff.reset()
        wait = max(int(self.backoff.next_seconds() * SECOND), least_ms * MS)
        self.at(self.now + wait + MS, self._connect)

    def lost(self, reason: str, least_ms: int = 0) -> None:
        """The connection ended, whoever ended it."""
        wire, self.wire = self.wire, None
        if wire is None:
            return
        if self.stream.settled(self.clock()):
            self.backoff.reset()
        wire.gone = True
        wire.connection.close()
        self.stream.on_close(reason, self.clock())
        if not self.ended:
            self._again(least_ms)

    def _tick(self) -> None:
        if self.wire is not None:
            step = self.stream.tick(self.clock())
            if step is not None:
                self.follow(step)
            if self.stream.settled(self.clock()):
                self.backoff.reset()
        self.judge.ticked(self)
        self.at(self.now + TICK, self._tick)

    def follow(self, step: Step) -> None:
        wire = self.wire
        if wire is None:
            return
        for text in step.send:
            self.at(self.now + wire.way(), lambda text=text: wire.take(text))
        if step.fetch is not None:
            self._fetch(step.fetch)
        if step.wish is not None:
            self.ended = step.wish is Wish.END
            self.lost(step.reason, step.wait_ms)

    # REST -----------------------------------------------------------------------------------------

    def _fetch(self, fetch: Any) -> None:
        headers = self.stream.session.request_headers(fetch, self.clock())
        request = Request("GET", fetch.path, headers)
        wire = self.wire
        self.at(self.now + 5 * MS, lambda: self._serve(fetch, request, wire))

    def _serve(self, fetch: Any, request: Request, wire: _Wire | None) -> None:
        fault = self.plan.request(request.path, self.now)
        if made_after_ns(fault):
            self.at(
                self.now + made_after_ns(fault), lambda: self._make(fetch, request, wire, fault, 0)
            )
        else:
            self._make(fetch, request, wire, fault, sent_after_ns(fault))

    def _make(
        self, fetch: Any, request: Request, wire: _Wire | None, fault: Any, wait_ns: int
    ) -> None:
        made = arrival(fault, lambda stale: self.face.rest(request, stale=stale))
        limit_ns = limits.rest_timeout_ms * MS
        if not made.status or wait_ns > limit_ns:
            self._answer(limit_ns, fetch, wire, 0, {}, "no answer in time")
        elif not made.whole:
            self._answer(wait_ns + 5 * MS, fetch, wire, 0, {}, "the answer ended early")
        else:
            found = {name.lower(): value for name, value in made.headers.items()}
            self._answer(wait_ns + 5 * MS, fetch, wire, made.status, found, made.body)

    def _answer(
        self, wait_ns: int, fetch: Any, wire: _Wire | None, status: int, headers: Any, body: Any
    ) -> None:
        def arrive() -> None:
            self.requests.append((self.now, fetch.path, status))
            if wire is None or wire.gone:
                return
            step = self.stream.on_answer(fetch, status, headers, body, self.clock())
            if step is not None:
                self.follow(step)

        self.at(self.now + wait_ns, arrive)


class _Wire:
    """One connection: texts of the venue arrive in order, some milliseconds late."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.gone = world, number, False
        self._not_before = 0
        self.line = FaultyLine(
            *(world.plan, number, world.face.wire, lambda: world.now),
            *(self._carry, lambda kind, amount: self.connection.perform(kind, amount)),
        )

    def open(self) -> None:
        world = self.world
        step = world.stream.on_open(world.clock())
        self.connection = world.face.connect(self.line.send, self._hang_up)
        world.follow(step)

    def way(self) -> int:
        """Of one text: 1 to 5 ms, now and then longer."""
        return MS + self.world.draws.randrange(
            4 * MS if self.world.draws.random() < 0.98 else 80 * MS
        )

    def take(self, text: bytes) -> None:
        """A text of ours reaches the venue."""
        if not self.gone and not self.line.hung:
            self.connection.receive(text)

    def _hang_up(self, code: int, reason: str) -> None:
        self._carry(Delivery(self.world.now, Act.CLOSE, reason.encode(), code))

    def _carry(self, delivery: Delivery) -> None:
        at_ns = self._not_before = max(self._not_before, delivery.at_ns + self.way())
        self.world.at(at_ns, lambda: self._arrive(delivery))

    def _arrive(self, delivery: Delivery) -> None:
        world = self.world
        if self.gone:
            return
        if delivery.act is not Act.TEXT:
            world.lost(f"{delivery.act.value} {delivery.number}")
        elif len(delivery.text) > limits.frame_bytes_max:
            world.lost(f"a message of over {limits.frame_bytes_max} bytes")
        else:
            world.judge.heard(world, delivery.text)
            step = world.stream.on_frame(delivery.text, world.clock())
            if step is not None:
                world.follow(step)
            world.judge.took(world, delivery.text)
            if world.live:
                world.judge.served(world, delivery.text)
