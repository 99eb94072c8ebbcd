"""A stream is stopped, or told, where its collector hangs or left nothing but a journal."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ordertape import limits
from ordertape.errors import ChildFailed
from ordertape.roles.children import Child
from ordertape.roles.control import ControlClient
from ordertape.roles.streams import Streams
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.processes import SYMBOL, simulated_venue
from support.tape import Market


async def test_a_collector_that_hangs_holds_nobody_who_asks_it_to_stop(tmp_path: Path) -> None:
    data, control = tmp_path / "data", tmp_path / "control.sock"
    with simulated_venue() as environment:
        collector = Child(
            "the collector",
            "ordertape.roles.collector",
            ["bitfinex", SYMBOL, "--data", str(data), "--simulated", "--control", str(control)],
            {**environment, "ORDERTAPE_LOGS": str(tmp_path / "logs")},
        )
        try:
            collector.first_line()
            async with ControlClient(control) as client:
                await client.wait_told()
                streams = Streams(load_settings(data=data), lambda _exchange, _told: client)
                streams.demonstrate("bitfinex", SYMBOL, client)
                os.kill(collector.pid, signal.SIGSTOP)
                began = time.monotonic()
                with pytest.raises(ChildFailed, match="did not answer within 4 s: BTC/USDT may"):
                    await streams.stop("bitfinex", SYMBOL)
                assert time.monotonic() - began < limits.control_stop_ms_max / 1000 + 2
                os.kill(collector.pid, signal.SIGCONT)
                assert (await streams.stop("bitfinex", SYMBOL)).state == "STOPPED"
        finally:
            os.kill(collector.pid, signal.SIGCONT)
            assert collector.stop() == 0, collector.ending()


def test_a_journal_alone_tells_how_far_its_market_came(tmp_path: Path) -> None:
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", SYMBOL), segment_bytes=16_384) as journal:
        for batch in market.messages(200, clear_every=50):
            journal.append(batch)
    streams = Streams(load_settings(data=tmp_path), lambda *_: pytest.fail("none is to begin"))
    (info,) = streams.all()
    assert (info.state, info.sequence, info.era) == ("STOPPED", market.next_seq - 1, 4)
