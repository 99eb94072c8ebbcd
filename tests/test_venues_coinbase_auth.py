"""Signatures, and what is said where credentials are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ordertape._engine import OrderBook
from ordertape.errors import SettingRefused
from ordertape.roles.control import ControlClient
from ordertape.roles.streams import Streams
from ordertape.settings import Credentials, Settings, as_environment, described, load_settings
from ordertape.venues.coinbase import CoinbaseSession
from ordertape.venues.coinbase_auth import request_headers, signature
from ordertape.venues.session import Fetch

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="
SIGNED = "VWEblJISZzHK29JLE7EP1VNXMFU1COxq3vybOn3OVEk="
"""Of 1700000000GET/users/self/verify with that secret, computed with Python's own hmac."""
NAMES = ("COINBASE_API_KEY", "COINBASE_API_SECRET", "COINBASE_API_PASSPHRASE")
NOW = 1_700_000_000_999_999_999


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in zip(NAMES, ("canary-key", SECRET, "canary-phrase"), strict=True):
        monkeypatch.setenv(name, value)
    return load_settings()


def test_a_signature_is_the_hmac_of_what_is_asked() -> None:
    assert signature(SECRET, "1700000000", "GET", "/users/self/verify") == SIGNED


def test_a_subscription_is_signed_with_the_seconds_of_its_time() -> None:
    session = CoinbaseSession("BTC-USD", OrderBook(), Credentials("k", SECRET, "p"))
    (text,) = session.opened(NOW)
    sent = msgspec.json.decode(text)
    assert sent == {
        "type": "subscribe",
        "channels": [
            {"name": "full", "product_ids": ["BTC-USD"]},
            {"name": "heartbeat", "product_ids": ["BTC-USD"]},
        ],
        "key": "k",
        "passphrase": "p",
        "timestamp": "1700000000",
        "signature": SIGNED,
    }


def test_a_request_signs_its_path_with_the_query() -> None:
    credentials = Credentials("k", SECRET, "p")
    fetch = Fetch("/products/BTC-USD/book?level=3", "book")
    headers = CoinbaseSession("BTC-USD", OrderBook(), credentials).request_headers(fetch, NOW)
    assert headers == request_headers(credentials, NOW, fetch.path)
    assert headers["CB-ACCESS-SIGN"] == signature(SECRET, "1700000000", "GET", fetch.path)
    assert headers["CB-ACCESS-SIGN"] != signature(SECRET, "1700000000", "GET", "/products")


def test_credentials_come_from_the_environment_and_show_nowhere(settings: Settings) -> None:
    credentials = settings.credentials("coinbase")
    assert credentials == Credentials("canary-key", SECRET, "canary-phrase")
    shown = [repr(settings), str(settings), repr(credentials), str(credentials)]
    shown += [str(settings.model_dump()), settings.model_dump_json(), str(described())]
    assert [text for text in shown if "canary" in text or SECRET in text] == []


def test_credentials_pass_to_the_collector_of_their_venue_alone(settings: Settings) -> None:
    assert as_environment(settings, "coinbase")["COINBASE_API_SECRET"] == SECRET
    for other in ("bitfinex", ""):
        passed = as_environment(settings, other)
        assert [passed[name] for name in NAMES] == ["", "", ""]
        assert passed["ORDERTAPE_DATA"] == "data"


def test_bitfinex_needs_no_credentials() -> None:
    assert load_settings().credentials("bitfinex") is None


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_one_is_named_beside_all_three(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    monkeypatch.delenv(NAMES[missing])
    with pytest.raises(SettingRefused) as refusal:
        load_settings().credentials("coinbase")
    assert all(name in str(refusal.value) for name in NAMES)
    assert f"({NAMES[missing]} not set)" in str(refusal.value)
    assert "canary" not in str(refusal.value)


def test_a_secret_that_is_no_base64_is_refused_without_showing_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAMES[1], "canary secret!")
    with pytest.raises(SettingRefused) as refusal:
        load_settings().credentials("coinbase")
    assert NAMES[1] in str(refusal.value)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["canary\n", " canary", "canáry", "cana\trycana", "canary\u200b"])
def test_what_no_header_carries_is_refused_without_showing_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingRefused) as refusal:
        load_settings().credentials("coinbase")
    assert str(refusal.value) == f"{name} is not the text the venue showed"


ASKED = (
    "coinbase asks for credentials: "
    "set COINBASE_API_KEY, COINBASE_API_SECRET and COINBASE_API_PASSPHRASE"
)


async def test_a_start_without_credentials_is_one_sentence_and_starts_no_collector(
    tmp_path: Path,
) -> None:
    def nobody(_exchange: str, _on_change: object) -> ControlClient:
        raise AssertionError("no collector is to be started")

    with pytest.raises(SettingRefused) as refusal:
        await Streams(load_settings(data=tmp_path), nobody).start("coinbase", "BTC-USD")
    assert str(refusal.value) == ASKED


def test_the_command_line_says_the_same_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ordertape.cli", "collect", "coinbase", "BTC-USD"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == f"ordertape: {ASKED}\n"
