"""``ot.live`` before servers that let it in and then say nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

import ordertape as ot
from ordertape.errors import ServerGone

MARKET = {"exchange": "bitfinex", "symbol": "BTC/USDT"}
BOOK = (
    '{"type":"l3_snapshot","sequence":7,"era":1,"bids":[{"order_id":"1","price":2,"size":3}],'
    '"asks":[],"tape":{"ts_recv_ns":5,"price_scale":0,"size_scale":0,"id_codec":"int"}}'
)


def address_of(server: Server) -> str:
    return f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_a_server_that_ends_each_connection_it_accepts_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ordertape.limits.live_reconnect_ms_max", 50)
    accepted = []

    async def close(socket: ServerConnection) -> None:
        accepted.append(socket)
        if len(accepted) == 1:
            await socket.send(BOOK)

    async with serve(close, "127.0.0.1", 0) as server:
        batches = ot.live(address_of(server), **MARKET, patience_ms=400)
        assert len(await anext(batches)) == 2
        with pytest.raises(ServerGone, match="ended the connection"):
            async with asyncio.timeout(60):
                await anext(batches)
    assert len(accepted) > 2


async def test_the_time_in_which_a_quiet_connection_stands_is_no_time_without_a_server() -> None:
    accepted = []

    async def end_after_a_while(socket: ServerConnection) -> None:
        accepted.append(time.monotonic())
        if len(accepted) < 3:
            await asyncio.sleep(1.5)
        else:
            await socket.send(BOOK)
            await socket.wait_closed()

    async with (
        serve(end_after_a_while, "127.0.0.1", 0) as server,
        aclosing(ot.live(address_of(server), **MARKET, patience_ms=1_200)) as batches,
    ):
        assert len(await anext(batches)) == 2
    assert accepted[2] - accepted[0] > 2
