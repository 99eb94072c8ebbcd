from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
import uuid
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from ordertape.simulator.coinbase import SimulatedCoinbase
from ordertape.simulator.coinbase_exchange import CoinbaseConnection, CoinbaseExchange
from ordertape.simulator.coinbase_keys import DEMO_KEYS, signature
from ordertape.simulator.coinbase_texts import OrderIds, decimal_text
from ordertape.simulator.exchange import EPOCH_NS, SimulatedMarket
from ordertape.simulator.faces import Exchange, Request
from ordertape.simulator.faults_rules import Kind
from ordertape.simulator.markets import MARKETS
from support.coinbase_client import NaiveBook, subscribe

KEYS = (DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
SECOND = 10**9
BOOK = "/products/BTC-USD/book?level=3"


def venue(
    seed: int = 7, symbols: tuple[str, ...] = ("tBTCUSD",), rate: int = 500, **options: Any
) -> CoinbaseExchange:
    ids = OrderIds(seed)
    markets = [
        SimulatedMarket(
            *(MARKETS[symbol], seed, rate, EPOCH_NS),
            live_orders=200,
            keep=20_000,
            id_text=ids.text,
            id_codec="uuid",
        )
        for symbol in symbols
    ]
    return CoinbaseExchange(Exchange(seed, markets, EPOCH_NS), keep=20_000, **options)


def client(
    face: CoinbaseExchange, *channels: str, products: tuple[str, ...] = ("BTC-USD",)
) -> tuple[list[bytes], CoinbaseConnection]:
    texts: list[bytes] = []
    connection = face.connect(texts.append)
    now = str(face.exchange.now_ns // SECOND)
    connection.receive(subscribe(KEYS, now, *channels, products=products))
    return texts, connection


def run(face: CoinbaseExchange, seconds: float) -> None:
    face.exchange.run_until(face.exchange.now_ns + int(seconds * SECOND))


def get(face: CoinbaseExchange, target: str, **headers: str) -> tuple[int, Any]:
    answer = face.rest(Request("GET", target, headers))
    return answer.status, json.loads(answer.body)


# What it tells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_naive_client_rebuilds_the_true_book_from_any_snapshot(seed: int) -> None:
    face = venue(seed)
    texts, _ = client(face, "full")
    run(face, 1.5)
    product = face.products["BTC-USD"]
    book = NaiveBook(get(face, BOOK)[1])
    run(face, 3)
    for text in texts[1:]:
        book.message(json.loads(text))
    assert book.sequence == product.sequence
    size, price = product.market.size_scale, product.market.price_scale
    for side, rows in enumerate(book.sides()):
        assert rows == [
            (
                face.ids.text(order.order_id),
                Decimal(decimal_text(order.price, price)),
                Decimal(decimal_text(order.size, size)),
            )
            for order in product.market.matching.rows(side)
        ]
    assert min(book.counts[kind] for kind in ("received", "open", "match", "done")) > 2


def test_every_kind_of_change_is_told_in_some_seed() -> None:
    counts: Counter[str] = Counter()
    for seed in range(4):
        face = venue(seed, rate=2_000)
        texts, _ = client(face, "full")
        book = NaiveBook(get(face, BOOK)[1])
        run(face, 3)
        for text in texts[1:]:
            book.message(json.loads(text))
        counts.update(book.counts)
    assert {"change modify_order", "change STP", "noop"} <= set(counts)


def test_numbers_go_up_by_one_and_every_id_leads_back_to_its_order() -> None:
    face = venue(rate=2_000)
    texts, _ = client(face, "full", "heartbeat")
    run(face, 2.5)
    messages = [json.loads(text) for text in texts]
    assert messages[0] == {
        "type": "subscriptions",
        "channels": [
            {"name": "full", "product_ids": ["BTC-USD"]},
            {"name": "heartbeat", "product_ids": ["BTC-USD"]},
        ],
    }
    beats = [message for message in messages if message["type"] == "heartbeat"]
    numbers = [m["sequence"] for m in messages[1:] if m["type"] != "heartbeat"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(beats) == 2
    assert {beat["sequence"] for beat in beats} <= set(numbers)
    ids = [message["order_id"] for message in messages if "order_id" in message]
    assert all(uuid.UUID(text).version == 4 for text in ids)
    assert all(face.ids.text(face.ids.number(text)) == text for text in ids)


def test_the_oracle_tells_the_book_after_each_message() -> None:
    face = venue()
    client(face, "full")
    run(face, 0.2)
    product = face.products["BTC-USD"]
    get(face, BOOK)
    assert product.digest_at(product.sequence) == product.market.digest()
    before = product.sequence
    run(face, 0.5)
    told = [product.digest_at(number) for number in range(before + 1, product.sequence + 1)]
    assert told[-1] == product.market.digest()
    assert len(set(told)) > len(told) // 3
    with pytest.raises(LookupError):
        product.digest_at(product.sequence + 1)


def test_the_same_seed_tells_the_same_twice() -> None:
    told = []
    for _ in range(2):
        face = venue(3, rate=2_000)
        texts, _ = client(face, "full", "heartbeat")
        run(face, 1)
        told.append(texts)
    assert told[0] == told[1]
    assert len(told[0]) > 1_000


# Who may ask what ---------------------------------------------------------------------------------


def asked(text: str, seconds: float = 0) -> dict[str, Any]:
    """The first answer to a text."""
    face = venue(rate=1)
    run(face, seconds)
    texts: list[bytes] = []
    face.connect(texts.append).receive(text)
    answer: dict[str, Any] = json.loads(texts[0])
    return answer


@pytest.mark.parametrize(
    ("text", "message", "reason"),
    [
        ("{", "Malformed JSON", None),
        ('{"type":"hello"}', "Type has to be either subscribe or unsubscribe", None),
        ('{"type":"subscribe"}', "Failed to subscribe", "No channels provided"),
        (
            '{"type":"subscribe","channels":["full"],"product_ids":["XYZ-USD"]}',
            "Failed to subscribe",
            "XYZ-USD is not a valid product",
        ),
        (
            '{"type":"subscribe","product_ids":["BTC-USD"],'
            '"channels":[{"name":"full","product_ids":[]}]}',
            "Failed to subscribe",
            " is not a valid product",
        ),
        (
            '{"type":"subscribe","channels":["level9"],"product_ids":["BTC-USD"]}',
            "Failed to subscribe",
            "level9 is not a valid channel",
        ),
        (
            '{"type":"subscribe","channels":["full"],"product_ids":["BTC-USD"]}',
            "Failed to subscribe",
            "level2, level3, and full channels now require authentication. "
            "https://docs.cloud.coinbase.com/exchange/docs/websocket-auth",
        ),
    ],
)
def test_a_wrong_request_is_answered_with_the_venues_sentence(
    text: str, message: str, reason: str | None
) -> None:
    answer = asked(text)
    assert (answer["type"], answer["message"], answer.get("reason")) == ("error", message, reason)


@pytest.mark.parametrize(
    ("keys", "late", "reason"),
    [
        (("other", *KEYS[1:]), 0, "Invalid API Key"),
        ((KEYS[0], "b3RoZXI=", KEYS[2]), 0, "invalid signature"),
        ((*KEYS[:2], "other"), 0, "Invalid Passphrase"),
        (KEYS, 31, "request timestamp expired"),
        (KEYS, -31, "request timestamp expired"),
        (KEYS, 29, None),
    ],
)
def test_keys_are_really_verified(
    keys: tuple[str, str, str], late: int, reason: str | None
) -> None:
    timestamp = str(EPOCH_NS // SECOND + late)
    answer = asked(subscribe(keys, timestamp, "full", products=("BTC-USD",)))
    if reason is None:
        assert answer["type"] == "subscriptions"
    else:
        assert answer == {"type": "error", "message": "Authentication Failed", "reason": reason}
    assert DEMO_KEYS.secret not in repr(DEMO_KEYS) + str(answer)


def test_the_signature_is_the_documented_one() -> None:
    secret = (
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="
    )
    found = signature(secret, "1700000000", "GET", "/users/self/verify")
    assert found == "VWEblJISZzHK29JLE7EP1VNXMFU1COxq3vybOn3OVEk="


def test_a_signed_request_is_verified_and_an_unsigned_one_let_through() -> None:
    face = venue()
    timestamp = str(EPOCH_NS // SECOND)
    headers = {
        "CB-ACCESS-KEY": KEYS[0],
        "CB-ACCESS-PASSPHRASE": KEYS[2],
        "CB-ACCESS-TIMESTAMP": timestamp,
    }
    assert get(face, BOOK)[0] == 200
    assert get(face, BOOK, **headers) == (401, {"message": "CB-ACCESS-SIGN header is required"})
    right = {**headers, "CB-ACCESS-SIGN": signature(KEYS[1], timestamp, "GET", BOOK)}
    assert get(face, BOOK, **right)[0] == 200
    wrong = {**headers, "CB-ACCESS-SIGN": signature(KEYS[1], timestamp, "GET", "/time")}
    assert get(face, BOOK, **wrong) == (401, {"message": "invalid signature"})
    assert get(venue(signed_only=True), BOOK)[0] == 401


def test_rest_answers_as_documented() -> None:
    face = venue(symbols=("tBTCUSD", "tETHUST"))
    _, products = get(face, "/products")
    assert [product["id"] for product in products] == ["BTC-USD", "ETH-USDT"]
    assert products[0]["base_increment"] == "0.00000001"
    assert get(face, "/products/BTC-USD")[1] == products[0]
    assert get(face, "/products/XYZ-USD") == (404, {"message": "NotFound"})
    assert get(face, BOOK.replace("3", "9"))[0] == 400
    whole, levels, best = (get(face, BOOK.replace("3", level))[1] for level in "321")
    assert len(whole["bids"]) > len(levels["bids"]) > len(best["bids"]) == 1
    assert levels["bids"][0] == best["bids"][0]
    assert whole["bids"][0][0] == best["bids"][0][0]
    assert not whole["auction_mode"]
    assert get(face, "/time")[1]["epoch"] == EPOCH_NS / SECOND


def test_too_many_requests_are_answered_429_with_retry_after() -> None:
    face = venue(rate=1)
    statuses = [face.rest(Request("GET", "/time")).status for _ in range(20)]
    assert statuses == [200] * 15 + [429] * 5
    assert face.rest(Request("GET", "/time")).headers["Retry-After"] == "1"
    run(face, 1)
    assert [face.rest(Request("GET", "/time")).status for _ in range(11)] == [200] * 10 + [429]


def test_a_connection_that_asks_for_nothing_is_closed_after_five_seconds() -> None:
    face = venue(rate=1)
    closed: list[tuple[int, str]] = []
    face.connect([].append, lambda code, reason: closed.append((code, reason)))
    run(face, 4.9)
    assert closed == []
    run(face, 2)
    assert closed == [(1008, "no subscription within 5 seconds")]
    assert face.connections == []


def test_clients_join_and_leave_one_by_one() -> None:
    face = venue(symbols=("tBTCUSD", "tETHUSD"))
    first, connection = client(face, "full", products=("BTC-USD", "ETH-USD"))
    second, other = client(face, "full", products=("ETH-USD",))
    run(face, 1)
    assert {json.loads(text)["product_id"] for text in first[1:]} == {"BTC-USD", "ETH-USD"}
    assert second[1:] == [text for text in first[1:] if b'"ETH-USD"' in text]
    connection.receive(
        '{"type":"unsubscribe","channels":[{"name":"full","product_ids":["BTC-USD"]}]}'
    )
    assert json.loads(first[-1])["channels"] == [{"name": "full", "product_ids": ["ETH-USD"]}]
    other.close()
    told = len(second)
    run(face, 1)
    assert len(second) == told


def test_trades_can_be_watched_without_keys() -> None:
    face = venue(rate=2_000)
    full, _ = client(face, "full")
    run(face, 1)
    matches: list[bytes] = []
    request = '{"type":"subscribe","channels":["matches"],"product_ids":["BTC-USD"]}'
    face.connect(matches.append).receive(request)
    told = [text for text in full if b'"match"' in text]
    assert json.loads(matches[1]) == {**json.loads(told[-1]), "type": "last_match"}
    run(face, 1)
    assert matches[2:] == [text for text in full if b'"match"' in text][len(told) :]
    assert len(matches) > 5


def test_an_auction_a_jump_a_restart_and_a_delisting_show_as_the_venue_shows_them() -> None:
    face = venue()
    texts, connection = client(face, "full")
    run(face, 0.3)
    connection.perform(Kind.AUCTION, 0)
    assert get(face, BOOK)[1]["auction_mode"]
    connection.perform(Kind.AUCTION_ENDED, 0)
    assert not get(face, BOOK)[1]["auction_mode"]
    before = face.products["BTC-USD"].sequence
    connection.perform(Kind.SEQUENCE_JUMP, 1_000)
    texts.clear()
    run(face, 0.3)
    assert json.loads(texts[0])["sequence"] == before + 1_001
    assert get(face, BOOK)[1]["sequence"] == face.products["BTC-USD"].sequence
    connection.perform(Kind.DELISTED, 0)
    texts.clear()
    run(face, 2)
    assert texts == []
    assert get(face, BOOK)[0] == 404
    connection.perform(Kind.RESTART, 0)
    assert face.connections == []
    assert face.products["BTC-USD"].sequence == 0


# On sockets ---------------------------------------------------------------------------------------


async def fetch(address: str) -> Any:
    def get() -> Any:
        with urllib.request.urlopen(address, timeout=120) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def test_many_clients_follow_one_product_over_sockets() -> None:
    async with SimulatedCoinbase(7, rate=500, live_orders=300, keep=50_000) as server:

        async def follow() -> str:
            async with connect(server.url, max_queue=None) as socket, asyncio.timeout(60):
                now = str(server.clock.exchange.now_ns // SECOND)
                await socket.send(subscribe(KEYS, now, "full", products=("BTC-USD",)))
                waiting = [json.loads(await socket.recv()) for _ in range(3)][1:]
                book = NaiveBook(await fetch(server.rest_url + BOOK))
                while book.sequence < waiting[0]["sequence"] + 300:
                    for message in waiting:
                        book.message(message)
                    waiting[1:] = [json.loads(await socket.recv())]
                return str(book.sequence)

        assert len(await asyncio.gather(*(follow() for _ in range(4)))) == 4
        assert server.door.slow_clients == 0


async def test_a_whole_book_of_seven_megabytes_arrives() -> None:
    async with SimulatedCoinbase(7, rate=1, live_orders=150_000) as server:
        book = await fetch(server.rest_url + BOOK)
        assert len(json.dumps(book, separators=(",", ":"))) > 7_000_000
        with pytest.raises(urllib.error.HTTPError) as refused:
            await fetch(server.rest_url + "/nothing")
        assert refused.value.code == 404
        refused.value.close()


async def test_a_stopped_server_frees_its_port_and_tells_its_clients() -> None:
    server = SimulatedCoinbase(7)
    await server.start()
    async with connect(server.url) as socket:
        await server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    async with SimulatedCoinbase(7, port=server.door.port) as again:
        assert again.door.port == server.door.port
