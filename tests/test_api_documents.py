"""What docs/api.md shows works, against a running server."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ordertape.models import iso_from_ns
from ordertape.tape.times import parse_time
from support.processes import wait_for
from support.roles_server import launched
from support.served import LIVE, Served
from support.server import API

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def toured(
    blocks: list[str], address: str, symbol: str = "BTC/USD"
) -> subprocess.CompletedProcess[str]:
    script = "\n".join(blocks).replace("http://127.0.0.1:8000", address).replace("BTC/USD", symbol)
    return subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True)


@pytest.fixture(scope="module")
def server(served: Served) -> Served:
    served.begin()
    # A book of the last whole second, as the tour asks for.
    second = iso_from_ns(time.time_ns() // 10**9 * 10**9)
    path = f"/snapshot/bitfinex/{LIVE}"
    if served.get(path, at=second).status_code != 200:
        wait_for(lambda: time.time_ns() // 10**9 * 10**9 > parse_time(second), "a second")
    return served


def test_the_tour_with_curl_runs(server: Served) -> None:
    done = toured(blocks("sh"), server.address, LIVE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"venues":[' in done.stdout


def test_the_tour_with_curl_runs_without_its_start_against_the_demonstration(
    tmp_path: Path,
) -> None:
    command = ("ordertape", "demo", "--port", "0")
    with launched(tmp_path / "demo", {}, command=command, path=f"{API}/streams") as demo:
        # As in `server`: the book of the last whole second.
        begun = demo.wait_live(symbol="BTC/USD", events=100)["started_at"]
        wait_for(lambda: time.time_ns() > parse_time(begun) + 3 * 10**9, "a few seconds")
        assert demo._address is not None
        settings, start, looks = blocks("sh")
        done = toured([settings, looks], demo._address)
        assert done.returncode == 0, done.stdout + done.stderr
        refused = toured([settings, start], demo._address)
        assert refused.returncode == 22
        assert "it runs already" in refused.stdout


def test_the_tour_in_python_runs(server: Served, tmp_path: Path) -> None:
    tour = "\n".join(blocks("py")).replace("http://127.0.0.1:8000", server.address)
    tour = tour.replace("BTC/USD", LIVE)
    (tmp_path / "tour.py").write_text(tour)
    done = subprocess.run(
        [sys.executable, "-W", "error", "tour.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_tour_names_every_parameter_and_frame(server: Served) -> None:
    schema = httpx.get(f"{server.address}/openapi.json").json()
    names = {
        parameter["name"]
        for methods in schema["paths"].values()
        for method in methods.values()
        for parameter in method.get("parameters", [])
    }
    assert {name for name in names if name not in PAGE} == set()
