"""The audit of what is pinned, and secrets that must stand in no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ordertape.api.security.keys import create_key
from test_house import texts

TOP = Path(__file__).resolve().parent.parent


@contextmanager
def advisories(known: dict[str, list[str]], status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server that answers as osv.dev does, and the names that it was asked of."""
    asked: list[str] = []

    class Osv(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            names = [query["package"]["name"] for query in json.loads(body)["queries"]]
            asked.extend(names)
            results = [
                {"vulns": [{"id": found} for found in known[name]]} if name in known else {}
                for name in names
            ]
            text = json.dumps({"results": results}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_given: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def audited(server: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "scripts/audit.py", server],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_every_pinned_package_of_all_languages_is_asked_for() -> None:
    with advisories({}) as (server, asked):
        status, said = audited(server)
    assert status == 0
    assert {"fastapi", "uvicorn", "pyo3", "crc32c"} <= set(asked)
    lock = json.loads((TOP / "web" / "package-lock.json").read_text())["packages"]
    page = [folder.rpartition("node_modules/")[2] for folder in lock if folder]
    assert {"react", "vite", "@types/react"} <= set(page) <= set(asked)
    assert not {"ordertape-engine", "ordertape-page", ""} & set(asked)
    assert said == [f"audit: {len(asked)} packages, advisories of 0"]


def test_a_package_that_is_known_to_be_vulnerable_fails_the_audit() -> None:
    known = {"fastapi": ["GHSA-a", "PYSEC-b"], "pyo3": ["RUSTSEC-c"], "react-dom": ["GHSA-d"]}
    with advisories(known) as (server, asked):
        status, said = audited(server)
    assert status == 1
    assert re.fullmatch(r"audit: PyPI fastapi [\d.]+: GHSA-a, PYSEC-b", said[0])
    assert re.fullmatch(r"audit: crates\.io pyo3 [\d.]+: RUSTSEC-c", said[1])
    assert re.fullmatch(r"audit: npm react-dom [\d.]+: GHSA-d", said[2])
    assert said[3] == f"audit: {len(asked)} packages, advisories of 3"


def test_without_a_network_it_says_so_in_one_sentence_and_fails_nothing() -> None:
    status, (said,) = audited("http://127.0.0.1:9")
    assert status == 0
    assert re.fullmatch(
        r"audit: http://127.0.0.1:9 can't be asked \(.+\): \d+ packages not .+", said
    )
    with advisories({}, status=503) as (server, _):
        status, (said,) = audited(server)
    assert status == 0
    assert "503" in said


# Secrets -----------------------------------------------------------------------------------------

SECRETS = re.compile(
    r"ot1_[0-9a-f]{8}_[A-Za-z0-9_-]{43}"  # our own keys
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."
)

IN_ADDRESSES = re.compile(r"\b[a-z]+://[^\s:/@\"'`{<]+:(?!password@)[^\s:/@\"'`{<$]{8,}@")
"""A password; tests have stand-ins of their own."""


def test_no_file_of_the_repository_holds_a_secret() -> None:
    wrong = []
    for name, text in texts():
        wrong += [f"{name}: {found[0][:12]}…" for found in SECRETS.finditer(text)]
        if not name.startswith("tests/"):
            wrong += [f"{name}: {found[0][:12]}…" for found in IN_ADDRESSES.finditer(text)]
    assert wrong == []


def test_a_secret_would_be_found(tmp_path: Path) -> None:
    planted = [
        create_key(tmp_path, "canary", "read", None),
        "-----BEGIN EC " + "PRIVATE KEY-----",
        "AKIA" + "A" * 16,
        "ghp_" + "a" * 36,
        "postgresql://somebody" + ":hunter2hunter2@db.example.org/x",
    ]
    either = [text for text in planted if SECRETS.search(text) or IN_ADDRESSES.search(text)]
    assert either == planted


@pytest.mark.parametrize("name", [".env", "data/keys.json", "data-demo/keys.json"])
def test_what_holds_secrets_is_kept_out_of_the_repository(name: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "-q", name], cwd=TOP, check=False)
    if ignored.returncode == 128:
        pytest.skip("there is no repository here")
    tracked = subprocess.run(
        ["git", "ls-files", "--", name, f"*/{name}"], cwd=TOP, capture_output=True, check=True
    )
    assert tracked.stdout == b""
    assert ignored.returncode == 0
