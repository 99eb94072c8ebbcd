"""A server that others reach does not start without an API key, whichever way it is started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ordertape import cli
from ordertape.api.security.keys import create_key, revoke_key
from support.guarded import own_address
from support.processes import wait_for
from support.roles_server import NO_DATABASE
from support.server import API, TOP

UVICORN = ("uvicorn", "app.main:app")


@contextmanager
def started(folder: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A server and what it says, in ``folder/said``."""
    with (folder / "said").open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", "0"],
            cwd=TOP,
            env={
                **os.environ,
                **NO_DATABASE,
                "ORDERTAPE_DATA": str(folder / "data"),
                "ORDERTAPE_LOGS": str(folder / "logs"),
                **environment,
            },
            stdout=said,
            stderr=said,
            text=True,
        )
    try:
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        finally:
            server.kill()
            server.wait(10)


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.77", "::", "[::]", "::ffff:10.0.0.1"])
def test_serve_refuses_an_address_that_others_reach_without_a_key(
    host: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["serve", "--host", host]) == 2
    told = capsys.readouterr().err
    name = host.strip("[]")
    assert told == (
        f"ordertape: --host is {name!r}, which other machines reach, and data has no API key: "
        "make one with `ordertape keys create NAME --scope read`, or listen on 127.0.0.1\n"
    )
    monkeypatch.setenv("ORDERTAPE_HOST", host)
    assert cli.run(["serve"]) == 2
    assert capsys.readouterr().err.startswith(f"ordertape: ORDERTAPE_HOST is {name!r}, which")


@pytest.mark.parametrize("host", ["example.org", "", "localhost.evil.example", "127.0.0.1:80"])
def test_serve_listens_on_addresses_only(
    host: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["serve", "--host", host]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"ordertape: --host is {host!r}: expected an address of this machine")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ((*UVICORN, "--host", "0.0.0.0"), {}),
        (UVICORN, {"UVICORN_HOST": "0.0.0.0"}),
    ],
    ids=["option", "environment"],
)
def test_uvicorn_refuses_an_address_that_others_reach_without_a_key(
    command: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    with started(tmp_path, *command, **environment) as server:
        assert server.wait(60) == 1
    told = said(tmp_path)
    assert "which other machines reach, and" in told
    assert "has no API key: make one with `ordertape keys create NAME" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_an_expired_or_unreadable_key_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    create_key(tmp_path / "data", "desk", "read", None)
    revoke_key(tmp_path / "data", "desk")
    assert cli.run(["serve", "--host", "0.0.0.0"]) == 2
    assert "has no API key" in capsys.readouterr().err
    (tmp_path / "data" / "keys.json").write_text("{")
    for arguments in (["serve", "--host", "0.0.0.0"], ["serve"]):
        assert cli.run(arguments) == 2
        told = capsys.readouterr().err
        assert told.startswith("ordertape: data/keys.json is no file of keys: ")


def status(address: str, key: str | None = None) -> int:
    asked = urllib.request.Request(f"{address}{API}/streams")
    if key is not None:
        asked.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


@pytest.mark.parametrize("command", [UVICORN, ("ordertape", "serve")], ids=["uvicorn", "serve"])
def test_with_a_key_it_starts_lets_who_has_it_in_and_bounds_uvicorn(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    key = create_key(tmp_path / "data", "desk", "read", None)
    with started(tmp_path, *command, "--host", "0.0.0.0") as server:

        def port() -> str | None:
            assert server.poll() is None, said(tmp_path)
            found = re.search(r"http://0\.0\.0\.0:(\d+)", said(tmp_path))
            return found[1] if found else None

        wait_for(lambda: port() is not None, "the server", 60)
        here, there = f"http://127.0.0.1:{port()}", f"http://{address}:{port()}"
        assert [status(here), status(there), status(there, key)] == [200, 401, 200]
        assert [status(here, key), status(here, key[:-1])] == [200, 401]
        with urllib.request.urlopen(f"{here}/healthz", timeout=120) as answer:
            assert answer.headers["server"] is None
        revoke_key(tmp_path / "data", "desk")
        assert [status(there, key), status(here, key), status(here)] == [401, 401, 200]
    log = (tmp_path / "logs" / "app.log").read_text() + said(tmp_path)
    assert key[13:] not in log
