from __future__ import annotations

import hashlib
import json
from collections import Counter
from decimal import Decimal

import pytest

from ordertape.simulator import frames
from ordertape.simulator.bitfinex_exchange import (
    SEQ_ALL,
    TIMESTAMP,
    BitfinexConnection,
    BitfinexExchange,
)
from ordertape.simulator.bitfinex_market import OB_CHECKSUM
from ordertape.simulator.bitfinex_window import WINDOW_LENGTHS
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Exchange
from ordertape.simulator.markets import MARKETS
from support.bitfinex_client import NaiveBook, NaiveClient

ALL_FLAGS = TIMESTAMP | SEQ_ALL | OB_CHECKSUM
SECOND = 1_000_000_000


class Wire:
    """A connection whose texts are kept."""

    def __init__(self, exchange: BitfinexExchange) -> None:
        self.texts: list[bytes] = []
        self.connection: BitfinexConnection = exchange.connect(self.texts.append)

    def ask(self, **request: object) -> list[dict[str, object]]:
        """Sends a request; the events it was answered with."""
        before = len(self.texts)
        self.connection.receive(json.dumps(request))
        answers = [json.loads(text) for text in self.texts[before:]]
        return [answer for answer in answers if isinstance(answer, dict)]

    def book(self, length: object = 25, symbol: str = "tBTCUST", **more: object) -> dict:
        request = {"event": "subscribe", "channel": "book", "symbol": symbol, "prec": "R0"}
        (answer,) = self.ask(**request, len=length, **more)
        return answer

    def trades(self, symbol: str = "tBTCUST") -> dict:
        (answer,) = self.ask(event="subscribe", channel="trades", symbol=symbol)
        return answer


def _exchange(*symbols: str, rate: int = 500, heartbeat_ms: int = 15_000) -> BitfinexExchange:
    shapes = [MARKETS[symbol] for symbol in symbols or ("tBTCUST",)]
    markets = [SimulatedMarket(shape, 7, rate, EPOCH_NS) for shape in shapes]
    return BitfinexExchange(Exchange(7, markets, EPOCH_NS), heartbeat_ms=heartbeat_ms, keep=1_000)


def _run(face: BitfinexExchange, seconds: float) -> None:
    face.exchange.run_until(face.now_ns + int(seconds * SECOND))


def test_the_same_seed_gives_the_same_texts_at_the_same_times_byte_for_byte() -> None:
    def digest(seed: int) -> str:
        value = hashlib.sha256()
        for time_ns, text in frames(seed, 2_000):
            value.update(b"%d %s\n" % (time_ns, text))
        return value.hexdigest()

    assert digest(7) == digest(7)
    assert digest(7) != digest(8)


@pytest.mark.parametrize(("length", "rate"), [(250, 200), (100, 2_000), (25, 200), (1, 200)])
def test_a_naive_reader_of_the_frames_agrees_with_every_checksum(length: int, rate: int) -> None:
    client = NaiveClient()
    last_ns = 0
    for time_ns, text in frames(11, 800, length, rate=rate):
        client.text(text)
        assert time_ns >= last_ns
        last_ns = time_ns
    assert 800 <= client.counts["update"] < 2_000
    assert client.counts["cs"] > 5
    assert client.iteration == {}


def test_small_numbers_are_sent_with_exponents_and_checked() -> None:
    client = NaiveClient()
    for _, text in frames(3, 300, 25, symbol="tXRPBTC"):
        client.text(text)
    (book,) = client.books.values()
    assert all("e-7" in price for price, _ in book.orders.values())


def test_without_flags_and_trades_the_book_frames_are_the_same() -> None:
    def updates(**options: bool) -> list[tuple[int, list[object]]]:
        texts = [json.loads(text) for _, text in frames(7, 1_000, 100, **options)]
        (channel,) = [
            m["chanId"] for m in texts if isinstance(m, dict) and m.get("channel") == "book"
        ]
        arrays = [m for m in texts if isinstance(m, list)]
        return [m[1] for m in arrays if m[0] == channel and isinstance(m[1], list)]

    bare = updates(with_tail=False, trades=False)
    assert bare == updates()
    texts = [text for _, text in frames(7, 100, 25, with_tail=False, trades=False)]
    assert not any(b'"cs"' in text for text in texts)
    assert all(len(json.loads(text)) == 2 for text in texts[2:])


def test_the_window_flickers_as_a_real_one_does() -> None:
    """A removed order that ranks behind a full window was pushed out, it did not end."""
    evicted: set[str] = set()
    counts: Counter[str] = Counter()
    book = NaiveBook()
    pending: list[tuple[list[str], str]] = []
    for _, text in frames(7, 6_000, 250, trades=False):
        message = json.loads(text, parse_float=str, parse_int=str)
        if isinstance(message, dict):
            continue
        if message[1] != "cs":
            rows = message[1] if isinstance(message[1][0], list) else [message[1]]
            for row in rows:
                if len(rows) == 1:
                    pending.append((row, book.orders.get(int(row[0]), ("", ""))[0]))
                book.put(row)
            continue
        bids, asks = book.sides()
        worst_bid = (-Decimal(bids[-1][1]), bids[-1][0])
        worst_ask = (Decimal(asks[-1][1]), asks[-1][0])
        for (order_id, price, amount), old in pending:
            if price != "0":
                counts["reentry" if order_id in evicted else "change"] += 1
                evicted.discard(order_id)
                continue
            bid = amount == "1"
            key = (-Decimal(old) if bid else Decimal(old), int(order_id))
            out = key > (worst_bid if bid else worst_ask)
            counts["evict" if out else "end"] += 1
            if out:
                evicted.add(order_id)
        pending.clear()
    flicker = (counts["evict"] + counts["reentry"]) / counts.total()
    assert 0.1 < flicker < 0.35
    assert counts["reentry"] > counts["evict"] / 2


def test_te_comes_before_its_tu_and_both_say_the_same() -> None:
    client = NaiveClient()
    for _, text in frames(7, 6_000, 25):
        client.text(text)
    executed = [row for name, row in client.trades if name == "te"]
    booked = [row for name, row in client.trades if name == "tu"]
    assert len(executed) > 20
    assert booked == executed[: len(booked)]
    first = {}
    for place, (name, row) in enumerate(client.trades):
        first.setdefault((row[0], name), place)
    assert all(first[(row[0], "te")] < first[(row[0], "tu")] for row in booked)


def test_every_iteration_equals_what_the_venue_published() -> None:
    exchange = _exchange(rate=1_000)
    wire = Wire(exchange)
    wire.ask(event="conf", flags=ALL_FLAGS)
    for length in WINDOW_LENGTHS:
        wire.book(length)
    market = exchange.markets["tBTCUST"]
    compared: Counter[int] = Counter()

    def compare(time_ms: int, length: int, book: NaiveBook) -> None:
        state = next(s for s in market.windows[length].states if s.time_ms == time_ms)
        assert book.sides() == (state.bids, state.asks)
        assert book.checksum() == state.checksum & 0xFFFFFFFF
        compared[length] += 1

    client = NaiveClient(compare)
    _run(exchange, 3)
    for text in wire.texts:
        client.text(text)
    assert set(compared) == set(WINDOW_LENGTHS)
    assert all(count > 5 for count in compared.values())


def test_two_connections_and_two_markets_stay_consistent() -> None:
    exchange = _exchange("tBTCUST", "tAVAX:USD")
    seen: dict[tuple[int, str, int], tuple] = {}
    clients = []
    for number, symbols in enumerate((["tBTCUST", "tAVAX:USD"], ["tAVAX:USD"])):
        wire = Wire(exchange)
        wire.ask(event="conf", flags=ALL_FLAGS)
        for symbol in symbols:
            wire.book(25, symbol)
        clients.append((number, wire))
        _run(exchange, 1)
    _run(exchange, 1)
    for number, wire in clients:
        client = NaiveClient()
        for text in wire.texts:
            client.text(text)
            message = json.loads(text)
            if isinstance(message, list) and message[1] == "cs":
                symbol = client.channels[message[0]]["symbol"]
                seen[number, symbol, message[-1]] = client.books[message[0]].sides()
    shared = [time for number, symbol, time in seen if number == 1]
    assert len(shared) > 5
    assert all(seen[0, "tAVAX:USD", time] == seen[1, "tAVAX:USD", time] for time in shared)


def test_flags_are_honoured_for_each_connection() -> None:
    exchange = _exchange()
    flags = (0, TIMESTAMP, SEQ_ALL, OB_CHECKSUM, ALL_FLAGS)
    wires = []
    for value in flags:
        wire = Wire(exchange)
        (answer,) = wire.ask(event="conf", flags=value)
        assert answer == {"event": "conf", "status": "OK", "flags": value}
        wire.book(25)
        wires.append(wire)
    _run(exchange, 1)
    for value, wire in zip(flags, wires, strict=True):
        arrays = [json.loads(text) for text in wire.texts[3:]]
        assert any(m[1] == "cs" for m in arrays) == bool(value & OB_CHECKSUM)
        for place, message in enumerate(arrays, 1):
            tail = message[3:] if message[1] == "cs" else message[2:]
            assert len(tail) == bool(value & TIMESTAMP) + bool(value & SEQ_ALL)
            if value & SEQ_ALL:
                assert tail[0] == place
            if value & TIMESTAMP:
                assert 0 <= tail[-1] - EPOCH_NS // 10**6 <= 1_000


def test_a_refused_conf_keeps_the_flags() -> None:
    wire = Wire(_exchange())
    assert wire.ask(event="conf", flags="all")[0]["status"] == "FAILED"
    assert wire.connection.flags == 0


def test_silent_channels_get_heartbeats_that_use_the_sequence() -> None:
    exchange = _exchange(rate=1, heartbeat_ms=15_000)
    wire = Wire(exchange)
    wire.ask(event="conf", flags=ALL_FLAGS)
    wire.trades()
    wire.book(1)
    _run(exchange, 120)
    client = NaiveClient()
    last: dict[int, int] = {}
    for text in wire.texts:
        client.text(text)
        message = json.loads(text)
        if isinstance(message, list):
            silent = message[-1] - last.get(message[0], message[-1])
            assert silent < 17_000
            assert message[1] != "hb" or silent >= 15_000
            last[message[0]] = message[-1]
    assert client.counts["hb"] > 4


def test_the_greeting_and_the_pong() -> None:
    wire = Wire(_exchange())
    greeting = json.loads(wire.texts[0])
    assert greeting["event"] == "info"
    assert greeting["version"] == 2
    assert greeting["platform"] == {"status": 1}
    pong = {"event": "pong", "ts": EPOCH_NS // 10**6, "cid": 1234}
    assert wire.ask(event="ping", cid=1234) == [pong]


def test_subscribed_echoes_what_was_asked() -> None:
    exchange = _exchange("tBTCUST", "tAVAX:USD")
    wire = Wire(exchange)
    answer = wire.book("250", subId="a")
    channel = answer.pop("chanId")
    assert answer == {
        "event": "subscribed",
        "channel": "book",
        "symbol": "tBTCUST",
        "prec": "R0",
        "freq": "F0",
        "len": "250",
        "subId": "a",
        "pair": "BTCUST",
    }
    assert wire.book(100, "tAVAX:USD")["len"] == 100
    assert wire.book(100, "tAVAX:USD")["code"] == 10301
    trades = wire.trades()
    assert trades["pair"] == "BTCUST"
    assert trades["chanId"] != channel


def test_refusals_carry_the_code_and_echo_the_request() -> None:
    wire = Wire(_exchange())
    assert wire.book(50)["code"] == 10300
    assert wire.book("all")["code"] == 10300
    assert wire.book(25, freq="F1")["code"] == 10300
    (answer,) = wire.ask(event="subscribe", channel="book", symbol="tBTCUST", prec="P0")
    assert (answer["code"], answer["msg"]) == (10300, "precision not found")
    assert wire.book(25, "tNOBODY", subId=5) == {
        "channel": "book",
        "symbol": "tNOBODY",
        "subId": 5,
        "event": "error",
        "msg": "symbol: invalid",
        "code": 10001,
    }
    assert wire.ask(event="subscribe", channel="ticker", symbol="tBTCUST")[0]["code"] == 10302
    assert wire.trades()["event"] == "subscribed"
    assert wire.trades()["code"] == 10301
    assert wire.ask(event="unsubscribe", chanId=1)[0]["code"] == 10401
    assert wire.ask(event="unsubscribe", chanId=[])[0]["code"] == 10401
    assert wire.ask(event="dance")[0]["code"] == 10000
    for text in (b"{", b"[]", b"\xff\xfe", b'{"event":["a"]}', b"7"):
        before = len(wire.texts)
        wire.connection.receive(text)
        assert json.loads(wire.texts[before])["code"] == 10000


def test_more_channels_than_the_venue_allows_are_refused() -> None:
    symbols = list(MARKETS)[:8]
    wire = Wire(_exchange(*symbols))
    answers = [wire.book(length, symbol) for symbol in symbols for length in WINDOW_LENGTHS]
    assert [answer.get("code") for answer in answers] == [None] * 25 + [10305] * 7


def test_an_unsubscribed_channel_falls_silent_and_comes_back_with_a_snapshot() -> None:
    exchange = _exchange()
    wire = Wire(exchange)
    channel = wire.book(25)["chanId"]
    _run(exchange, 0.5)
    answer = {"event": "unsubscribed", "status": "OK", "chanId": channel}
    assert wire.ask(event="unsubscribe", chanId=channel) == [answer]
    before = len(wire.texts)
    _run(exchange, 0.5)
    assert len(wire.texts) == before
    again = wire.book(25)["chanId"]
    assert again != channel
    _run(exchange, 0.5)
    snapshot = json.loads(wire.texts[before + 1])
    assert snapshot[0] == again
    assert len(snapshot[1]) == 50


def test_a_closed_connection_gets_nothing_more() -> None:
    exchange = _exchange()
    wire = Wire(exchange)
    wire.book(25)
    wire.trades()
    _run(exchange, 0.5)
    wire.connection.close()
    wire.connection.close()
    before = len(wire.texts)
    _run(exchange, 0.5)
    assert len(wire.texts) == before
    assert exchange.connections == []


def test_the_history_of_trades_comes_newest_first_and_not_again() -> None:
    exchange = _exchange(rate=2_000)
    early = Wire(exchange)
    early.trades()
    _run(exchange, 2)
    late = Wire(exchange)
    late.trades()
    history = json.loads(late.texts[-1])[1]
    assert 1 < len(history) <= 30
    assert [row[0] for row in history] == sorted((row[0] for row in history), reverse=True)
    _run(exchange, 2)
    arrays = [json.loads(text) for text in late.texts[3:]]
    executed = [m[2][0] for m in arrays if m[1] == "te"]
    assert not set(executed) & {row[0] for row in history}
