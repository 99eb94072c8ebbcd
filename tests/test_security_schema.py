"""Requests made from the server's own description: none breaks it, each answer is described."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from ordertape.api.security.keys import create_key
from ordertape.tape.folder import MarketFolder
from support.guarded import ELSEWHERE, Guarded, guarded
from support.tape import Market, write_journal

MANY = int(os.environ.get("ORDERTAPE_SCHEMA_EXAMPLES", "2000"))
"""Examples of each operation in the torture."""
INTERNALS = re.compile(r"Traceback|/home/|/tmp/|/root/|site-packages|\bSELECT\b|psycopg|\.py\b")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("data")
    write_journal(MarketFolder(data, "bitfinex", "BTC/USDT"), Market(seed=1).messages(20))
    key = create_key(data, "all", "admin", None)
    with guarded(Path(data)) as found:
        found.client.headers.update({"X-API-Key": key, **ELSEWHERE})
        yield found


@pytest.fixture
def description(server: Guarded) -> Any:
    return schemathesis.openapi.from_dict(server.get("/openapi.json").json())


def try_all(server: Guarded, description: Any, examples: int) -> int:
    """So many requests of each operation; how many there were in all."""
    asked = 0

    for result in description.get_all_operations():
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=examples < MANY,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            answer = case.call(base_url=server.address, headers=dict(server.client.headers))
            asked += 1
            case.validate_response(
                answer,
                checks=[not_a_server_error, status_code_conformance, content_type_conformance],
            )
            if answer.status_code >= 400:
                assert set(answer.json()) == {"detail"}
                said = answer.json()["detail"]
                assert not INTERNALS.search(said), said
                assert "\n" not in said

        ask()
    return asked


def test_no_request_breaks_the_server_and_every_answer_is_described(
    server: Guarded, description: Any
) -> None:
    assert try_all(server, description, 8) > 50


@pytest.mark.torture
def test_many_thousand_requests_do_not_either(server: Guarded, description: Any) -> None:
    assert try_all(server, description, MANY) > MANY


def test_the_description_says_how_a_key_is_shown_and_what_each_route_needs(
    server: Guarded,
) -> None:
    schema = server.get("/openapi.json").json()
    schemes = schema["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "bearer": "http",
        "header": "apiKey",
    }
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            public = path in ("/healthz", "/readyz")
            assert ("security" in route) != public, path
            assert ({"401", "403", "421"} <= set(route["responses"])) != public, path
            assert "429" in route["responses"]
            if method == "post":
                assert "scope `control`" in route["description"]


def test_who_is_not_let_in_hears_no_description(server: Guarded) -> None:
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert httpx.get(server.address + path, headers=ELSEWHERE).status_code == 401
