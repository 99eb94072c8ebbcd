"""Every route of the application with every kind of key, over real connections."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus

from ordertape.api.security.guard import KEY_PROTOCOL, PROTOCOL
from ordertape.api.security.keys import create_key, revoke_key
from ordertape.api.security.scopes import ROUTES, WEBSOCKET
from support.guarded import ELSEWHERE, Guarded, guarded, own_address
from support.interface import RunningStreams
from support.server import API

KINDS = ("none", "bad", "expired", "revoked", "read", "control", "admin")
RANK = {"public": 0, "read": 1, "control": 2, "admin": 3}


@dataclass
class Door:
    """A server and one key of each kind."""

    server: Guarded
    keys: dict[str, str]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    data = tmp_path_factory.mktemp("data")
    keys = {scope: create_key(data, scope, scope, None) for scope in ("read", "control", "admin")}
    keys["revoked"] = create_key(data, "revoked", "admin", None)
    keys["expired"] = create_key(data, "expired", "admin", time.time_ns() + 10**6)
    keys["bad"] = keys["admin"][:-4] + ("AAAA" if keys["admin"][-4:] != "AAAA" else "BBBB")
    revoke_key(data, "revoked")
    with guarded(data, RunningStreams([])) as server:
        yield Door(server, keys)


def routes(server: Guarded) -> set[tuple[str, str]]:
    """(method, path) of everything the application answers."""
    found = set()
    for context in iter_route_contexts(server.app.routes):
        route = context.original_route
        if isinstance(route, Mount):
            found.add(("GET", f"{route.path}/{{path:path}}"))
        elif isinstance(route, APIWebSocketRoute):
            found.add((WEBSOCKET, str(context.path)))
        else:
            for method in set(context.methods or ()) - {"HEAD"}:
                found.add((method, str(context.path)))
    return found


def test_every_route_has_its_scope_and_no_scope_is_for_nothing(door: Door) -> None:
    assert routes(door.server) == set(ROUTES)


def test_nothing_but_health_and_the_documents_own_files_is_public() -> None:
    public = {path for (_, path), scope in ROUTES.items() if scope == "public"}
    assert public == {"/healthz", "/readyz", "/static-offline-docs/{path:path}"}


def test_what_changes_anything_needs_more_than_reading() -> None:
    assert {
        path for (method, path), scope in ROUTES.items() if method == "POST" and scope == "read"
    } == set()


def headers_of(door: Door, kind: str) -> dict[str, str]:
    return {} if kind == "none" else {"Authorization": f"Bearer {door.keys[kind]}"}


def concrete(path: str) -> str:
    path = path.replace("{exchange}", "bitfinex").replace("{symbol:path}", "NO/NE")
    return path.replace("{path:path}", "swagger-ui.css")


def status(door: Door, method: str, path: str, headers: dict[str, str]) -> int:
    """Of the answer; 101 where a WebSocket was let in."""
    if method != WEBSOCKET:
        return door.server.ask(method, concrete(path), headers=headers).status_code
    try:
        with door.server.socket(concrete(path), additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("place", ["here", "elsewhere"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_route_with_every_kind_of_key(door: Door, kind: str, place: str) -> None:
    """Without a key, this machine may all and others nothing; who shows one is held to it."""
    wrong = []
    for method, path in sorted(routes(door.server)):
        needed = RANK[ROUTES[method, path]]
        headers = headers_of(door, kind) | (ELSEWHERE if place == "elsewhere" else {})
        found = status(door, method, path, headers)
        if kind == "none":
            expected = 401 if needed and place == "elsewhere" else None
        elif kind in ("bad", "expired", "revoked"):
            expected = 401
        else:
            expected = 403 if RANK[kind] < needed else None
        as_expected = found == expected if expected else found not in (401, 403, 421, 429, 500)
        if not as_expected:
            wrong.append((method, path, found, expected))
    assert wrong == []


def test_a_route_that_was_forgotten_is_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from ordertape.api.security import scopes

    forgotten = {key: needed for key, needed in ROUTES.items() if "venues" not in key[1]}
    monkeypatch.setattr(scopes, "ROUTES", forgotten)
    scopes._patterns.cache_clear()
    try:
        for kind, expected in {"none": 401, "read": 403, "control": 403, "admin": 200}.items():
            headers = headers_of(door, kind) | ELSEWHERE
            assert status(door, "GET", f"{API}/venues", headers) == expected
    finally:
        monkeypatch.undo()
        scopes._patterns.cache_clear()


def test_only_who_may_read_hears_what_there_is_not(door: Door) -> None:
    for kind, expected in {"none": 401, "bad": 401, "read": 404}.items():
        headers = headers_of(door, kind) | ELSEWHERE
        assert status(door, "GET", "/etc/passwd", headers) == expected
    assert status(door, "DELETE", f"{API}/streams", headers_of(door, "read") | ELSEWHERE) == 405


def test_an_address_that_others_reach_needs_a_key_without_any_proxys_word(door: Door) -> None:
    """The server's own end of the connection counts."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    for host, expected in {address: 401, "127.0.0.1": 200, "127.5.5.5": 200}.items():
        assert door.server.get(f"{API}/streams", host).status_code == expected
    answer = door.server.get(f"{API}/streams", address, headers=headers_of(door, "read"))
    assert answer.status_code == 200
    assert door.server.get("/healthz", address).status_code == 200


@pytest.mark.parametrize(
    "name", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "x-real-ip"]
)
def test_what_a_proxy_hands_on_is_not_this_machines(door: Door, name: str) -> None:
    answer = door.server.get(f"{API}/streams", headers={name: "127.0.0.1"})
    assert answer.status_code == 401


def test_where_a_key_is_required_this_machine_needs_one_too(tmp_path: Path) -> None:
    text = create_key(tmp_path, "own", "read", None)
    with guarded(tmp_path, require_key=True) as server:
        assert server.get(f"{API}/streams").status_code == 401
        assert server.get("/healthz").status_code == 200
        assert server.get(f"{API}/streams", headers={"X-API-Key": text}).status_code == 200


def test_a_server_without_any_key_tells_others_how_one_is_made(tmp_path: Path) -> None:
    with guarded(tmp_path) as server:
        answer = server.get(f"{API}/streams", headers=ELSEWHERE)
        assert answer.status_code == 401
        assert answer.json()["detail"] == (
            "this needs an API key of scope read: there is none yet, `ordertape keys create` "
            "makes one"
        )
        assert server.get(f"{API}/streams").status_code == 200


# How a key is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["bearer", "lower", "header", "basic"])
def test_a_key_comes_in_a_header(door: Door, form: str) -> None:
    key = door.keys["read"]
    shown = {
        "bearer": {"Authorization": f"Bearer {key}"},
        "lower": {"authorization": f"bearer   {key}"},
        "header": {"X-API-Key": key},
        "basic": {"Authorization": httpx.BasicAuth("anybody", key)._auth_header},
    }[form]
    assert door.server.get(f"{API}/streams", headers=shown | ELSEWHERE).status_code == 200


@pytest.mark.parametrize("parameter", ["key", "api_key", "token", "access_token"])
def test_no_key_comes_in_an_address(door: Door, parameter: str) -> None:
    path = f"{API}/streams?{parameter}={door.keys['admin']}"
    assert door.server.get(path, headers=ELSEWHERE).status_code == 401


@pytest.mark.parametrize(
    "value", ["Bearer", "Basic !!", "Basic =", "Digest x", "Bearer \xff\xfe", "x" * 5_000]
)
def test_an_authorization_that_is_none_is_refused(door: Door, value: str) -> None:
    headers = {"Authorization": value.encode("latin-1")} | ELSEWHERE
    answer = door.server.get(f"{API}/streams", headers=headers)
    assert answer.status_code == 401
    assert answer.headers.get_list("www-authenticate") == ['Bearer realm="ordertape"']


def test_a_persons_browser_is_asked_for_the_key_and_a_pages_script_is_not(door: Door) -> None:
    page = {"Sec-Fetch-Mode": "navigate", **ELSEWHERE}
    asked = door.server.get("/", headers=page).headers.get_list("www-authenticate")
    assert [challenge.partition(" ")[0] for challenge in asked] == ["Bearer", "Basic"]
    script = {"Sec-Fetch-Mode": "cors", **ELSEWHERE}
    asked = door.server.get("/", headers=script).headers.get_list("www-authenticate")
    assert [challenge.partition(" ")[0] for challenge in asked] == ["Bearer"]


def test_a_browsers_websocket_shows_its_key_as_a_protocol_and_hears_another(door: Door) -> None:
    offered = [PROTOCOL, f"{KEY_PROTOCOL}{door.keys['read']}"]
    with door.server.socket(subprotocols=offered, additional_headers=ELSEWHERE) as socket:
        assert socket.subprotocol == PROTOCOL
        assert door.keys["read"] not in str(socket.response)
        assert '"l3_status"' in str(socket.recv(timeout=60))
    bad = [PROTOCOL, f"{KEY_PROTOCOL}{door.keys['bad']}"]
    with pytest.raises(InvalidStatus, match="401"):
        door.server.socket(subprotocols=bad, additional_headers=ELSEWHERE)


def test_a_refusal_says_one_sentence_and_never_the_key(door: Door) -> None:
    for kind in ("bad", "expired", "revoked", "read"):
        answer = door.server.post(f"{API}/start", headers=headers_of(door, kind), json={})
        assert answer.status_code in (401, 403)
        assert set(answer.json()) == {"detail"}
        assert door.keys[kind][13:] not in answer.text + str(answer.headers)
        assert re.search(r"key", answer.json()["detail"])
