"""Contract, REST: `POST /start`, `POST /stop`, `GET /status`, `GET /streams`, `GET /venues`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from ordertape.models import StreamInfo
from ordertape.tape.folder import MarketFolder
from ordertape.venues.registry import VENUES
from support.contract import ENVELOPE, ISO, OLD, STATUS
from support.interface import RunningStreams, interface
from support.processes import wait_for
from support.roles_server import launched
from support.served import FINISHED, LIVE, Served, sentence
from support.server import API

WISH = {"symbol": "BTC/USDT", "exchanges": ["bitfinex"], "persist": True}
FORMS = ("BTC/USDT", "BTC-USDT", "tBTCUST", "BTC%2FUSDT", "btc/usdt")


# POST /start --------------------------------------------------------------------------------------


@pytest.mark.contract("POST /start")
def test_start_answers_an_l3_stream_status(server: Served) -> None:
    answer = server.post("/start", {**WISH, "snapshot_interval_seconds": 60})
    assert answer.status_code == 200
    status = answer.json()
    assert set(status) >= STATUS | ENVELOPE
    assert (status["symbol"], status["exchanges"]) == ("BTC/USDT", ["bitfinex"])
    assert (status["is_active"], status["simulated"]) == (True, False)
    assert ISO.fullmatch(status["started_at"])
    assert ISO.fullmatch(status["last_update"])
    assert 0 < status["orders_persisted"] <= status["orders_received"]
    assert status["errors"] == []


def test_running_already_is_its_status_and_nothing_changes(server: Served) -> None:
    before = server.answer(f"/status/bitfinex/{LIVE}")
    again = {**WISH, "symbol": "tBTCUST", "persist": False, "snapshot_interval_seconds": 3600}
    status = server.post("/start", again).json()
    assert status["started_at"] == before["started_at"]
    assert (status["persist"], status["era"]) == (True, before["era"])
    assert status["orders_received"] >= before["orders_received"]


@pytest.mark.parametrize("interval", [9, 3601, 0, -60, "x", 10.5])
def test_interval_10_to_3600(server: Served, interval: object) -> None:
    wish = {**WISH, "snapshot_interval_seconds": interval}
    assert "snapshot_interval_seconds" in sentence(server.post("/start", wish), 422)


@pytest.mark.parametrize("interval", [10, 3600])
def test_the_ends_of_the_interval_are_allowed(server: Served, interval: int) -> None:
    assert server.post("/start", {**WISH, "snapshot_interval_seconds": interval}).is_success


@pytest.mark.parametrize("exchanges", [["bitfinex", "nowhere"], ["nowhere", "bitfinex"]])
def test_all_or_nothing_one_bad_exchange_starts_none_and_is_named(
    server: Served, exchanges: list[str]
) -> None:
    wish = {"symbol": "ETH/USDT", "exchanges": exchanges}
    before = server.get("/status/bitfinex/ETH/USDT").text
    assert "nowhere" in sentence(server.post("/start", wish), 404)
    assert server.get("/status/bitfinex/ETH/USDT").text == before


def test_a_symbol_that_the_venue_does_not_list_is_named_and_starts_nothing(server: Served) -> None:
    assert "LTC" in sentence(server.post("/start", {**WISH, "symbol": "LTC/USDT"}), 404)
    server.refused("/status/bitfinex/LTC/USDT", 404)
    assert not MarketFolder(server.data, "bitfinex", "LTC/USDT").exists


def test_several_exchanges_symbol_as_asked_counts_summed_the_worst_state(tmp_path: Path) -> None:
    """The interface in front of two venues, each of which has told how its stream is."""
    bitfinex = StreamInfo(
        exchange="bitfinex",
        symbol="BTC/USDT",
        state="LIVE",
        era=2,
        orders_received=10,
        orders_persisted=8,
        snapshots_taken=1,
        errors=("2026-11-22T07:00:00Z a checksum differs",),
        last_frame_at=time.time_ns(),
    )
    other = replace(bitfinex, exchange="other", symbol="BTC-USDT", state="SYNCING", errors=())
    wish = {"symbol": "btc-usdt", "exchanges": ["bitfinex", "other"]}
    with interface(tmp_path, streams=RunningStreams([bitfinex, other])) as api:
        status = httpx.post(f"{api.address}/start", json=wish).json()
        one = httpx.post(f"{api.address}/start", json={**wish, "exchanges": ["other"]}).json()
    assert (status["symbol"], status["exchanges"]) == ("btc-usdt", ["bitfinex", "other"])
    assert (status["state"], status["is_active"]) == ("SYNCING", True)
    counts = ("orders_received", "orders_persisted", "snapshots_taken")
    assert [status[name] for name in counts] == [20, 16, 2]
    assert status["errors"] == ["2026-11-22T07:00:00Z a checksum differs"]
    told = [(s["exchanges"], s["symbol"], s["state"]) for s in status["streams"]]
    assert told == [(["bitfinex"], "BTC/USDT", "LIVE"), (["other"], "BTC-USDT", "SYNCING")]
    assert all(set(stream) >= STATUS | ENVELOPE for stream in [status, *status["streams"]])
    assert [one[name] for name in counts] == [10, 8, 1]
    assert (one["symbol"], one["exchanges"]) == ("BTC-USDT", ["other"])


def test_the_same_exchange_twice_is_one_stream(server: Served) -> None:
    status = server.post("/start", {**WISH, "exchanges": ["bitfinex", "Bitfinex"]}).json()
    assert status["exchanges"] == ["bitfinex"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"exchanges": ["bitfinex"]}, "symbol"),
        ({"symbol": "", "exchanges": ["bitfinex"]}, "symbol"),
        ({"symbol": LIVE}, "exchanges"),
        ({"symbol": LIVE, "exchanges": []}, "exchanges"),
        ({"symbol": LIVE, "exchanges": "bitfinex"}, "exchanges"),
        ({"symbol": LIVE, "exchanges": ["bitfinex"], "persist": "perhaps"}, "persist"),
        ({"symbol": LIVE, "exchanges": ["bitfinex"], "whatever": 1}, "whatever"),
    ],
    ids=str,
)
def test_a_body_that_can_not_be_used_is_told_in_a_sentence(
    server: Served, body: dict[str, object], named: str
) -> None:
    assert named in sentence(server.post("/start", body), 422)


def test_a_body_that_is_no_json_is_told_in_a_sentence(server: Served) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{server.address}{API}/start", content=b'{"symbol": ', headers=headers)
    sentence(answer, 422)


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `ordertape demo`, its market LIVE."""
    data = tmp_path_factory.mktemp("demo") / "data-demo"
    command = ("ordertape", "demo", "--port", "0", "--data", str(data))
    with launched(data, {}, command=command, path=f"{API}/streams") as demo:
        demo.wait_live(symbol="BTC/USD")
        assert demo._address is not None
        yield demo._address


@pytest.mark.parametrize(
    ("exchange", "symbol"),
    [("bitfinex", "BTC/USD"), ("bitfinex", "tBTCUSD"), ("coinbase", "BTC-USD")],
)
def test_a_demonstration_market_under_that_name_409(
    demonstration: str, exchange: str, symbol: str
) -> None:
    wish = {"symbol": symbol, "exchanges": [exchange]}
    assert "simulated" in sentence(httpx.post(f"{demonstration}{API}/start", json=wish), 409)


@pytest.mark.parametrize("route", ["status", "snapshot", "orders", "gaps", "statistics"])
def test_a_demonstration_is_simulated_in_every_answer(demonstration: str, route: str) -> None:
    answer = httpx.get(f"{demonstration}{API}/{route}/bitfinex/BTC/USD").json()
    assert (answer["simulated"], answer["state"]) == (True, "LIVE")


# POST /stop ---------------------------------------------------------------------------------------


@pytest.mark.contract("POST /stop/{exchange}/{symbol}")
def test_stop_answers_a_message_and_the_status(server: Served) -> None:
    server.begin("ETH/USDT")
    answer = server.post(f"/stop/bitfinex/{quote('ETH/USDT')}").json()
    assert set(answer) >= {"message", "status"} | ENVELOPE
    assert "ETH/USDT" in answer["message"]
    status = answer["status"]
    assert set(status) >= STATUS
    assert (status["is_active"], status["state"]) == (False, "STOPPED")
    assert status["orders_persisted"] == status["orders_received"] > 0
    again = server.post("/stop/bitfinex/tETHUST").json()
    assert again["status"]["state"] == "STOPPED"


def test_stop_of_a_market_never_collected_is_404(server: Served) -> None:
    assert "LTC/USDT" in sentence(server.post("/stop/bitfinex/LTC/USDT"), 404)


# GET /status, /streams, /venues -------------------------------------------------------------------


@pytest.mark.contract("GET /status/{exchange}/{symbol}")
def test_a_market_ever_collected_answers_200_else_404(server: Served) -> None:
    status = server.answer(f"/status/{OLD}")
    assert set(status) >= STATUS | ENVELOPE
    assert (status["is_active"], status["state"]) == (False, "STOPPED")
    assert "ZEC" in server.refused("/status/bitfinex/ZEC/USD", 404)
    assert "nowhere" in server.refused("/status/nowhere/BTC/USD", 404)


@pytest.mark.parametrize("symbol", FORMS)
def test_any_usual_form_of_a_symbol_is_accepted_and_answers_use_one(
    server: Served, symbol: str
) -> None:
    for route in ("status", "snapshot", "orders", "gaps", "statistics"):
        answer = server.answer(f"/{route}/bitfinex/{symbol}")
        assert answer["symbol"] == "BTC/USDT"
        assert set(answer) >= ENVELOPE


@pytest.mark.parametrize("symbol", ["BTC/USD", "BTC-USD", "tBTCUSD"])
def test_usdt_is_never_usd(server: Served, symbol: str) -> None:
    server.refused(f"/status/bitfinex/{symbol}", 404)


def test_is_active_is_neither_stopped_nor_failed(server: Served) -> None:
    for status in server.answer("/streams")["streams"]:
        assert status["is_active"] is (status["state"] not in ("STOPPED", "FAILED"))


@pytest.mark.contract("GET /streams")
def test_streams_lists_every_status(server: Served) -> None:
    listed = server.answer("/streams")["streams"]
    assert {stream["symbol"] for stream in listed} >= {LIVE, FINISHED}
    assert all(set(stream) >= STATUS | ENVELOPE for stream in listed)


@pytest.mark.contract("GET /venues")
def test_venues_lists_capability_rows(server: Served) -> None:
    listed = server.answer("/venues")["venues"]
    assert {row["exchange"] for row in listed} == set(VENUES)
    (row,) = [row for row in listed if row["exchange"] == "bitfinex"]
    assert "no price" in row["checksum"]


def test_age_ms_is_since_the_venues_last_frame(server: Served) -> None:
    wait_for(lambda: server.answer(f"/status/bitfinex/{LIVE}")["age_ms"] < 2_000, "a young frame")
    assert server.answer(f"/status/{OLD}")["age_ms"] is None


def test_answers_tables_and_files_use_one_form(server: Served) -> None:
    folder = MarketFolder(server.data, "bitfinex", "BTC/USDT")
    assert folder.root == Path(server.data, "bitfinex", "BTC%2FUSDT")
    assert folder.exists
    assert sorted(path.name for path in (server.data / "bitfinex").glob("*BTC*")) == ["BTC%2FUSDT"]
