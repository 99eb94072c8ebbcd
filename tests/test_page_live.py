"""A live market is followed as its tape grows, whatever its ids look like."""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ordertape import limits
from ordertape.errors import ChildFailed
from ordertape.page.live import LiveMarket
from ordertape.page.markets import PageMarkets
from ordertape.page.scene import Asked, Posted, Reader
from ordertape.roles.status import StreamReport, is_collected, write_report
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from support.tape import Market

STEP_NS = 2_000_000


class Followed:
    """A market whose tape this test writes, and what its reader is sent."""

    def __init__(self, data: Path, codec: str) -> None:
        self.market = Market(codec=codec, orders=40)
        self.market.now = time.time_ns() - 10 * 10**9
        self.folder = MarketFolder(data, "bitfinex", "A/USD")
        self.told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with JournalWriter(self.folder) as journal:
            for batch in self.market.messages(200, clear_every=100, step_ns=STEP_NS):
                journal.append(batch)
        archiver = Archiver(self.folder, file_rows_max=200, row_group_rows=70)
        archiver.finish()
        archiver.close()
        self.journal = JournalWriter(self.folder)
        self.append(50)
        self.live = LiveMarket(data, "bitfinex", "A/USD", is_collected)
        self.live.start()
        self.live.join(Reader(Asked(), self._posted))

    def append(self, messages: int) -> None:
        for batch in self.market.messages(messages, step_ns=STEP_NS):
            self.journal.append(batch)

    def _posted(self, posted: Posted) -> None:
        for out in posted.outs:
            if out.kind is None:
                self.told.put(json.loads(out.body))

    def status(self, sequence: int) -> dict[str, Any]:
        """What is said once that event is shown."""
        while True:
            told = self.told.get(timeout=120)
            if told["op"] != "status":
                continue
            assert "can't be read" not in told.get("reason", ""), told
            if told["sequence"] >= sequence:
                return told

    def end(self) -> None:
        self.live.stop()
        self.journal.close()


@pytest.fixture(params=["int", "uuid", "intern"])
def followed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Followed]:
    found = Followed(tmp_path, request.param)
    yield found
    found.end()


def test_ids_of_any_kind_are_followed_as_the_tape_grows(followed: Followed) -> None:
    for _ in range(2):
        followed.append(100)
        last = followed.market.next_seq - 1
        assert followed.status(last)["orders"] == len(followed.market.book)


def test_a_market_whose_collector_was_killed_is_not_live(followed: Followed) -> None:
    followed.append(50)
    last, fields = followed.market.next_seq - 1, {"from": "SYNCING", "to": "LIVE", "reason": ""}
    followed.journal.mark(Mark("state", last, followed.market.now, fields))

    def told(state: str) -> dict[str, Any]:
        while (found := followed.status(last))["state"] != state:
            pass
        return found

    assert told("STOPPED")["reason"] == "nobody collects it now"
    report = StreamReport(
        exchange="bitfinex",
        symbol="A/USD",
        pid=os.getpid(),
        simulated=False,
        state="LIVE",
        written_at=time.time_ns(),
    )
    write_report(followed.folder.root, report)
    told("LIVE")


async def test_no_more_markets_are_followed_than_the_limit_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "page_markets_max", 2)
    reader = Reader(Asked(), lambda _posted: None)
    with ThreadPoolExecutor(1) as executor:
        markets = PageMarkets(executor)
        first, second = (markets.join(tmp_path, "bitfinex", name, reader) for name in ("A", "B"))
        with pytest.raises(ChildFailed, match="2 markets are looked at already"):
            markets.join(tmp_path, "bitfinex", "C", reader)
        assert markets.join(tmp_path, "bitfinex", "A", reader) is first
        markets.leave(second, reader)  # it would linger, and makes room
        assert markets.join(tmp_path, "bitfinex", "C", reader) is not second
        await markets.close()
