"""The embedded PostgreSQL of a data folder: started by its first user, shared, ended by the last.

``data/postgresql/cluster`` is the database.  Users of the same folder, in whatever process, share
one server; see ``guard`` for who ends it.  Nothing here listens on a network.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ordertape import limits
from ordertape.database.cluster import PORT, SUPERUSER, Cluster, Progress
from ordertape.database.guard import (
    CLUSTER,
    GUARD_LOCK,
    START_LOCK,
    USERS_LOCK,
    open_lock,
    try_lock,
)
from ordertape.errors import DatabaseError, DatabaseUnavailable

__all__ = ["DATABASE", "EmbeddedServer"]

DATABASE = "ordertape"
_guards: list[tuple[Path, subprocess.Popen[bytes]]] = []
"""Those that this process started; some outlive it, for other users of their servers."""


class EmbeddedServer:
    """The server of ``data``.  Use it as a context, or ``acquire`` and ``release`` it.

    ``acquire`` starts it or attaches to the running one; ``release``, as often as that, ends it
    where nobody else uses it, and returns when it has ended.
    """

    def __init__(self, data: str | os.PathLike[str]) -> None:
        self.folder = Path(data).absolute() / "postgresql"
        self._users: IO[bytes] | None = None
        self._uses = 0
        self._mutex = threading.RLock()

    @property
    def exists(self) -> bool:
        """Whether this folder ever had a database."""
        return (self.folder / CLUSTER / "PG_VERSION").exists()

    def acquire(self, progress: Progress | None = None) -> None:
        """From here on the server runs and answers.  Raises DatabaseError, DatabaseUnavailable."""
        with self._mutex:
            self._ensure(progress)
            self._uses += 1

    def ensure(self, progress: Progress | None = None) -> None:
        """For a user whose connection failed: a server that was killed is started again."""
        with self._mutex:
            if self._users is not None:
                self._ensure(progress)

    def _ensure(self, progress: Progress | None) -> None:
        self._prepare()
        with self._starting():
            if self._users is None:
                users = open_lock(self.folder, USERS_LOCK)
                fcntl.flock(users, fcntl.LOCK_SH)  # waits while a guard is stopping the server
                self._users = users
            try:
                self._watch()
                self._run(progress)
            except BaseException:
                if self._uses == 0:
                    self._let_go()
                raise

    def release(self) -> None:
        """Lets go; the last user waits until the server has ended."""
        with self._mutex:
            if self._uses == 0:
                return
            self._uses -= 1
            if self._uses == 0:
                self._let_go()

    def _let_go(self) -> None:
        if self._users is None:
            return
        users, self._users = self._users, None
        with users:
            if try_lock(users):
                Cluster(self.folder / CLUSTER).stop()
            else:
                # Others use it, or the guard was faster: then this waits until it is done.
                fcntl.flock(users, fcntl.LOCK_SH)
        if not self.running:
            self._wait_for_guard()

    def _wait_for_guard(self) -> None:
        """Returns when the guard, which has nothing to do any more, has left."""
        with open_lock(self.folder, GUARD_LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        for folder, guard in list(_guards):
            if folder == self.folder:
                guard.wait()
            if guard.poll() is not None:
                _guards.remove((folder, guard))

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    # Reaching it ----------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.exists and Cluster(self.folder / CLUSTER).running

    def conninfo(self, database: str = DATABASE) -> str:
        """What libpq needs to reach the running server.  Raises DatabaseUnavailable."""
        sockets = Cluster(self.folder / CLUSTER).sockets
        if sockets is None:
            raise DatabaseUnavailable(f"the embedded PostgreSQL in {self.folder} does not run")
        return make_conninfo(
            host=str(sockets),
            port=PORT,
            user=SUPERUSER,
            dbname=database,
            connect_timeout=max(2, limits.database_connect_timeout_ms // 1000),
        )

    @property
    def url(self) -> str:
        """The same as a URL for psql and other programs; stays the same from start to start."""
        cluster = Cluster(self.folder / CLUSTER)
        sockets = cluster.sockets or cluster.socket_folder()
        return (
            f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(sockets), safe='')}&port={PORT}"
        )

    # Starting it ----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"can't make {self.folder}: {error.strerror}") from None

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """One process at a time; the kernel lets the lock go when that process ends."""
        try:
            lock = open_lock(self.folder, START_LOCK)
        except PermissionError:
            raise DatabaseError(
                f"the embedded PostgreSQL in {self.folder} belongs to another account: run as "
                "that one, or set ORDERTAPE_DATA to a folder of your own"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, progress: Progress | None) -> None:
        cluster = Cluster(self.folder / CLUSTER)
        if not cluster.exists:
            if progress is not None:
                progress(f"making a database in {cluster.path}")
            cluster.create()
        deadline = time.monotonic() + limits.database_start_seconds_max
        while True:
            if not cluster.running:
                cluster.start(progress)
            problem = self._problem()
            if problem is None:
                return
            # It recovers, or it ends: whoever began that may be gone.
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"the embedded PostgreSQL in {self.folder} does not answer: {problem}"
                )
            if progress is not None:
                progress(f"PostgreSQL does not answer yet: {problem}")
            time.sleep(limits.database_look_ms / 1000)

    def _problem(self) -> str | None:
        """Why the server does not answer a query; None where it does."""
        try:
            with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
                found = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
                ).fetchone()
                if found is None:
                    name = sql.Identifier(DATABASE)
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        except (psycopg.OperationalError, DatabaseUnavailable) as error:
            return " ".join(str(error).split())
        return None

    def _watch(self) -> None:
        """Makes sure that a guard is there, whatever becomes of us."""
        with open_lock(self.folder, GUARD_LOCK) as lock:
            if not try_lock(lock):
                return
        guard = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "ordertape.database.guard", str(self.folder)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert guard.stdout is not None
        assert guard.stderr is not None
        with guard.stdout as said, guard.stderr as complaint:
            if not _speaks(said, limits.database_guard_ms):
                guard.kill()
                guard.wait()
                raise DatabaseError(
                    "the guard of the embedded PostgreSQL did not begin within "
                    f"{limits.database_guard_ms / 1000:g} s"
                )
            if said.readline().strip() != b"watching":
                guard.kill()
                guard.wait()
                words = complaint.read().decode("utf-8", "replace").strip()
                raise DatabaseError(
                    "the guard of the embedded PostgreSQL did not start: "
                    f"{words[-limits.shown_text_max :]}"
                )
        _guards.append((self.folder, guard))


def _speaks(pipe: IO[bytes], timeout_ms: int) -> bool:
    """Whether its process wrote something, or ended, within the time."""
    looking = select.poll()
    looking.register(pipe, select.POLLIN)
    return bool(looking.poll(timeout_ms))
