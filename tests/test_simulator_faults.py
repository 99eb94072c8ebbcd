from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from ordertape.errors import SettingRefused
from ordertape.simulator import SimulatedBitfinex, SimulatedCoinbase
from ordertape.simulator.bitfinex_exchange import WIRE as BITFINEX
from ordertape.simulator.coinbase_exchange import WIRE as COINBASE
from ordertape.simulator.faces import Answer
from ordertape.simulator.faults import FaultPlan, Wire
from ordertape.simulator.faults_line import Act, Delivery, FaultyLine
from ordertape.simulator.faults_rest import arrival
from ordertape.simulator.faults_rules import REST_KINDS, VENUE_KINDS, Kind, Rule, rules

PLAIN = Wire(
    sequence=re.compile(rb'"n":(\d+)'),
    heartbeat=re.compile(rb"beat"),
    checksum=re.compile(rb'"cs":(-?\d+)'),
    parts={"size": re.compile(rb'"size":"(\d+)"')},
)


class Told:
    """A line of numbered texts, one a millisecond, and what came of them."""

    def __init__(self, *found: Rule, seed: int = 1, connection: int = 1, count: int = 100) -> None:
        self.plan = FaultPlan(seed, found)
        self.now = 0
        self.deliveries: list[Delivery] = []
        self.performed: list[tuple[Kind, int]] = []
        self.line = FaultyLine(
            *(self.plan, connection, PLAIN, lambda: self.now, self.deliveries.append),
            lambda kind, amount: self.performed.append((kind, amount)),
        )
        self.sent = [
            b'{"n":%d,"size":"%d","cs":-77%s}'
            % (n, 1_000 + n, b',"beat":1' if n % 10 == 0 else b"")
            for n in range(1, count + 1)
        ]
        for text in self.sent:
            self.now += 1_000_000
            self.line.send(text)

    @property
    def texts(self) -> list[bytes]:
        return [delivery.text for delivery in self.deliveries if delivery.act is Act.TEXT]

    def numbers(self) -> list[int]:
        return [PLAIN.number(text) or 0 for text in self.texts]


def test_without_rules_everything_arrives_at_once() -> None:
    told = Told()
    assert told.texts == told.sent
    assert [delivery.at_ns for delivery in told.deliveries] == [n * 10**6 for n in range(1, 101)]
    assert told.plan.log == []


def test_a_dropped_text_is_missing_and_logged_with_its_numbers() -> None:
    told = Told(Rule(Kind.DROP, message=40, amount=3))
    assert told.numbers() == [*range(1, 40), *range(43, 101)]
    (injected,) = told.plan.losses()
    assert (injected.first, injected.last, injected.texts) == (40, 42, 3)
    assert (injected.connection, injected.message, injected.time_ns) == (1, 40, 40 * 10**6)
    assert injected.until_ns == 42 * 10**6


def test_duplicates_come_again_behind_their_text() -> None:
    told = Told(Rule(Kind.DUPLICATE, message=40, amount=5))
    assert told.numbers() == [*range(1, 41), *range(36, 41), *range(41, 101)]
    assert told.plan.losses() == []


def test_reordered_texts_are_the_same_in_another_order() -> None:
    for seed in range(20):
        told = Told(Rule(Kind.REORDER, message=40, amount=2 + seed), seed=seed)
        assert sorted(told.numbers()) == list(range(1, 101))
        assert told.numbers() != sorted(told.numbers())
        assert told.numbers()[:39] == list(range(1, 40))
        assert told.numbers()[41 + seed :] == list(range(42 + seed, 101))


def test_a_line_that_stands_still_keeps_the_order() -> None:
    told = Told(Rule(Kind.DELAY, message=40, amount=30))
    times = [delivery.at_ns // 10**6 for delivery in told.deliveries]
    assert told.texts == told.sent
    assert times == [*range(1, 40), *[70] * 31, *range(71, 101)]
    assert times[39] == 40 + 30


@pytest.mark.parametrize(
    "kind", [Kind.CORRUPT, Kind.TRUNCATE, Kind.GARBLE, Kind.CHECKSUM_LIE, Kind.OVERSIZE]
)
def test_a_spoilt_text_is_that_text_alone(kind: Kind) -> None:
    for seed in range(20):
        told = Told(Rule(kind, message=40, amount=99 if kind is Kind.OVERSIZE else 0), seed=seed)
        assert [n for n in range(100) if told.texts[n] != told.sent[n]] == [39]
        spoilt = told.texts[39]
        if kind in (Kind.TRUNCATE, Kind.GARBLE):
            with pytest.raises(ValueError, match=r"."):
                json.loads(spoilt)
        elif kind is Kind.CHECKSUM_LIE:
            assert json.loads(spoilt)["cs"] != -77
        elif kind is Kind.CORRUPT:
            assert sum(a != b for a, b in zip(spoilt, told.sent[39], strict=True)) == 1
        else:
            assert json.loads(spoilt) == json.loads(told.sent[39])


def test_a_part_can_be_named() -> None:
    told = Told(Rule(Kind.CORRUPT, message=40, part="size"))
    before, after = json.loads(told.sent[39]), json.loads(told.texts[39])
    assert before["size"] != after["size"]
    assert {**before, "size": ""} == {**after, "size": ""}


def test_only_heartbeats_come_for_a_while() -> None:
    told = Told(Rule(Kind.HEARTBEATS_ONLY, message=45, amount=30))
    assert told.numbers() == [*range(1, 45), 50, 60, 70, *range(75, 101)]
    (injected,) = told.plan.losses()
    assert (injected.first, injected.last, injected.texts) == (45, 74, 27)


def test_a_hung_line_says_nothing_and_stays_open() -> None:
    told = Told(Rule(Kind.HANG, message=45))
    assert told.numbers() == list(range(1, 45))
    assert told.line.hung
    assert not told.line.ended
    assert told.plan.log[0].texts == 56


@pytest.mark.parametrize(
    ("kind", "amount", "act", "number"),
    [
        (Kind.CLOSE, 0, Act.CLOSE, 1012),
        (Kind.CLOSE, 1001, Act.CLOSE, 1001),
        (Kind.CUT, 7, Act.CUT, 7),
        (Kind.RESET, 0, Act.RESET, 0),
    ],
)
def test_the_end_of_a_connection_is_its_last_delivery(
    kind: Kind, amount: int, act: Act, number: int
) -> None:
    told = Told(Rule(kind, message=45, amount=amount))
    assert told.numbers() == list(range(1, 45))
    assert (told.deliveries[-1].act, told.deliveries[-1].number) == (act, number)
    assert told.line.ended


def test_a_rule_can_wait_for_a_text_and_for_a_connection() -> None:
    assert Told(Rule(Kind.DROP, message=33, holds="beat")).numbers() == [
        n for n in range(1, 101) if n != 40
    ]
    assert Told(Rule(Kind.DROP, connection=2)).plan.log == []
    assert len(Told(Rule(Kind.DROP, connection=2), connection=2).plan.log) == 1


def test_drawn_faults_are_those_of_the_seed_the_connection_and_the_message() -> None:
    drop = Rule(Kind.DROP, every=10)
    first = Told(drop, count=2_000)
    assert Told(drop, count=2_000).numbers() == first.numbers()
    assert Told(drop, seed=2, count=2_000).numbers() != first.numbers()
    assert Told(drop, connection=2, count=2_000).numbers() != first.numbers()
    assert 120 < len(first.plan.log) < 280
    beside = Told(drop, Rule(Kind.CHECKSUM_LIE, every=50), count=2_000)
    assert [i.message for i in beside.plan.log if i.kind is Kind.DROP] == [
        injected.message for injected in first.plan.log
    ]
    assert len(Told(Rule(Kind.DROP, every=10, times=3), count=2_000).plan.log) == 3


def test_what_the_venue_itself_does_is_asked_of_it() -> None:
    for kind in VENUE_KINDS:
        told = Told(Rule(kind, message=45, amount=9))
        assert told.performed == [(kind, 9)]
        assert told.texts == told.sent


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "expected faults as a JSON list of rules"),
        ('[{"kind":"nonsense"}]', "Invalid enum value 'nonsense'"),
        ('[{"kind":"drop","mesage":3}]', "unknown field `mesage`"),
        ('[{"kind":"drop","message":-3}]', "expected numbers of 0 or more"),
    ],
)
def test_a_plan_that_says_nothing_sensible_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingRefused, match=re.escape(reason)):
        rules(text)


def test_a_plan_can_be_written_as_json() -> None:
    assert rules(
        '[{"kind":"drop","message":3},{"kind":"status","amount":429,"retry_after":2}]'
    ) == (
        Rule(Kind.DROP, message=3),
        Rule(Kind.REST_STATUS, amount=429, retry_after=2),
    )


def test_the_venues_numbers_checksums_and_parts_are_found_in_their_texts() -> None:
    row = b"[165356,[86143754888,41646.35995408,0.10224349],17,1790000000000]"
    assert BITFINEX.number(row) == 17
    found = {name: part.search(row)[1] for name, part in BITFINEX.parts.items()}
    assert found == {
        "sequence": b"17",
        "id": b"86143754888",
        "price": b"41646.35995408",
        "size": b"0.10224349",
    }
    assert BITFINEX.checksum is not None
    assert BITFINEX.checksum.search(b'[165356,"cs",-1175357890,18,1790000000000]')[1] == (
        b"-1175357890"
    )
    opened = (
        b'{"type":"open","order_id":"d50e","price":"200.2","remaining_size":"1.00","sequence":10}'
    )
    assert COINBASE.number(opened) == 10
    found = {name: part.search(opened)[1] for name, part in COINBASE.parts.items()}
    assert found == {"sequence": b"10", "price": b"200.2", "size": b"1.00", "id": b"d50e"}
    assert COINBASE.number(b'{"type":"heartbeat","sequence":10}') is None
    assert COINBASE.heartbeat.search(b'{"type":"heartbeat","sequence":10}')


# REST ---------------------------------------------------------------------------------------------


def made(rule: Rule, seed: int = 1) -> Any:
    plan = FaultPlan(seed, [rule])
    fault = plan.request("/book", 0)
    answer = Answer(200, b'{"bids":[],"asks":[],"sequence":5}')
    return arrival(fault, lambda stale: Answer(200, b"stale") if stale else answer)


@pytest.mark.parametrize("kind", sorted(REST_KINDS, key=lambda kind: kind.value))
def test_every_fault_of_an_answer_shows(kind: Kind) -> None:
    whole = b'{"bids":[],"asks":[],"sequence":5}'
    found = made(Rule(kind, amount=429 if kind is Kind.REST_STATUS else 0, retry_after=7))
    if kind in (Kind.REST_SLOW, Kind.REST_LATE):
        assert found.body == whole
    elif kind is Kind.REST_STATUS:
        assert (found.status, found.headers["Retry-After"]) == (429, "7")
    elif kind is Kind.REST_STALE:
        assert found.body == b"stale"
    elif kind is Kind.REST_SILENT:
        assert found.status == 0
    elif kind is Kind.REST_GARBLED:
        assert found.whole
        assert len(found.body) == len(whole) != found.body.count(whole)
    else:
        assert not found.whole
        assert whole.startswith(found.body)


# On sockets ---------------------------------------------------------------------------------------


async def test_connections_are_refused_closed_cut_and_reset_on_sockets() -> None:
    plan = FaultPlan(
        1,
        [
            Rule(Kind.REFUSE, connection=1),
            Rule(Kind.CLOSE, connection=2, message=1, amount=1008),
            Rule(Kind.CUT, connection=3, message=1, amount=5),
            Rule(Kind.RESET, connection=4, message=1),
            Rule(Kind.DELAY, connection=5, message=1, amount=200),
            Rule(Kind.HANG, connection=6, message=2),
        ],
    )
    async with SimulatedBitfinex(1, rate=1, plan=plan) as server:
        with pytest.raises((InvalidMessage, ConnectionError)):
            await connect(server.url)
        codes = []
        for _ in range(3):
            async with connect(server.url) as client:
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
                codes.append(closed.value.rcvd.code if closed.value.rcvd else None)
        assert codes == [1008, None, None]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with connect(server.url) as client:
            await client.recv()
        assert loop.time() - begun > 0.19
        async with connect(server.url, close_timeout=0.05) as client:
            await client.recv()
            await client.send('{"event":"ping"}')
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.recv()
    assert [injected.kind for injected in plan.log] == [rule.kind for rule in plan.rules]


async def test_answers_come_late_short_and_with_other_statuses_on_sockets() -> None:
    plan = FaultPlan(
        1,
        [
            Rule(Kind.REST_SLOW, message=2, amount=150),
            Rule(Kind.REST_STATUS, message=3, amount=418),
            Rule(Kind.REST_TRUNCATED, message=4, amount=10),
            Rule(Kind.REST_LENGTH, message=5, amount=10),
            Rule(Kind.REST_SILENT, message=6),
        ],
    )
    async with SimulatedCoinbase(1, rate=1, live_orders=100, plan=plan) as server:

        async def get() -> tuple[int, bytes]:
            def work() -> tuple[int, bytes]:
                address = server.rest_url + "/products"
                try:
                    with urllib.request.urlopen(address, timeout=0.5) as answer:
                        return answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code, error.read()

            return await asyncio.to_thread(work)

        loop = asyncio.get_running_loop()
        status, whole = await get()
        begun = loop.time()
        assert await get() == (status, whole)
        assert loop.time() - begun > 0.14
        assert (await get())[0] == 418
        for _ in range(2):
            with pytest.raises(Exception, match="IncompleteRead"):
                await get()
        with pytest.raises((TimeoutError, socket.timeout)):
            await get()
        assert await get() == (200, whole)


def test_the_page_of_faults_names_every_kind() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "faults.md").read_text()
    assert [kind.value for kind in Kind if f"`{kind.value}`" not in page] == []
