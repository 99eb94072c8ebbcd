"""Webhooks hear of every alert, signed, or it is said how many they did not hear of."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from ordertape import limits
from ordertape.alerts.fired import Alert
from ordertape.alerts.webhooks import Webhooks
from ordertape.errors import SettingRefused
from ordertape.settings import load_settings
from support.hooks import hook
from support.processes import wait_for

START = 1_790_000_000_123_456_789


def alert(nth: int) -> Alert:
    return Alert(1, "gap", "bitfinex", "A/USD", START, str(nth), f"text {nth}")


@asynccontextmanager
async def sending(address: str, secret: str | None = None) -> AsyncIterator[Webhooks]:
    webhooks = Webhooks({"ops": address}, secret)
    webhooks.begin()
    yield webhooks
    await webhooks.close()


async def until(webhooks: Webhooks, done: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    told = webhooks.as_json
    await asyncio.to_thread(wait_for, lambda: done(told()["ops"]), "the webhook", 20)
    return told()["ops"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "webhook_backoff_ms", 10)


async def test_an_alert_is_posted_with_its_id_and_signature() -> None:
    with hook() as heard:
        async with sending(heard.address, "secret") as webhooks:
            webhooks.put("ops", alert(1))
            taken = await asyncio.to_thread(heard.next)
            await until(webhooks, lambda told: told["sent"] == 1)
    told = json.loads(taken.body)
    assert (told["id"], told["text"], "op" in told) == (alert(1).id, "text 1", False)
    assert taken.headers["X-Ordertape-Alert"] == alert(1).id
    meant = hmac.new(b"secret", taken.body, sha256).hexdigest()
    assert taken.headers["X-Ordertape-Signature"] == f"sha256={meant}"


async def test_what_may_pass_is_tried_again_and_in_order() -> None:
    with hook(500, 429, 503) as heard:
        async with sending(heard.address) as webhooks:
            for nth in range(2):
                webhooks.put("ops", alert(nth))
            found = await until(webhooks, lambda told: told["sent"] == 2)
    ids = [heard.next().headers["X-Ordertape-Alert"] for _ in range(5)]
    assert ids == [alert(0).id] * 4 + [alert(1).id]
    assert found["failed"] == 0


@pytest.mark.parametrize("status", [302, 308, 404])
async def test_redirects_and_refusals_are_final(status: int) -> None:
    with hook(status) as heard:
        async with sending(heard.address) as webhooks:
            webhooks.put("ops", alert(0))
            await until(webhooks, lambda told: told["failed"] == 1)
            assert heard.next().path == "/hook?key=hidden"
            assert heard.taken.empty()


async def test_one_that_is_not_there_is_given_up_and_never_shown(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with hook() as heard:
        address = heard.address
    async with sending(address) as webhooks:
        webhooks.put("ops", alert(0))
        await until(webhooks, lambda told: told["failed"] == 1)
    said = "".join((*capsys.readouterr(), caplog.text))  # either, as another test has set up
    assert "can't be reached" in said
    assert "hidden" not in said


async def test_no_more_wait_than_the_limit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "webhook_waiting_max", 3)
    with hook() as heard:
        async with sending(heard.address) as webhooks:
            for nth in range(10):  # before the first is taken
                webhooks.put("ops", alert(nth))
            found = await until(webhooks, lambda told: told["sent"] == 3)
    assert found == {"waiting": 0, "sent": 3, "failed": 0, "dropped": 7}
    assert json.loads(heard.next().body)["text"] == "text 7"


def test_a_rule_names_a_webhook_that_there_is() -> None:
    with pytest.raises(SettingRefused, match=r"ORDERTAPE_WEBHOOKS \(ops\), found 'mail'"):
        Webhooks({"ops": "http://127.0.0.1:1/"}, None).require("mail")


@pytest.mark.parametrize(
    "value", ["ftp://a.example/hidden", "ops=file:///hidden", "OPS=http://hidden", "ops=http://"]
)
def test_addresses_of_other_kinds_are_refused_and_not_shown(value: str) -> None:
    with pytest.raises(SettingRefused, match="expected texts like ops=https") as refused:
        load_settings(webhooks=value)
    assert "hidden" not in str(refused.value)
    assert value not in repr(refused.value)


def test_settings_show_no_address() -> None:
    settings = load_settings(webhooks="ops=https://a.example/hidden desk=http://b.example/")
    assert settings.webhook_addresses()["ops"] == "https://a.example/hidden"
    assert "hidden" not in repr(settings)
