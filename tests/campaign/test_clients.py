"""Clients written by others understand the simulated venues.

They are installed into environments of their own, so that nothing they need meets what we need;
these are kept in ``build``, so that it is done once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bench.peers import CRYPTOFEED_COINBASE, TOP, Missing, Peers
from ordertape.simulator import SimulatedBitfinex, SimulatedCoinbase
from ordertape.simulator.bitfinex_window import WindowState
from ordertape.simulator.coinbase_keys import DEMO_KEYS

CLIENTS = Path(__file__).resolve().parent.parent / "support" / "clients"


async def environment(name: str, *packages: str) -> Path:
    """The interpreter of an environment that has these packages."""
    peers = Peers(True, TOP / "build" / "clients")
    try:
        return await asyncio.to_thread(peers.python, name, packages)
    except Missing as missing:
        pytest.skip(f"no {packages[0]} here: {missing}")


async def run(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    """The line of JSON that a client printed."""
    process = await asyncio.create_subprocess_exec(
        python, CLIENTS / script, *arguments, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


async def test_bitfinex_api_py_reads_raw_books_trades_and_checksums() -> None:
    python = await environment("bfxapi", "bitfinex-api-py==4.0.0")
    async with SimulatedBitfinex(7, ("BTC-USD",), 1_000) as server:
        counts = await run(python, "bfxapi_reader.py", server.url, "tBTCUSD", "40")
    assert counts["snapshot"] == 1
    assert counts["equal"] == counts["checksum"] == 40
    assert min(counts["update"], counts["trade"]) > 20


async def test_ccxt_reads_products_books_and_trades_and_signs_as_the_venue_asks() -> None:
    python = await environment("ccxt", "ccxt==4.5.90")
    keys = (DEMO_KEYS.key, DEMO_KEYS.secret, DEMO_KEYS.passphrase)
    async with SimulatedCoinbase(7, rate=1_000) as server:
        found = await run(python, "ccxt_reader.py", server.url, server.rest_url, *keys)
    assert found["symbols"] == ["BTC/USD"]
    assert found["bids"][0][0] < found["asks"][0][0]
    assert len(found["trades"]) >= 5
    assert all(amount > 0 for *_, amount in found["trades"])
    assert "NotFound" in found["known"]
    assert found["stranger"].startswith("AuthenticationError")
    assert "invalid signature" in found["stranger"]


@pytest.mark.torture
async def test_cryptofeed_reads_raw_books_in_sequence() -> None:
    """Its handler ends the connection where a number is missing; it reads no checksum, so that the
    windows it led to are looked for among those that were published."""
    python = await environment("cryptofeed", *CRYPTOFEED_COINBASE, "websockets==13.1")
    async with SimulatedBitfinex(7, ("BTC-USD",), 1_000, keep_states=10_000) as server:
        found = await run(python, "cryptofeed_reader.py", server.url, "tBTCUSD", "2000")
        published = {digest(state) for state in server.states("tBTCUSD", 100)}
    assert len(found["digests"]) == 2_000
    assert len(published & set(found["digests"])) >= 20
    assert found["trades"] >= 1


def digest(state: WindowState) -> int:
    """As the reader makes it of its own book."""
    rows = [
        f"{order_id} {Decimal(price).normalize()} {Decimal(amount).normalize()}"
        for order_id, price, amount in state.bids + state.asks
    ]
    return zlib.crc32("\n".join(sorted(rows)).encode())
