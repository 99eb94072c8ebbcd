"""A tape that can't be read, and numbers that no price has, in answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.interface import RunningStreams, interface
from support.processes import wait_for
from support.tape import Market

GOOD, BROKEN = ("bitfinex", "A/B"), ("bitfinex", "C/D")


def live(exchange: str, symbol: str) -> StreamInfo:
    return StreamInfo(exchange=exchange, symbol=symbol, state="LIVE", era=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data, market = tmp_path_factory.mktemp("data"), Market()
    with closing(JournalWriter(MarketFolder(data, *GOOD))) as journal:
        for batch in market.messages(30, clear_every=30):
            journal.append(batch)
    archive = MarketFolder(data, *BROKEN).archive
    archive.mkdir(parents=True)
    Path(archive / f"events-{1:020d}-{9:020d}.parquet").write_text("no Parquet")
    with interface(data, streams=RunningStreams([live(*GOOD), live(*BROKEN)])) as api:
        yield api.address


def test_the_status_of_a_stream_whose_tape_can_t_be_read_is_stale_and_says_why(
    address: str,
) -> None:
    def status() -> dict[str, object]:
        found: dict[str, object] = httpx.get(f"{address}/status/bitfinex/C/D").json()
        return found

    wait_for(lambda: status()["state"] == "STALE", "the doubt")
    assert "the server can't read its tape: " in str(status()["reason"])
    states = {
        one["symbol"]: one["state"] for one in httpx.get(f"{address}/streams").json()["streams"]
    }
    assert states == {"A/B": "LIVE", "C/D": "STALE"}


@pytest.mark.parametrize(
    ("bound", "all_pass"),
    [
        ("min_price=-1e999990", True),
        ("max_price=1e1000000", True),
        ("min_price=1e1000000", False),
        ("max_price=-1e999990", False),
        ("min_size=-1e-1000000", True),
        (f"min_price=0.{'0' * 10_000}1", True),
    ],
    ids=lambda bound: str(bound)[:20],
)
def test_a_bound_with_any_exponent_is_answered_at_once(
    address: str, bound: str, all_pass: bool
) -> None:
    began = time.monotonic()
    answer = httpx.get(f"{address}/orders/bitfinex/A/B?{bound}", timeout=60)
    assert time.monotonic() - began < 30
    assert answer.status_code == 200
    priced = [
        order
        for order in httpx.get(f"{address}/orders/bitfinex/A/B").json()["orders"]
        if order["price"] is not None
    ]
    assert priced
    assert answer.json()["count"] == (len(priced) if all_pass else 0)
