"""What nobody means well: endless names, bodies and times are refused at once, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ordertape import limits
from ordertape.tape.folder import MarketFolder
from support.interface import FinishedStreams, interface
from support.tape import Market, write_journal

MARKET = "/bitfinex/BTC/USDT"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The interface in front of one finished tape."""
    data = tmp_path_factory.mktemp("data")
    write_journal(MarketFolder(data, "bitfinex", "BTC/USDT"), Market(seed=1).messages(20))
    with interface(Path(data), streams=FinishedStreams(data)) as api:
        yield api.address


def refusal(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text[:500]
    sentence: str = answer.json()["detail"]
    assert len(sentence) < 2 * limits.shown_text_max
    return sentence


@pytest.mark.parametrize("length", [65, 20_000])
def test_a_symbol_without_end_is_refused_by_its_length(address: str, length: int) -> None:
    found = refusal(httpx.get(f"{address}/orders/bitfinex/{'A' * length}"), 404)
    assert found == f"expected names of at most 64 characters, found {length}"
    wish = {"symbol": "A" * length, "exchanges": ["bitfinex"]}
    assert "symbol: " in refusal(httpx.post(f"{address}/start", json=wish), 422)


def test_a_body_without_end_is_refused_before_it_is_read(address: str) -> None:
    body = b'{"symbol":"' + b"A" * 3_000_000 + b'"}'
    json = {"content-type": "application/json"}
    found = refusal(httpx.post(f"{address}/start", content=body, headers=json), 413)
    assert found == f"expected a body of at most {limits.request_body_bytes_max} bytes"


def test_a_body_of_no_told_length_is_refused_once_it_is_too_long(address: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    json = {"content-type": "application/json"}
    found = refusal(httpx.post(f"{address}/start", content=parts(), headers=json), 413)
    assert found == f"expected a body of at most {limits.request_body_bytes_max} bytes"


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00Z",
        "1677-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "2262-04-11T23:47:16.854775808Z",
    ],
)
@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("orders", "start_time"),
        ("orders", "end_time"),
        ("statistics", "start_time"),
        ("snapshot", "at"),
        ("gaps", "end_time"),
    ],
)
def test_a_time_that_no_column_holds_is_refused_by_its_name(
    address: str, route: str, name: str, time: str
) -> None:
    answer = httpx.get(f"{address}/{route}{MARKET}", params={name: time})
    assert refusal(answer, 422).startswith(f"{name}: expected a time from 1677-09-21T00:12:43")


@pytest.mark.parametrize("time", ["1677-09-22T00:00:00Z", "2262-04-11T23:47:16.8547758Z"])
def test_the_first_and_the_last_time_are_times(address: str, time: str) -> None:
    for route in ("orders", "statistics", "gaps"):
        answer = httpx.get(f"{address}/{route}{MARKET}", params={"start_time": time})
        assert answer.status_code == 200, answer.text
    before = httpx.get(f"{address}/snapshot{MARKET}", params={"at": time})
    assert before.status_code == (404 if time.startswith("16") else 200), before.text


@pytest.mark.parametrize("name", ["min_price", "max_price", "min_size"])
@pytest.mark.parametrize("number", ["1e999999999", "-1e999999999", "1e-999999999", "1e400"])
def test_a_number_beyond_all_prices_is_a_bound_like_another(
    address: str, name: str, number: str
) -> None:
    answer = httpx.get(f"{address}/orders{MARKET}", params={name: number})
    assert answer.status_code == 200, answer.text
