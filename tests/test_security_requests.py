"""What a request must not come with, and what every answer says to a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from ordertape import limits
from ordertape.api.security.keys import create_key
from ordertape.api.security.rates import Rates
from support.guarded import ELSEWHERE, Guarded, guarded
from support.interface import FinishedStreams, RunningStreams
from support.server import API

STREAMS = f"{API}/streams"


class Broken(RunningStreams):
    """A defect nobody foresaw."""

    def resolve(self, exchange: str, symbol: str) -> tuple[str, str]:
        raise RuntimeError("SELECT secret FROM /srv/somebody/data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("data")
    with guarded(
        data,
        RunningStreams([]),
        allowed_hosts="tape.example.org",
        allowed_origins="https://charts.example.org",
    ) as found:
        yield found


# Origins and hosts -------------------------------------------------------------------------------

FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost",
    "http://localhost:1",
    "https://charts.example.org.evil.example",
    "https://charts.example.org:444",
    "http://charts.example.org",
    "http://localhost:{port}/",
    "http://evil@localhost:{port}",
    "null",
    "",
    "file://",
    "chrome-extension://abc",
    "http://[::1",
    "*",
]
OWN = [
    "http://localhost:{port}",
    "http://127.0.0.1:{port}",
    "http://[::1]:{port}",
    "HTTP://LOCALHOST:{port}",
    "https://charts.example.org",
    "https://charts.example.org:443",
]


def opened(server: Guarded, **options: object) -> int:
    """101, or the status of the refusal."""
    try:
        with server.socket(**options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_page_of_another_site_opens_no_websocket_and_neither_reads_nor_changes_anything(
    server: Guarded, origin: str
) -> None:
    headers = {"Origin": origin.format(port=server.port)}
    answer = server.post(f"{API}/start", json={}, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("this page is of another site")
    assert server.get(STREAMS, headers=headers).status_code == 403
    assert opened(server, additional_headers=headers) == 403


@pytest.mark.parametrize("origin", OWN)
def test_our_own_pages_and_allowed_ones_do(server: Guarded, origin: str) -> None:
    headers = {"Origin": origin.format(port=server.port)}
    assert server.post(f"{API}/start", json={}, headers=headers).status_code == 422
    assert server.get(STREAMS, headers=headers).status_code == 200
    assert opened(server, additional_headers=headers) == 101


def test_a_page_reached_through_a_tunnel_is_our_own(server: Guarded) -> None:
    """`ssh -L 9000:localhost:8000`: origin and Host agree, the port is another one."""
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert server.post(f"{API}/start", json={}, headers=headers).status_code == 422
    headers["Origin"] = "http://localhost:9001"
    assert server.post(f"{API}/start", json={}, headers=headers).status_code == 403


def test_two_origins_are_none(server: Guarded) -> None:
    own = f"http://localhost:{server.port}"
    headers = [("Origin", own), ("Origin", own)]
    assert server.post(f"{API}/start", json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_browser_that_hides_its_origin_says_what_it_is(server: Guarded, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    assert server.post(f"{API}/start", json={}, headers=headers).status_code == 403
    assert server.get(STREAMS, headers=headers).status_code == 403


def test_a_link_of_another_site_opens_our_page_and_posts_no_form(server: Guarded) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    link = {**headers, "Sec-Fetch-Dest": "document"}
    assert server.get("/plain", headers=link).status_code == 200
    assert server.post(f"{API}/start", json={}, headers=link).status_code == 403
    assert server.get(STREAMS, headers=link).status_code == 403
    assert server.get("/plain", headers={**headers, "Sec-Fetch-Dest": "iframe"}).status_code == 403
    fetched = {**link, "Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch;prerender"}
    for path in ("/plain", STREAMS):
        assert server.get(path, headers=fetched).status_code == 403


def test_no_page_of_another_site_reads_an_answer(server: Guarded) -> None:
    for origin in ("https://evil.example", "null", f"http://localhost:{server.port}"):
        for method in ("GET", "OPTIONS"):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = server.ask(method, STREAMS, headers=headers)
            assert [name for name in answer.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "a b",
        "[::1",
        "x" * 300,
    ],
)
def test_a_name_that_is_not_ours_is_refused_without_a_key(server: Guarded, host: str) -> None:
    """DNS rebinding: another site's name that resolves to this machine."""
    answer = server.get(STREAMS, headers={"Host": f"{host}:{server.port}" if host else ""})
    assert answer.status_code == 421
    assert "ORDERTAPE_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9000", "127.0.0.1", "[::1]:8000", "tape.example.org"]
)
def test_our_names_and_addresses_are_ours(server: Guarded, host: str) -> None:
    assert server.get(STREAMS, headers={"Host": host}).status_code == 200


def test_with_a_key_the_server_may_be_called_anything(tmp_path: Path) -> None:
    text = create_key(tmp_path, "desk", "read", None)
    with guarded(tmp_path, RunningStreams([])) as found:
        headers = {"Host": "ordertape:8000", "X-API-Key": text}
        assert found.get(STREAMS, headers=headers).status_code == 200
        assert found.get("/healthz", headers={"Host": "ordertape:8000"}).status_code == 200


# Headers of answers ------------------------------------------------------------------------------


def test_the_headers_of_every_answer(server: Guarded) -> None:
    paths = ["/", "/docs", "/openapi.json", "/nothing", STREAMS, f"{API}/orders/x/y", "/healthz"]
    for path in paths:
        for headers in ({}, ELSEWHERE):
            answer = server.get(path, headers=headers)
            said = answer.headers
            assert said["x-content-type-options"] == "nosniff", path
            assert said["referrer-policy"] == "no-referrer"
            assert said["x-frame-options"] == "DENY"
            assert said["cache-control"] == "no-store"
            assert said["cross-origin-resource-policy"] == "same-origin"
            assert said["cross-origin-opener-policy"] == "same-origin"
            assert "frame-ancestors 'none'" in said["content-security-policy"]
            assert "default-src '" in said["content-security-policy"]
            assert re.fullmatch(r"[0-9a-f]{16}", said["x-request-id"])
            assert "server" not in said
            assert "strict-transport-security" not in said


def test_behind_a_proxy_with_tls_browsers_are_told_to_stay_with_it(server: Guarded) -> None:
    headers = {"X-Forwarded-Proto": "https", **ELSEWHERE}
    answer = server.get("/healthz", headers=headers)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_only_the_script_that_the_documents_have_may_run(server: Guarded, path: str) -> None:
    answer = server.get(path)
    policy = answer.headers["content-security-policy"]
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    allowed = re.findall(r"script-src ([^;]*);", policy)[0].split()
    assert allowed == ["'self'", *(f"'sha256-{digest}'" for digest in digests)]
    for source in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert source.startswith("/static-offline-docs/"), source
        assert server.get(source).status_code == 200


def test_no_other_pages_inner_script_runs(server: Guarded) -> None:
    policy = server.get("/").headers["content-security-policy"]
    assert re.findall(r"script-src ([^;]*);", policy) == ["'self'"]


# Errors ------------------------------------------------------------------------------------------


def test_an_unexpected_error_tells_the_client_a_number_and_the_log_everything(
    tmp_path: Path,
) -> None:
    with guarded(tmp_path, Broken([])) as found:
        answer = found.get(f"{API}/status/bitfinex/BTC/USDT")
        assert answer.status_code == 500
        number = answer.headers["x-request-id"]
        assert answer.json() == {
            "detail": f"something unexpected happened: the log says what under {number}"
        }
        assert found.get("/healthz").status_code == 200
    log = (tmp_path / "logs" / "app.log").read_text()
    line = next(line for line in log.splitlines() if number in line)
    assert "L3_unexpected_error" in line
    assert "SELECT secret" in line
    assert "Traceback" in line


# Rates and sizes ---------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = [100.0]
    rates = Rates(10, 5, lambda: now[0])
    assert [rates.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    assert rates.take("b") == 0
    now[0] += 0.11
    assert [rates.take("a"), rates.take("a")] == [0, 1]
    now[0] += 3_600
    assert [rates.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_who_asks_too_often_is_told_how_long_to_wait_and_nobody_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "requests_burst_max", 20)
    monkeypatch.setattr(limits, "requests_per_second_max", 0.05)
    key = create_key(tmp_path, "desk", "read", None)
    other = create_key(tmp_path, "other", "read", None)
    with guarded(tmp_path, RunningStreams([])) as found:

        def ask(**headers: str) -> httpx.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return found.get(STREAMS, headers=named)

        for headers, good in (
            ({"X_API_Key": key}, 200),
            ({"X_Forwarded_For": "203.0.113.9"}, 401),
            ({"X_Forwarded_For": "2001:db8::1"}, 401),
        ):
            found_statuses = [ask(**headers).status_code for _ in range(21)]
            assert found_statuses == [good] * 20 + [429]
        refused = ask(X_API_Key=key)
        assert 10 <= int(refused.headers["retry-after"]) <= 20
        assert refused.json()["detail"].startswith("too many requests: wait ")
        assert ask(X_API_Key=other).status_code == 200
        assert ask(X_Forwarded_For="203.0.113.10").status_code == 401
        assert ask(X_Forwarded_For="2001:db8::ffff").status_code == 429  # the same customer's
        assert ask(X_Forwarded_For="2001:db8:0:1::1").status_code == 401
        assert ask().status_code == 200
        assert opened(found, additional_headers={"X-API-Key": key}) == 429


def test_keys_that_are_tried_out_are_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "requests_burst_max", 5)
    monkeypatch.setattr(limits, "requests_per_second_max", 0.01)
    with guarded(tmp_path, RunningStreams([])) as found:
        tried = [
            found.get(STREAMS, headers={"X-API-Key": f"ot1_00000000_{'A' * 42}{nth}"}).status_code
            for nth in range(7)
        ]
    assert tried == [401] * 5 + [429] * 2


def test_this_machine_has_its_own_generous_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "local_requests_burst_max", 5)
    monkeypatch.setattr(limits, "local_requests_per_second_max", 0.01)
    with guarded(tmp_path, RunningStreams([])) as found:
        assert [found.get(STREAMS).status_code for _ in range(6)] == [200] * 5 + [429]


def test_abusive_queries_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Row 38 of the fault matrix: a body of 10 MB, a million rows, a deep offset, bad values."""
    with guarded(tmp_path, FinishedStreams(tmp_path)) as found:
        market = f"{API}/orders/bitfinex/BTC/USDT"
        big = found.post(f"{API}/start", content=b" " * 10_000_000)
        assert big.status_code == 413
        for query in (
            "limit=1000000",
            "limit=-1",
            "limit=1e3",
            "offset=1000000000",
            "side=((((",
            "event_type=' OR 1=1 --",
            "min_price=NaN",
            "start_time=" + "9" * 5_000,
        ):
            answer = found.get(f"{market}?{query}")
            # No such market is said first where the value is not the query's own type.
            assert answer.status_code in ((404, 422) if "start_time" in query else (422,)), query
            assert set(answer.json()) == {"detail"}
            assert "Traceback" not in answer.text


@pytest.mark.parametrize("where", ["header", "address"])
def test_a_head_that_is_too_large_is_refused_also_where_it_comes_at_once(
    server: Guarded, where: str
) -> None:
    large = "x" * (limits.request_head_bytes_max + 1)
    if where == "header":
        answer = server.get(STREAMS, headers={"X-Large": large})
    else:
        answer = server.get(f"{STREAMS}?x={large}")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("expected at most 32768 bytes of address and headers")
    assert server.get(STREAMS, headers={"X-Large": large[: 2**14]}).status_code == 200
