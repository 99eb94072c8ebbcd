"""A WebSocket and ``ot.live`` for markets that do not run: both are told what they wait for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import ordertape as ot
from ordertape.errors import UnknownMarket
from ordertape.roles.control import ControlClient
from ordertape.roles.streams import Streams
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from support.interface import interface
from support.tape import Market, write_journal


def nobody(_exchange: str, _on_change: object) -> ControlClient:
    raise AssertionError("no collector is to be started")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of an interface whose one market was collected once."""
    write_journal(MarketFolder(tmp_path, "bitfinex", "BTC/USDT"), Market().messages(5))
    streams = Streams(load_settings(data=tmp_path), nobody)
    with interface(tmp_path, streams=streams) as running:
        yield running.address


class Said(logging.Handler):
    """The first that a logger says."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.there = "", asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.words = self.words or record.getMessage()
        self.there.set()


def first_frame(address: str, path: str) -> dict[str, Any]:
    with connect(f"{address.replace('http', 'ws', 1)}/ws/{path}") as socket:
        return json.loads(socket.recv(timeout=120))


@pytest.mark.parametrize("path", ["BTC/USDT?exchange=bitfinex", "tBTCUST"])
def test_a_stream_that_does_not_run_is_told_at_once(address: str, path: str) -> None:
    told = first_frame(address, path)
    assert (told["type"], told["exchange"], told["symbol"]) == (
        "l3_status",
        "bitfinex",
        "BTC/USDT",
    )
    assert (told["state"], told["data"]["reason"]) == ("STOPPED", "nobody collects it")
    assert {"era", "age_ms", "simulated"} <= told.keys()


def test_a_market_that_was_never_collected_is_refused_on_one_venue(address: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        first_frame(address, "ETH/USDT?exchange=bitfinex")
    answer = refused.value.response
    assert answer.status_code == 404
    assert answer.body is not None
    assert b"bitfinex ETH/USDT was never collected in " in answer.body


def test_a_pair_that_no_venue_was_asked_for_is_waited_for_in_words(address: str) -> None:
    told = first_frame(address, "ETH/USDT")
    assert (told["type"], told["state"]) == ("l3_status", "STOPPED")
    assert "never collected here: POST /start begins it" in told["data"]["reason"]


async def test_live_says_what_it_waits_for_and_refuses_what_was_never_collected(
    address: str,
) -> None:
    server = f"http://{urlsplit(address).netloc}"
    with pytest.raises(UnknownMarket, match="bitfinex ETH/USDT was never collected"):
        await anext(ot.live(server, exchange="bitfinex", symbol="ETH/USDT"))
    said = Said()
    logging.getLogger("ordertape.live").addHandler(said)
    waiting = asyncio.ensure_future(anext(ot.live(server, exchange="bitfinex", symbol="BTC/USDT")))
    try:
        await asyncio.wait_for(said.there.wait(), 30)
    finally:
        logging.getLogger("ordertape.live").removeHandler(said)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert said.words == "bitfinex BTC/USDT is STOPPED (nobody collects it): waiting until it runs"
