from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ordertape.errors import SettingRefused, UnknownMarket
from ordertape.simulator import SimulatedBitfinex
from ordertape.simulator.markets import RATE_MAX
from support.bitfinex_client import NaiveBook, NaiveClient

CONF = {"event": "conf", "flags": 229_376}


def _book(length: int, symbol: str = "tBTCUST") -> dict[str, object]:
    return {
        "event": "subscribe",
        "channel": "book",
        "symbol": symbol,
        "prec": "R0",
        "freq": "F0",
        "len": str(length),
    }


async def _read(
    url: str, requests: list[dict[str, object]], client: NaiveClient, checksums: int
) -> None:
    """An independent client: sends the requests, reads until it met so many ``cs``."""
    # A reader that stopped reading because its queue is full would not see the close either.
    async with connect(url, max_queue=None) as socket, asyncio.timeout(60):
        for request in requests:
            await socket.send(json.dumps(request))
        while client.counts.get("cs", 0) < checksums:
            client.text(await socket.recv())


async def _get(url: str) -> object:
    def get() -> object:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)

    return await asyncio.to_thread(get)


async def test_independent_clients_rebuild_exactly_what_the_venue_published() -> None:
    async with SimulatedBitfinex(7, rate=2_000, keep_states=1_000) as server:
        compared: Counter[int] = Counter()

        def compare(time_ms: int, length: int, book: NaiveBook) -> None:
            states = server.states("tBTCUST", length)
            state = next(state for state in states if state.time_ms == time_ms)
            assert book.sides() == (state.bids, state.asks)
            compared[length] += 1

        trades = {"event": "subscribe", "channel": "trades", "symbol": "tBTCUST"}
        await asyncio.gather(
            _read(server.url, [CONF, _book(250), trades], NaiveClient(compare), 15),
            _read(server.url, [CONF, _book(25)], NaiveClient(compare), 10),
        )
        assert compared[250] >= 15
        assert compared[25] >= 10


async def test_rest_gives_the_pairs_and_the_true_window() -> None:
    async with SimulatedBitfinex(7, ("tBTCUST", "tAVAX:USD"), rate=1) as server:
        pairs = await _get(f"{server.rest_url}/v2/conf/pub:list:pair:exchange")
        assert pairs == [["BTCUST", "AVAX:USD"]]
        book = await _get(f"{server.rest_url}/v2/book/tAVAX:USD/R0?len=100")
        assert isinstance(book, list)
        assert len(book) == 200
        bids, asks = server.true_window("tAVAX:USD", 100)
        assert len({row[0] for row in book} & {row[0] for row in bids + asks}) > 190
        for path in (
            "/",
            "/v2/book/tNOBODY/R0",
            "/v2/book/tBTCUST/P0",
            "/v2/book/tBTCUST/R0?len=7",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                await _get(server.rest_url + path)
            assert refused.value.code == 404
            refused.value.close()


async def test_announcements_reach_every_client_and_dropped_clients_see_a_close() -> None:
    async with SimulatedBitfinex(7) as server:
        async with connect(server.url) as first, connect(server.url) as second:
            clients: list[ClientConnection] = [first, second]
            for client in clients:
                assert json.loads(await client.recv())["event"] == "info"
            server.announce(20060, "Entering in Maintenance mode.")
            for client in clients:
                assert json.loads(await client.recv())["code"] == 20060
            server.drop_connections()
            for client in clients:
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012
        async with connect(server.url) as again:
            assert json.loads(await again.recv())["event"] == "info"
        assert server.slow_clients == 0


async def test_a_client_that_does_not_read_is_disconnected_and_the_others_are_not() -> None:
    async with SimulatedBitfinex(7, rate=500, buffer_bytes_max=200_000) as server:
        ping = json.dumps({"event": "ping", "cid": "x" * 50_000})
        async with connect(server.url, max_queue=1, close_timeout=0.1) as slow, asyncio.timeout(60):
            client = NaiveClient()
            reading = asyncio.create_task(_read(server.url, [CONF, _book(25)], client, 10))
            # Its answers fill the buffers of both kernels before they fill the server's.
            while not server.slow_clients:
                try:
                    await slow.send(ping)
                except ConnectionClosed:
                    break
                await asyncio.wait((reading,), timeout=0.001)
            await reading
        assert server.slow_clients == 1


async def test_a_stopped_server_frees_its_port_and_tells_its_clients() -> None:
    server = SimulatedBitfinex(7)
    await server.start()
    async with connect(server.url) as client:
        await client.recv()
        await server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    async with SimulatedBitfinex(7, port=server.port) as again:
        assert again.port == server.port
        async with connect(again.url) as client:
            assert json.loads(await client.recv())["event"] == "info"


def test_unknown_markets_and_impossible_rates_are_refused_in_one_sentence() -> None:
    with pytest.raises(UnknownMarket, match="no simulated market 'tNOBODY'"):
        SimulatedBitfinex(7, ("tNOBODY",))
    for rate in (0, RATE_MAX + 1):
        with pytest.raises(SettingRefused, match=f"1 to {RATE_MAX}, found {rate}"):
            SimulatedBitfinex(7, rate=rate)
