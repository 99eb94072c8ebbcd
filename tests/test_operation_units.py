"""The commands of the systemd units, run as systemd does: roles of their own, a server attached."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from ordertape.roles.addresses import listening_addresses
from ordertape.tape.verify import verify
from support.processes import SYMBOL, simulated_venue, wait_for
from support.roles_server import NO_DATABASE
from support.server import API

UNITS = Path(__file__).resolve().parent.parent / "deploy" / "systemd"


class Unit:
    """A unit's process; what it tells systemd comes to a socket of ours."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        text = (UNITS / f"ordertape-{name}.service").read_text()
        (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
        for there, here in (
            ("%i", "bitfinex"),
            ("/opt/ordertape/bin", str(Path(sys.executable).parent)),
            ("/var/lib/ordertape", str(folder)),
            ("--port 8000", "--port 0"),
        ):
            command = command.replace(there, here)
        self.notices = "Type=notify" in text
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(folder / f"{name}{id(self)}.sock"))
        self._listener.settimeout(60)
        self.process = subprocess.Popen(
            command.removeprefix("ExecStart=").split(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                **NO_DATABASE,
                **environment,
                "ORDERTAPE_DATA": str(folder / "data"),
                "ORDERTAPE_LOGS": str(folder / "logs"),
                "NOTIFY_SOCKET": self._listener.getsockname(),
            },
        )

    def wait_alive(self) -> None:
        """Until it has said so once more."""
        assert self._listener.recv(100) == b"READY=1\nWATCHDOG=1"

    def end(self) -> None:
        """As `systemctl stop` does; it has to end in order."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=60)
        self._listener.close()
        assert self.process.returncode == 0, said.decode()
        assert b"Traceback" not in said


@contextmanager
def unit(name: str, folder: Path, environment: dict[str, str]) -> Iterator[Unit]:
    running = Unit(name, folder, environment)
    try:
        yield running
        running.end()
    finally:
        running.process.kill()
        running.process.communicate()


def told(server: Unit, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of a server, as soon as it listens."""
    wait_for(lambda: bool(listening_addresses(server.process.pid)), "the server", pause=0.05)
    address = f"{listening_addresses(server.process.pid)[0]}{path}"
    if body is None:
        return httpx.get(address, timeout=120).json()
    return httpx.post(address, json=body, timeout=120).json()


def status(server: Unit) -> dict[str, Any]:
    found: dict[str, Any] = told(server, f"{API}/status/bitfinex/{SYMBOL}")
    return found


def test_a_server_may_be_restarted_without_a_gap_where_the_others_have_units_of_their_own(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    (data / "bitfinex").mkdir(parents=True)
    with ExitStack() as stack:
        venue = stack.enter_context(simulated_venue())
        collector = stack.enter_context(unit("collector@", tmp_path, venue))
        keeper = stack.enter_context(unit("keeper", tmp_path, venue))
        collector.wait_alive()
        keeper.wait_alive()
        with unit("server", tmp_path, venue) as server:
            server.wait_alive()
            told(server, f"{API}/start", {"symbol": SYMBOL, "exchanges": ["bitfinex"]})
            wait_for(lambda: status(server).get("orders_received", 0) > 50, "events", pause=0.05)
            # The database is none here, and all that is not ready.
            parts = [part["part"] for part in told(server, "/readyz")["not_ready"]]
            assert parts == ["database"]
        before = collector.process.pid
        with unit("server", tmp_path, venue) as server:
            wait_for(lambda: status(server)["state"] == "LIVE", "LIVE again", pause=0.05)
            assert status(server)["era"] == 1
            assert told(server, f"{API}/gaps/bitfinex/{SYMBOL}")["gaps"] == []
            server.wait_alive()
            server.wait_alive()  # and goes on
            collector.wait_alive()
            keeper.wait_alive()
        assert collector.process.pid == before
        assert collector.process.poll() is None
    assert verify(data, "bitfinex", SYMBOL).equal


def dockerfile(word: str) -> str:
    """What the image says last behind a word, its lines put together."""
    text = (UNITS.parent / "Dockerfile").read_text()
    return re.findall(rf"^{word} (.*)$", re.sub(r"\\\n\s*", "", text), re.MULTILINE)[-1]


def test_the_commands_of_the_container_start_with_a_key_alone_and_become_healthy(
    tmp_path: Path,
) -> None:
    """Without the container: its entry point, environment and health check as they stand."""
    said = dict(re.findall(r"(ORDERTAPE_\w+)=(\S+)", dockerfile("ENV")))
    environment = {
        **os.environ,
        **{
            name: value.replace("/var/lib/ordertape", str(tmp_path)) for name, value in said.items()
        },
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": "",
    }
    program = json.loads(dockerfile("ENTRYPOINT"))[-1]
    serve = [program, *json.loads(dockerfile("CMD"))]
    serve[-1] = "0"  # any free port
    options: dict[str, Any] = {"env": environment, "cwd": tmp_path, "text": True, "timeout": 60}
    refused = subprocess.run(serve, **options, check=False, capture_output=True)
    assert refused.returncode == 2
    assert "keys create" in refused.stderr
    key = [program, "keys", "create", "reader"]
    subprocess.run(key, **options, check=True, capture_output=True)
    with (tmp_path / "said").open("w") as output:
        server = subprocess.Popen(
            serve, env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        wait_for(lambda: bool(listening_addresses(server.pid)), "the server", pause=0.05)
        port = listening_addresses(server.pid)[0].rpartition(":")[2]
        _, _, check = dockerfile("HEALTHCHECK").partition(" CMD ")
        command = [word.replace(":8000", f":{port}") for word in json.loads(check)]

        def healthy() -> bool:
            done = subprocess.run(command, **options, check=False, capture_output=True)
            return done.returncode == 0

        wait_for(healthy, "a healthy container", pause=0.2)
        address = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{address}/healthz", timeout=120).status_code == 200
        assert httpx.get(f"{address}/metrics", timeout=120).status_code == 401
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.wait()
