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
from support.served import LIVE, Served

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return "\n".join(found)


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
    script = blocks("sh").replace("http://127.0.0.1:8000", server.address)
    done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"venues":[' in done.stdout


def test_the_tour_in_python_runs(server: Served, tmp_path: Path) -> None:
    (tmp_path / "tour.py").write_text(blocks("py").replace("http://127.0.0.1:8000", server.address))
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
