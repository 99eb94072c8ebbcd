"""A server as people run one, with every process that comes of it in view."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from ordertape.database.address import Address
from ordertape.errors import DatabaseUnavailable
from ordertape.roles.addresses import listening_addresses
from support.processes import SYMBOL, slowness, wait_for

TESTS = Path(__file__).resolve().parent.parent
NO_DATABASE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing"}
"""A server that never answers, so that none has to be made."""
MARK = "ORDERTAPE_TEST_MARK"


class Launched:
    """A server with options, ``uvicorn support.roles_app:app`` unless there is a ``command``; its
    children inherit the mark.  ``path`` is where it tells its streams."""

    def __init__(
        self,
        data: Path,
        environment: dict[str, str],
        *options: str,
        application: str = "support.roles_app:app",
        command: Sequence[str] = (),
        path: str = "/",
    ) -> None:
        self.data, self.mark, self._path = data, uuid.uuid4().hex, path
        self._address: str | None = None
        paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(command or _uvicorn(application)), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=data.parent,
            env={
                **os.environ,
                **NO_DATABASE,
                **environment,
                MARK: self.mark,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "ORDERTAPE_DATA": str(data),
                "ORDERTAPE_LOGS": str(data.parent / "logs"),
            },
        )

    # Asking ---------------------------------------------------------------------------------------

    def get(self, path: str = "/", body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of whichever process serves now."""
        if self._address is None:
            found = [a for pid in self._own() for a in listening_addresses(pid)]
            if not found:
                raise ConnectionError
            self._address = found[0]
        text = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(self._address + path, data=text, timeout=120) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
        except OSError:
            self._address = None
            raise

    def everything(self) -> dict[str, Any] | None:
        """What it tells, None while it does not answer."""
        try:
            return self.get(self._path)
        except OSError:
            return None

    def start(self, symbol: str = SYMBOL, **options: Any) -> dict[str, Any]:
        """The stream, or what was refused as {"kind", "detail"}."""
        return self.get("/start", {"exchange": "bitfinex", "symbol": symbol, **options})

    def stop(self, symbol: str = SYMBOL) -> dict[str, Any]:
        return self.get("/stop", {"exchange": "bitfinex", "symbol": symbol})

    def wait_up(self) -> dict[str, Any]:
        return self.wait(lambda _: True, "the server")

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """What it tells as soon as that fulfills the condition."""
        told: dict[str, Any] = {}

        def there() -> bool:
            assert self.process.poll() is None, self.words()
            found = self.everything()
            if found is None or not condition(found):
                return False
            told.update(found)
            return True

        wait_for(there, what, pause=0.05)
        return told

    def wait_live(self, era: int = 1, symbol: str = SYMBOL, events: int = 1) -> dict[str, Any]:
        """The stream once it is LIVE in that era and has events in it."""

        def live(told: dict[str, Any]) -> bool:
            return any(
                (s["symbol"], s["state"], s["era"]) == (symbol, "LIVE", era)
                and s["orders_received"] >= events
                for s in told["streams"]
            )

        told = self.wait(live, f"{symbol} LIVE in era {era}")
        return next(s for s in told["streams"] if s["symbol"] == symbol)

    def _own(self) -> list[int]:
        """The server's processes without the roles, each of which has a session of its own."""
        found = []
        for pid in self.processes():
            with suppress(ProcessLookupError):
                found += [pid] if os.getsid(pid) == self.process.pid else []
        return found

    # Ending ---------------------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Everything that runs because this server was started, itself included."""
        return [pid for pid in _pids() if _has_mark(pid, self.mark)]

    def send(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def words(self) -> str:
        """What it said; only when it has ended."""
        said, _ = self.process.communicate(timeout=60)
        return said

    def wait_gone(self) -> None:
        """Returns when nothing of it runs any more."""
        self.process.wait(60)
        wait_for(lambda: not self.processes(), "the end of every process")

    def end_in_time(self, number: signal.Signals) -> None:
        """At this signal it ends, and nothing of it runs any more."""
        began = time.monotonic()
        self.send(number)
        self.wait_gone()
        assert_in_time(began)

    def close(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.communicate()


def assert_in_time(began: float) -> None:
    """What began then took less than ten seconds of a machine that is its own."""
    took = time.monotonic() - began
    assert took < 10 * slowness()


def rows(address: Address, symbol: str = SYMBOL) -> int:
    """Of the market in the database; 0 while it does not answer or has no tables yet."""
    try:
        with psycopg.connect(address.conninfo()) as connection:
            counted = connection.execute(
                "SELECT count(*), count(DISTINCT sequence) FROM otc_analysis.level3_orders "
                "WHERE exchange = 'bitfinex' AND symbol = %s",
                [symbol],
            ).fetchone()
    except (psycopg.Error, DatabaseUnavailable):
        return 0
    assert counted is not None
    assert counted[0] == counted[1]
    return counted[0]


def _uvicorn(application: str) -> list[str]:
    return [
        *("uvicorn", application, "--port", "0"),
        *("--log-level", "warning", "--lifespan", "on"),
    ]


@contextmanager
def launched(
    data: Path, environment: dict[str, str], *options: str, **named: Any
) -> Iterator[Launched]:
    data.parent.mkdir(parents=True, exist_ok=True)
    server = Launched(data, environment, *options, **named)
    try:
        yield server
    finally:
        server.close()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _has_mark(pid: int, mark: str) -> bool:
    try:
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # ended meanwhile, or not ours
