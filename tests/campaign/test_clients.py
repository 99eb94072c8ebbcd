"""Clients written by others understand the simulated venues.

They are installed into environments of their own, so that nothing they need meets what we need.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from ordertape.simulator import SimulatedBitfinex, SimulatedCoinbase
from ordertape.simulator.coinbase_keys import DEMO_KEYS

CLIENTS = Path(__file__).resolve().parent.parent / "support" / "clients"

pytestmark = pytest.mark.torture


def environment(folder: Path, *packages: str) -> Path:
    """The interpreter of a new environment that has these packages."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages],
        check=True,
        timeout=600,
    )
    return python


async def run(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    """The line of JSON that a client printed."""
    process = await asyncio.create_subprocess_exec(
        python, CLIENTS / script, *arguments, stdout=subprocess.PIPE, stderr=sys.stderr
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


async def test_bitfinex_api_py_reads_raw_books_trades_and_checksums(tmp_path: Path) -> None:
    python = environment(tmp_path / "bfxapi", "bitfinex-api-py==4.0.0")
    async with SimulatedBitfinex(7, ("BTC-USD",), 1_000) as server:
        counts = await run(python, "bfxapi_reader.py", server.url, "tBTCUSD", "100")
    assert counts["snapshot"] == 1
    assert counts["equal"] == counts["checksum"] == 100
    assert min(counts["update"], counts["trade"]) > 50


async def test_ccxt_reads_products_books_and_trades_and_signs_as_the_venue_asks(
    tmp_path: Path,
) -> None:
    python = environment(tmp_path / "ccxt", "ccxt==4.5.90")
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
