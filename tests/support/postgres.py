"""PostgreSQL for tests: the embedded one, and Debian's server where it is installed.

``database`` gives every test an address with a schema of its own, on both where both are there.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ordertape.database.address import Address, connect
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.schema import create

_schemas = count(1)


def installed_server() -> Path | None:
    """The programs of the newest PostgreSQL that Debian's packages installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    return found[-1].parent if found else None


def _major(program: Path) -> int:
    name = program.parent.parent.name
    return int(name) if name.isdigit() else 0


def unprivileged() -> pwd.struct_passwd | None:
    """An ordinary account that root may run things as; None where we are one ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("there is no ordinary account to run a server as")


class InstalledServer:
    """A private cluster of Debian's server in a temporary folder, on a socket alone."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        account = unprivileged()
        self._options: dict[str, object] = {"cwd": "/", "check": True, "capture_output": True}
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        options = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._run("initdb", "-D", f"{folder}/cluster", *options)
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        log = f"{self.folder}/log"
        self._run("pg_ctl", "start", "-w", "-D", f"{self.folder}/cluster", "-l", log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", f"{self.folder}/cluster")

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={quote(str(self.folder), safe='')}"

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self.programs / name), *arguments]
        try:
            subprocess.run(command, **self._options)
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"{name}: {error.stderr.decode()}") from None


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[EmbeddedServer]:
    """One embedded server for all tests that don't hurt it."""
    with tempfile.TemporaryDirectory(prefix="ordertape-embedded-") as folder:
        server = EmbeddedServer(folder)
        server.acquire()
        yield server
        server.release()


@contextmanager
def installed_cluster() -> Iterator[InstalledServer]:
    """Debian's server, running; skips where there is none."""
    programs = installed_server()
    if programs is None:
        pytest.skip("no PostgreSQL of Debian's is installed (apt-get install postgresql)")
    # A folder of pytest's own may be root's alone, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="ordertape-pg-", dir="/tmp"))
    try:
        server = InstalledServer(programs, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def installed() -> Iterator[InstalledServer]:
    """One of Debian's for all tests that don't hurt it."""
    with installed_cluster() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[InstalledServer]:
    """Debian's server for a test that hurts it."""
    with installed_cluster() as server:
        yield server


@pytest.fixture(params=["embedded", "installed"])
def database(request: pytest.FixtureRequest) -> Iterator[Address]:
    """An address with a fresh schema, its tables made."""
    schema = f"test_{next(_schemas)}"
    if request.param == "embedded":
        address = Address(schema, embedded=request.getfixturevalue("embedded_server"))
    else:
        address = Address(schema, url=request.getfixturevalue("installed").url)
    with connect(address) as connection:
        create(connection, schema)
        yield address
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def connection(database: Address) -> Iterator[psycopg.Connection]:
    """A connection to it, closed afterwards."""
    with connect(database) as opened:
        yield opened
