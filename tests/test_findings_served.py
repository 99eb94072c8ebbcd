"""Findings on a server: pages over REST, frames on the page, and rules that make alerts of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ordertape import limits
from ordertape.database.address import Address, connect
from ordertape.database.findings import FindingsFollower
from ordertape.database.markets import ensure_market
from ordertape.findings.walk import read_findings
from ordertape.tape.folder import MarketFolder
from support.guarded import Guarded, guarded
from support.icebergs import write_icebergs
from support.processes import wait_for
from support.served import exact

API = "/api/v1/orderbook-heatmap"
NAMES = ("bitfinex", "A/USD")
WHERE = f"{API}/findings/bitfinex/A/USD"


@dataclass
class Looking:
    """A server over a tape with icebergs that nobody looked through yet."""

    server: Guarded
    folder: MarketFolder
    address: Address

    def follow(self) -> None:
        """As the keeper does."""
        with connect(self.address) as opened:
            number = ensure_market(opened, *NAMES, origin="tape")
            with closing(FindingsFollower(self.folder, opened, number, days=1)) as follower:
                while follower.step() is not None:
                    pass

    def get(self, query: str = "", status: int = 200) -> Any:
        answer = self.server.get(WHERE + query)
        assert answer.status_code == status, answer.text
        return exact(answer.text)


@pytest.fixture
def looking(
    tmp_path: Path, database: Address, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Looking]:
    monkeypatch.setattr(limits, "findings_poll_ms", 20)
    folder = MarketFolder(tmp_path, *NAMES)
    write_icebergs(folder, 4, begun=time.time_ns() - 60 * 10**9)
    with guarded(tmp_path, database=database) as server:
        yield Looking(server, folder, database)


def test_findings_are_asked_for_page_by_page(looking: Looking) -> None:
    assert looking.get()["findings"] == []
    looking.follow()
    whole = looking.get("?kind=native%20iceberg")["findings"]
    assert len(whole) == 4
    first = whole[-1]
    expected = next(
        each for each in read_findings(looking.folder.data, *NAMES) if each.id == first["id"]
    )
    assert first["side"] == "bid"
    assert first["price_low"] == first["price_high"] == 100
    assert first["replay"].startswith("/?exchange=bitfinex&symbol=A%2FUSD&at=20")
    assert looking.server.get(first["replay"]).status_code == 200
    assert first["order_ids"] == list(expected.order_ids)
    assert [phase["phase"] for phase in first["phases"]][-1] == "executed"
    found, cursor = [], ""
    while cursor is not None:
        page = looking.get(f"?kind=native%20iceberg&limit=3{cursor}")
        found += page["findings"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert found == whole
    assert looking.get("?min_score=1&kind=layering")["count"] == 0


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?kind=wash", "kind"),
        ("?min_score=2", "min_score"),
        ("?limit=0", "limit"),
        ("?cursor=nonsense", "cursor: expected a next_cursor of ours, found 'nonsense'"),
        ("?start_time=yesterday", "start_time"),
    ],
)
def test_what_can_not_be_asked_is_named(looking: Looking, query: str, named: str) -> None:
    assert named in looking.get(query, 422)["detail"]


def test_without_a_database_a_server_says_where_to_look(tmp_path: Path) -> None:
    write_icebergs(MarketFolder(tmp_path, *NAMES), 1)
    with guarded(tmp_path) as server:
        answer = server.get(WHERE)
    assert answer.status_code == 409
    assert "`ordertape findings` looks through a tape" in answer.json()["detail"]


@contextmanager
def page(looking: Looking) -> Iterator[Any]:
    with looking.server.socket(f"{API}/page/ws") as socket:
        wish = {"op": "open", "stream": 1, "exchange": "bitfinex", "symbol": "A/USD"}
        socket.send(json.dumps({**wish, "source": "live"}))
        while (frame := socket.recv(timeout=60)) is not None:
            if isinstance(frame, str) and json.loads(frame)["op"] == "opened":
                break
        yield socket


def told(socket: Any, count: int) -> list[dict[str, Any]]:
    """So many findings, alerts or others."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        frame = socket.recv(timeout=60)
        if isinstance(frame, str) and json.loads(frame)["op"] in ("finding", "alert"):
            found.append(json.loads(frame))
    return found


def test_a_page_and_a_rule_are_told_of_what_is_found(looking: Looking) -> None:
    wish = {"kind": "finding", "pattern": "native iceberg", "score": 0.1}
    made = looking.server.post(
        f"{API}/alerts/rules", json={"exchange": "bitfinex", "symbol": "A/USD", **wish}
    )
    assert made.status_code == 201, made.text
    api = looking.server.app.state.api
    wait_for(lambda: api.found.seen, "the first look at the store", 20)
    with page(looking) as socket:
        keeper = threading.Thread(target=looking.follow)
        keeper.start()
        heard: list[dict[str, Any]] = []
        while sum(each["op"] == "alert" for each in heard) < 4:
            heard += told(socket, 1)
        keeper.join()
    found = [each for each in heard if each["op"] == "finding"]
    alerts = [each for each in heard if each["op"] == "alert"]
    assert {each["symbol"] for each in found} == {"A/USD"}
    assert isinstance(found[0]["size"], str)
    # Once each, whatever phases follow.
    icebergs = {each["id"] for each in looking.get("?kind=native%20iceberg")["findings"]}
    assert len(alerts) == len(icebergs) == 4
    assert all("native iceberg: bid of" in each["text"] for each in alerts)
    assert {each["rule"] for each in alerts} == {"finding"}
