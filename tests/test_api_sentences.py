"""What people read where a body is no use, a tape is empty, or a venue has no list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ordertape.roles.logs import configure_logs
from ordertape.roles.products import fetch_products
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from ordertape.venues import venue_of
from support.interface import Interface, interface
from support.served import sentence
from support.tape import Market, write_journal


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    with interface(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x", "the body: expected JSON, found at character 0: Expecting value"),
        ('{"symbol": "BTC/USD", "exchanges": []}', "exchanges: expected at least 1, found none"),
    ],
)
def test_a_body_that_can_t_be_used_is_said_in_words(api: Interface, body: str, said: str) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{api.address}/start", content=body, headers=headers)
    assert sentence(answer, 422) == said


def test_verifying_an_empty_tape_proves_nothing_and_says_so(tmp_path: Path) -> None:
    write_journal(MarketFolder(tmp_path, "x", "EMPTY"), [])
    write_journal(MarketFolder(tmp_path, "x", "SOME"), Market().messages(5))
    ending = "; this proves nothing, the tape has "
    assert str(verify(tmp_path, "x", "EMPTY")).endswith(ending + "no event")
    assert str(verify(tmp_path, "x", "SOME")).endswith(ending + "nothing to compare it with")


def test_a_venue_without_a_list_is_a_sentence_at_the_prompt_and_an_event_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    configure_logs(tmp_path)
    assert fetch_products(venue_of("bitfinex"), f"http://127.0.0.1:{unused_tcp_port}") is None
    said = capsys.readouterr().err
    assert said.startswith("ordertape: bitfinex's list of markets can't be had (http://127.0.0.1:")
    assert said.endswith("): markets are asked for as they were written\n")
    assert "L3_products_missing" not in said
    assert "L3_products_missing" in (tmp_path / "app.log").read_text()
