"""Lives of orders over REST are those made by hand, a page at a time."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from psycopg.rows import dict_row

from ordertape.database.address import connect
from ordertape.events import REASONS, Side
from ordertape.lifecycles.log import read_lifecycles, store_next
from ordertape.lifecycles.tables import ENDINGS, FLAGS
from ordertape.models import iso_from_ns
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.interface import interface
from support.processes import wait_for
from support.recorded_lives import Unexplained, by_hand, write
from support.served import LIVE, Served, exact, sentence
from support.server import API
from support.tape_lives import rows_of_tables

MARKET = ("bitfinex", "A/USD")


class Doors:
    """The route in front of a tape: stored, archived and in the journal."""

    def __init__(self, folder: MarketFolder, address: str, client: httpx.Client) -> None:
        self.folder = folder
        self.plain = by_hand(folder)
        self._route = f"{address.removesuffix(API)}{API.removesuffix('level3')}lifecycles"
        self._client = client

    def get(self, market: str = "/".join(MARKET), **parameters: Any) -> httpx.Response:
        return self._client.get(f"{self._route}/{market}", params=parameters)

    def pages(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            response = self.get(**parameters, **cursor)
            assert response.status_code == 200, response.text
            page = exact(response.text)
            assert page["count"] == len(page["lifecycles"])
            yield page
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def rows(self, **parameters: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(**parameters) for row in page["lifecycles"]]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    data = tmp_path_factory.mktemp("lives")
    folder, market = MarketFolder(data, *MARKET), Unexplained(seed=21, orders=25)
    write(folder, market, 300)
    archiver = Archiver(folder, file_rows_max=250, row_group_rows=70)
    archiver.finish()
    archiver.close()
    assert store_next(folder) is not None
    with JournalWriter(folder) as writer:
        for batch in market.messages(200):
            writer.append(batch)
    with interface(data) as served, httpx.Client(timeout=120) as client:
        yield Doors(folder, served.address, client)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row made by hand as the route is to show it."""
    own = ("bid", 1) if row["side"] == Side.BID else ("ask", -1)

    def distance(when: str) -> Decimal | None:
        best = row[f"{own[0]}{when}"]
        return None if best is None else own[1] * (best - row[f"price{when}"])

    same = ("order_id", "price_first", "price", "size_first", "size", "filled", "fills",
            "amendments", "inferred", "bid_first", "ask_first", "bid", "ask", "era")  # fmt: skip
    return {
        **{name: row[name] for name in same},
        "side": Side(row["side"]).name.lower(),
        "opened": iso_from_ns(row["opened"]),
        "ended": iso_from_ns(row["ended"]) if row["ending"] else None,
        "ending": ENDINGS[row["ending"]],
        "reason": REASONS.get(row["reason"]),
        "distance_first": distance("_first"),
        "distance": distance(""),
        "orders_ahead_first": row["ahead_first"],
        "orders_ahead": row["ahead"],
        **{name: bool(row["flags"] & bit) for bit, name in FLAGS.items()},
        "opened_sequence": row["opened_seq"],
        "ended_sequence": row["ended_seq"] if row["ending"] else None,
        "told_sequence": row["told_seq"],
    }


@pytest.mark.parametrize("limit", [23, 1000])
def test_the_pages_together_are_every_order_that_ended(doors: Doors, limit: int) -> None:
    pages = list(doors.pages(limit=limit))
    assert all(page["count"] <= limit for page in pages)
    rows = [row for page in pages for row in page["lifecycles"]]
    assert rows == [shown(row) for row in doors.plain.ended]
    assert {"exchange", "symbol", "state", "era", "age_ms", "simulated"} <= pages[0].keys()


@pytest.mark.parametrize("limit", [11, 1000])
def test_those_that_are_alive_come_when_asked_for(doors: Doors, limit: int) -> None:
    assert doors.rows(alive="true", limit=limit) == [shown(row) for row in doors.plain.alive]


def test_rows_are_chosen_by_what_is_asked(doors: Doors) -> None:
    plain = doors.plain.ended
    middle, later = plain[len(plain) // 3]["ended"], plain[len(plain) // 2]["ended"]
    one = plain[40]["order_id"]
    for asked, fits in (
        ({"start_time": iso_from_ns(middle)}, lambda row: row["ended"] >= middle),
        ({"end_time": iso_from_ns(later)}, lambda row: row["ended"] < later),
        ({"order_id": one}, lambda row: row["order_id"] == one),
        ({"reason": "filled"}, lambda row: REASONS.get(row["reason"]) == "filled"),
        ({"ending": "evicted"}, lambda row: ENDINGS[row["ending"]] == "evicted"),
        ({"min_size": "50.5"}, lambda row: row["size_first"] >= Decimal("50.5")),
        ({"min_size": f"50.{'5' * 70}"}, lambda row: row["size_first"] > Decimal("50.55555555")),
    ):
        expected = [shown(row) for row in plain if fits(row)]
        assert 0 < len(expected) < len(plain)
        assert doors.rows(**asked, limit=50) == expected


def test_what_can_t_be_answered_is_told_in_a_sentence(doors: Doors) -> None:
    assert "never collected" in sentence(doors.get("bitfinex/NO/PE"), 404)
    assert sentence(doors.get(reason="boredom"), 422).startswith("reason")
    assert "expected a next_cursor of ours" in sentence(doors.get(cursor="bm9uZQ"), 422)
    page = exact(doors.get(limit=3).text)
    assert exact(doors.get(min_size="1e17").text)["count"] == 0
    assert exact(doors.get(min_size="0e100", limit=3).text) | {"next_cursor": ""} == page | {
        "next_cursor": ""
    }, "nothing, however it is written"
    head = base64.urlsafe_b64decode(page["next_cursor"] + "==").decode().partition(",")[0]
    for place in ("99999999999999999999,0", '5,"a"', "5,-1", "-1,0", "1.5,0", "5"):
        forged = base64.urlsafe_b64encode(f"{head},{place}]".encode()).decode()
        assert sentence(doors.get(limit=3, cursor=forged), 422).startswith("cursor")
    other = {"cursor": page["next_cursor"], "order_id": "1"}
    assert "found other parameters" in sentence(doors.get(**other), 422)


def test_rest_sql_and_python_tell_the_same_of_a_running_market(served: Served) -> None:
    served.begin()
    route = f"{served.address}{API.removesuffix('level3')}lifecycles/bitfinex/{LIVE}"

    def over_python() -> list[dict[str, Any]]:
        return rows_of_tables(read_lifecycles(served.data, "bitfinex", LIVE))

    wait_for(lambda: len(over_python()) > 100, "orders that ended", pause=0.2)
    python = over_python()
    last = python[-1]["told_seq"]
    plain = by_hand(MarketFolder(served.data, "bitfinex", LIVE)).ended
    assert python == [row for row in plain if row["told_seq"] <= last]
    assert {row["ending"] for row in python} >= {1}

    def over_sql() -> list[dict[str, Any]]:
        with connect(served.database()) as opened:
            made = opened.execute("SELECT to_regclass('lifecycles')").fetchone()
            if made == (None,):
                return []
            rows = opened.cursor(row_factory=dict_row).execute(
                "SELECT * FROM lifecycles WHERE exchange = 'bitfinex' AND symbol = %s "
                "AND told_sequence <= %s ORDER BY told_sequence, nth",
                (LIVE, last),
            )
            return rows.fetchall()

    wait_for(lambda: len(over_sql()) == len(python), "the lives in the database", pause=0.1)
    cursor: dict[str, str] = {}
    rest: list[dict[str, Any]] = []
    while not rest or rest[-1]["told_sequence"] <= last:
        page = exact(served.client.get(route, params={"limit": "60", **cursor}).text)
        rest += page["lifecycles"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    rest = [row for row in rest if row["told_sequence"] <= last]
    assert rest == [shown(row) for row in python]
    for row, told in zip(over_sql(), rest, strict=True):
        times = {name: iso_from_ns(row[f"{name}_ns"]) for name in ("opened", "ended")}
        found = {**row, **times}
        assert {name: found[name] for name in told} == told
