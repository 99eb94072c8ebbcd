"""A page that applies none of its frames is let go, so that it holds nothing up for ever."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ordertape import limits
from ordertape.models import StreamInfo
from ordertape.page.codec import decode
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.interface import Interface, RunningStreams, interface
from support.tape import Market

OPEN = {"op": "open", "stream": 1, "exchange": "bitfinex", "symbol": "A/B"}


def open_page(api: Interface) -> ClientConnection:
    address = api.address.replace("http", "ws", 1).removesuffix("/level3")
    return connect(f"{address}/page/ws")


def read_on(
    page: ClientConnection, market: Market, journal: JournalWriter, seconds: float, *, tells: bool
) -> int:
    """Frames that came while the market went on; what it ``tells`` is that it applied them."""
    frames, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        journal.append(market.message())
        try:
            message = page.recv(timeout=0.02)
        except TimeoutError:
            continue
        if isinstance(message, bytes):
            frames += 1
            if tells:
                page.send(json.dumps({"op": "ack", "stream": 1, "seq": decode(message)[0].seq}))
    return frames


def test_a_page_that_says_of_no_frame_that_it_applied_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "page_unapplied_ms_max", 300)
    monkeypatch.setattr(limits, "page_silent_ms_max", 1_000)
    market = Market()
    info = StreamInfo(
        exchange="bitfinex", symbol="A/B", state="LIVE", era=1, last_frame_at=time.time_ns()
    )
    with JournalWriter(MarketFolder(tmp_path, "bitfinex", "A/B")) as journal:
        clear = market.message(clear=True)
        journal.append(clear)
        journal.mark(Mark("era", clear.first_seq, market.now, {"era": 1}))
        with interface(tmp_path, streams=RunningStreams([info])) as api, open_page(api) as page:
            page.send(json.dumps(OPEN))
            assert read_on(page, market, journal, 3, tells=True) > 3
            with pytest.raises(ConnectionClosed) as closed:
                read_on(page, market, journal, 30, tells=False)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4008
            assert closed.value.rcvd.reason == "this page applies no frames; open it again"
            told = httpx.get(f"{api.address.rpartition('/api/')[0]}/metrics", timeout=60).text
            assert "\nordertape_pages_too_slow_total 1.0\n" in told
            assert int(told.partition("\nordertape_page_frames_sent_total ")[2].split(".")[0]) > 3
            assert "\nordertape_page_frames_left_out_total 0.0\n" not in told
