"""Coinbase over real sockets and HTTP, against the simulated venue on loopback."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from ordertape import limits
from ordertape.roles.connection import MarketConnection
from ordertape.roles.pacing import Backoff, Pacer
from ordertape.roles.rest import RestClient
from ordertape.settings import Credentials
from ordertape.simulator import coinbase_keys
from ordertape.simulator.bitfinex import SimulatedBitfinex
from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_keys import DEMO_KEYS, Keys
from ordertape.simulator.faults import FaultPlan
from ordertape.simulator.faults_rules import Kind, Rule
from ordertape.stream.market import MarketStream
from ordertape.stream.state import StreamState
from ordertape.venues.registry import venue_of

BUSY = 1_000
"""Events a second: venue and collector share one thread, also of a machine that does more."""
CREDENTIALS = Credentials(DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)


@pytest.fixture
async def exchange() -> AsyncIterator[SimulatedCoinbase]:
    async with SimulatedCoinbase(rate=500, keep=100_000) as running:
        yield running


class Collected:
    """A stream and its connection, while the block lasts."""

    def __init__(
        self,
        exchange: SimulatedCoinbase,
        credentials: Credentials = CREDENTIALS,
        symbol: str = "BTC-USD",
        audit_seconds: int = 600,
    ) -> None:
        self.stream = MarketStream(
            venue_of("coinbase"),
            symbol,
            credentials=credentials,
            audit_interval_seconds=audit_seconds,
        )
        self.rest = RestClient(exchange.rest_url)
        self.connection = MarketConnection(
            self.stream, exchange.url, Pacer(1000), rest=self.rest, backoff=Backoff(1, 10)
        )
        self.stop = asyncio.Event()

    async def __aenter__(self) -> MarketStream:
        self.running = asyncio.create_task(self.connection.run(self.stop))
        return self.stream

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.running
        await self.rest.close()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a stream has no event for every condition
            await asyncio.sleep(0.005)


async def test_a_stream_becomes_live_and_its_book_is_the_venues(
    exchange: SimulatedCoinbase,
) -> None:
    async with Collected(exchange) as stream:
        await until(lambda: stream.state is StreamState.LIVE and stream.events > 500)
        product = exchange.face.products["BTC-USD"]
        assert stream.book.digest() == product.digest_at(stream.session.feed.last)
    assert stream.record.gaps == 0
    assert list(stream.errors) == []


def equal(exchange: SimulatedCoinbase, stream: MarketStream) -> bool:
    """Whether the book is the venue's, order by order, queue rank included."""
    product = exchange.face.products["BTC-USD"]
    return stream.book.digest() == product.digest_at(stream.session.feed.last)


async def test_audits_in_the_midst_of_a_busy_stream_find_the_book_equal() -> None:
    async with (
        SimulatedCoinbase(rate=BUSY) as exchange,
        Collected(exchange, audit_seconds=1) as stream,
    ):
        await until(lambda: stream.integrity.audits >= 2)
    assert stream.integrity.audits_equal == stream.integrity.audits
    assert "queues differ" not in str(stream.counters)
    assert stream.record.gaps == 0


async def test_audits_of_a_bitfinex_window_find_it_equal() -> None:
    async with SimulatedBitfinex(rate=300) as exchange:
        stream = MarketStream(venue_of("bitfinex"), "BTC/USDT", audit_interval_seconds=1)
        rest, stop = RestClient(exchange.rest_url), asyncio.Event()
        connection = MarketConnection(stream, exchange.url, Pacer(1000), rest=rest)
        running = asyncio.create_task(connection.run(stop))
        await until(lambda: stream.integrity.audits >= 1)
        stop.set()
        await running
        await rest.close()
    assert stream.integrity.audits_equal == stream.integrity.audits
    assert stream.record.gaps == 0


class ToldWhen(FaultPlan):
    """Its rule happens on the first connection, from `begin` on.

    A rule by its message alone would come before the first book where the machine is slow, and
    what no book held yet is no gap.
    """

    def __init__(self, seed: int, rule: Rule) -> None:
        super().__init__(seed, [rule])
        self._on_first = super().triggers(1)
        self._begun: list[Any] = []

    def triggers(self, connection: int) -> list[Any]:
        return self._begun if connection == 1 else []

    def begin(self) -> None:
        self._begun += self._on_first


LOSSES = (Kind.DROP, Kind.GARBLE, Kind.CLOSE, Kind.CUT, Kind.OVERSIZE)
"""What sockets can do; the campaign has every fault, in virtual time."""


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.value)
async def test_after_a_loss_there_is_a_gap_and_the_book_is_the_venues_again(kind: Kind) -> None:
    plan = ToldWhen(3, Rule(kind))
    async with (
        SimulatedCoinbase(rate=BUSY, keep=100_000, plan=plan) as exchange,
        Collected(exchange) as stream,
    ):
        await until(lambda: stream.state is StreamState.LIVE)
        plan.begin()
        await until(lambda: stream.book.era == 2 and stream.state is StreamState.LIVE)
        since = stream.events
        await until(lambda: stream.events > since + 200)
        assert equal(exchange, stream)
    assert stream.record.gaps == 1


async def test_repeats_change_nothing() -> None:
    plan = FaultPlan(3, [Rule(Kind.DUPLICATE, every=50)])
    async with (
        SimulatedCoinbase(rate=BUSY, keep=100_000, plan=plan) as exchange,
        Collected(exchange) as stream,
    ):
        await until(lambda: stream.session.feed.counters["late"] > 10)
        assert equal(exchange, stream)
    assert stream.record.gaps == 0


ANSWERS = [
    Rule(Kind.REST_SLOW, amount=500),
    Rule(Kind.REST_STATUS, amount=503),
    Rule(Kind.REST_TRUNCATED),
    Rule(Kind.REST_LENGTH),
]


@pytest.mark.parametrize("rule", ANSWERS, ids=lambda rule: f"{rule.kind.value} {rule.amount}")
async def test_a_bad_answer_delays_the_book_and_no_more(rule: Rule) -> None:
    async with (
        SimulatedCoinbase(rate=BUSY, keep=100_000, plan=FaultPlan(3, [rule])) as exchange,
        Collected(exchange) as stream,
    ):
        await until(lambda: stream.state is StreamState.LIVE)
        since = stream.events
        await until(lambda: stream.events > since + 200)
        assert equal(exchange, stream)
        assert stream.connects == 1
    assert stream.record.gaps == 0


async def test_a_ban_is_kept_by_every_stream_of_the_venue() -> None:
    rule = Rule(Kind.REST_STATUS, amount=429, retry_after=1)
    plan = FaultPlan(3, [rule])
    async with SimulatedCoinbase(plan=plan, symbols=("BTC-USD", "ETH-USD")) as exchange:
        one, other = Collected(exchange), Collected(exchange, symbol="ETH-USD")
        other.connection._rest = one.rest
        async with one as first:
            await until(lambda: plan.requests == 1)
            banned = time.monotonic()
            async with other as second:
                await until(lambda: plan.requests == 2)
                assert time.monotonic() - banned > 0.9
                await until(lambda: {first.state, second.state} == {StreamState.LIVE})


async def test_refused_credentials_fail_the_stream_without_a_storm() -> None:
    plan = FaultPlan(3, [Rule(Kind.REST_STATUS, amount=401, times=100)])
    async with SimulatedCoinbase(plan=plan) as exchange:
        collected = Collected(exchange)
        async with collected as stream:
            await until(lambda: stream.state is StreamState.FAILED, 5)
        assert plan.requests == 1
        assert "refuses our credentials" in stream.reason


async def test_a_wrong_key_fails_the_stream_with_the_venues_words(
    exchange: SimulatedCoinbase,
) -> None:
    wrong = Credentials("another", CREDENTIALS.secret, CREDENTIALS.passphrase)
    async with Collected(exchange, wrong) as stream:
        await until(lambda: stream.state is StreamState.FAILED, 5)
    assert "the venue refuses" in stream.reason
    assert exchange.door.plan is None or stream.connects == 1


async def test_a_stream_whose_clock_is_refused_tries_again_slowly_until_it_is_right(
    exchange: SimulatedCoinbase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "clock_refused_ms", 400)
    monkeypatch.setattr(coinbase_keys, "CLOCK_SECONDS_MAX", -1)
    began = time.monotonic()
    async with Collected(exchange) as stream:
        await until(lambda: stream.connects == 3)
        assert time.monotonic() - began >= 0.8
        assert "request timestamp expired" in stream.errors[0]
        monkeypatch.setattr(coinbase_keys, "CLOCK_SECONDS_MAX", 30)
        await until(lambda: stream.state is StreamState.LIVE)


CANARIES = Keys(
    "canary-key-7d1f", base64.b64encode(b"canary-secret-" * 5).decode(), "canary-passphrase-93ab"
)


CANARY_FAULTS = [
    Rule(Kind.GARBLE, message=1_000, connection=1),
    Rule(Kind.CUT, message=1, connection=1),
    Rule(Kind.REST_STATUS, amount=401),
    Rule(Kind.REST_TRUNCATED),
]


@pytest.mark.parametrize("rule", CANARY_FAULTS, ids=lambda rule: f"{rule.kind.value} {rule.amount}")
async def test_no_secret_shows_under_any_fault(
    rule: Rule, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in logs, errors, counters, quarantine nor representations."""
    caplog.set_level(logging.DEBUG)
    credentials = Credentials(CANARIES.key, CANARIES.secret, CANARIES.passphrase)
    plan = FaultPlan(3, [rule])
    async with SimulatedCoinbase(rate=BUSY, plan=plan, keys=CANARIES) as exchange:
        collected = Collected(exchange, credentials)
        async with collected as stream:
            await until(
                lambda: (
                    stream.state is StreamState.FAILED
                    or (stream.state is StreamState.LIVE and len(plan.log) == 1)
                )
            )
    told = [*stream.errors, stream.reason, repr(stream.counters), repr(stream.session.__dict__)]
    told += [repr(credentials), str(credentials), repr(collected.__dict__)]
    told += [repr(frame) for frame in stream.quarantine.frames]
    # The simulated venue lives in this process; what its own side logs is not ours.
    theirs = "websockets.server"
    told += [record.getMessage() for record in caplog.records if record.name != theirs]
    told += list(capfd.readouterr())
    for secret in (CANARIES.key, CANARIES.secret, CANARIES.passphrase):
        assert [text for text in told if secret in text] == []


async def test_a_venue_that_repeats_what_it_was_sent_is_not_quoted() -> None:
    credentials = Credentials(CANARIES.key, CANARIES.secret, CANARIES.passphrase)
    stream = MarketStream(venue_of("coinbase"), "BTC-USD", credentials=credentials)
    stream.start(1)
    sent = stream.on_open(2).send[0].decode()
    assert CANARIES.key in sent
    stream.on_frame(b"{" + sent.encode(), 3)
    reason = sent.replace('"', "'")
    stream.on_frame(f'{{"type":"error","message":"bad","reason":"{reason}"}}'.encode(), 4)
    told = [*stream.errors, stream.reason, *(repr(frame) for frame in stream.quarantine.frames)]
    assert len(told) > 3
    for secret in (CANARIES.key, CANARIES.secret, CANARIES.passphrase):
        assert [text for text in told if secret in text] == []


async def test_a_venue_that_repeats_a_secret_as_it_closes_is_not_quoted(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def refuse(client: ServerConnection) -> None:
        await client.recv()
        await client.close(1008, f"unknown {CANARIES.key} {CANARIES.passphrase}")

    credentials = Credentials(CANARIES.key, CANARIES.secret, CANARIES.passphrase)
    stream = MarketStream(venue_of("coinbase"), "BTC-USD", credentials=credentials)
    stop = asyncio.Event()
    async with serve(refuse, "127.0.0.1", 0) as venue:
        port = venue.sockets[0].getsockname()[1]
        connection = MarketConnection(stream, f"ws://127.0.0.1:{port}", Pacer(1000))
        running = asyncio.create_task(connection.run(stop))
        await until(lambda: stream.connects == 1 and stream.state is StreamState.CONNECTING)
        stop.set()
        await running
    told = [*stream.errors, stream.reason, *capfd.readouterr()]
    theirs = "websockets.server"
    told += [record.getMessage() for record in caplog.records if record.name != theirs]
    assert any("1008 unknown … …" in text for text in told)
    for secret in (CANARIES.key, CANARIES.passphrase):
        assert [text for text in told if secret in text] == []
