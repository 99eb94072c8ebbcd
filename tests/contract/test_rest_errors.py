"""Contract, REST: errors, `/docs` without internet, the page."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx
import pytest

from support.contract import OLD
from support.processes import wait_for
from support.served import LIVE, Served, sentence
from support.server import API

ROUTES = {
    *("/start", "/stop", "/status", "/streams", "/venues", "/orders", "/snapshot", "/statistics"),
    "/gaps",
}


def test_the_plain_page_shows_streams_best_prices_gaps_and_links_to_docs(server: Served) -> None:
    best = server.answer(f"/snapshot/bitfinex/{LIVE}", depth=1)["statistics"]["best_bid"]
    row = re.compile(rf"bitfinex {LIVE}</td><td[^>]*>LIVE</td><td[^>]*>(\d+)[.\d]*</td>")
    shown: list[httpx.Response] = []

    def priced() -> bool:
        shown.append(httpx.get(f"{server.address}/plain"))
        return row.search(shown[-1].text) is not None

    wait_for(priced, "a row with prices")
    page = shown[-1]
    assert page.headers["content-type"].startswith("text/html")
    found = row.search(page.text)
    assert found is not None
    assert abs(int(found[1]) - best) < best / 20
    assert "gaps" in page.text
    assert 'href="docs"' in page.text


def test_docs_need_no_internet(server: Served) -> None:
    page = httpx.get(f"{server.address}/docs").text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), address
        assert httpx.get(server.address + address).status_code == 200
    assert "//cdn" not in page


def test_the_schema_names_every_route(server: Served) -> None:
    paths = httpx.get(f"{server.address}/openapi.json").json()["paths"]
    below = [path for path in paths if path.startswith(API)]
    last = {path.rpartition("/level3")[2].partition("/{")[0] for path in below}
    assert last == ROUTES


def test_an_unknown_route_is_refused_in_the_same_form(server: Served) -> None:
    sentence(server.get("/nothing"), 404)
    sentence(server.get("/start"), 405)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/status/bitfinex/NO/NE", 404),
        ("/snapshot/bitfinex/NO/NE", 404),
        ("/orders/bitfinex/NO/NE", 404),
        ("/orders/nowhere/BTC/USD", 404),
        (f"/orders/{OLD}?limit=0", 422),
        (f"/snapshot/{OLD}?depth=-1", 422),
        (f"/gaps/{OLD}?start_time=once", 422),
    ],
)
def test_errors_are_a_detail_of_one_useful_sentence(server: Served, path: str, status: int) -> None:
    said = sentence(httpx.get(f"{server.address}{API}{path}"), status)
    assert len(said) > 10
    assert "Traceback" not in said


def documented(server: Served) -> list[tuple[str, str, dict[str, object]]]:
    schema = httpx.get(f"{server.address}/openapi.json").json()
    return [
        (path, method, route)
        for path, methods in schema["paths"].items()
        for method, route in methods.items()
    ]


def test_every_route_has_a_summary_an_example_and_its_errors(server: Served) -> None:
    for path, method, route in documented(server):
        assert route["summary"], path
        if not path.startswith(API):  # of health and figures, which the contract doesn't name
            continue
        answers: dict[str, dict[str, dict[str, dict[str, object]]]] = route["responses"]
        shown = answers["200"]["content"]["application/json"]
        assert shown.get("example"), f"{method} {path} shows no example of its answer"
        if "{symbol}" in path:
            assert {"404", "422"} <= set(answers), path


def test_every_parameter_is_described(server: Served) -> None:
    bare = [
        f"{path} {parameter['name']}"
        for path, _, route in documented(server)
        for parameter in route.get("parameters", [])
        if not parameter.get("description")
    ]
    assert bare == []


def test_an_example_has_every_field_of_a_real_answer(server: Served) -> None:
    for path, method, route in documented(server):
        if method != "get" or "level3" not in path:
            continue
        part = path.rpartition("/level3")[2].replace("{exchange}", "bitfinex")
        real = server.answer(part.replace("{symbol}", LIVE))
        shown = route["responses"]["200"]["content"]["application/json"]["example"]
        assert set(shown) == set(real), path
        for name in ("orders", "streams", "venues", "bids"):
            if real.get(name):
                assert set(shown[name][0]) <= set(real[name][0]) | {"metadata", "streams"}, path


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/"])
def test_no_page_asks_the_internet_for_anything(server: Served, page: str) -> None:
    text = httpx.get(server.address + page).text
    asked = re.findall(r"""(?:src|href|action)=["']([^"']+)["']|url\(([^)]+)\)""", text)
    assert [part for pair in asked for part in pair if urlsplit(part).netloc] == []
