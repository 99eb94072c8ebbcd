"""The files and the server process of the embedded database; who calls holds its start lock.

Everything is run with the cluster as working folder and named ``/proc/self/cwd`` to PostgreSQL:
the server's account then needs no permission on the folders above, which may be root's alone, and
blanks and length of their names do not matter.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ordertape import limits
from ordertape.database.account import Account, server_account
from ordertape.database.binaries import Binaries, bundled, runnable
from ordertape.errors import DatabaseError

__all__ = ["PORT", "SUPERUSER", "Cluster", "Progress"]

Progress = Callable[[str], None]
"""Told in words, about once a second, what a long start is doing."""

SUPERUSER: Final = "ordertape"
PORT: Final = 5432
"""Only part of the socket's name: the server listens on no network."""

_HERE = "/proc/self/cwd"
_NOBODY_PID = 2**22 + 1
"""No Linux gives a process this number."""
_CONFIGURATION = """
# ordertape
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 256MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 2GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
"""
_ACCESS = "# ordertape: a private socket is the only way in\nlocal all all trust\n"


class Cluster:
    """A cluster folder.  Raises DatabaseError where it can't be ours."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._account: Account | None = server_account(self.path)
        self._binaries: Binaries | None = None

    @property
    def exists(self) -> bool:
        return (self.path / "PG_VERSION").exists()

    @property
    def binaries(self) -> Binaries:
        """Of the version that made the cluster."""
        if self._binaries is None:
            major = None
            if self.exists:
                major = int((self.path / "PG_VERSION").read_text("ascii"))
            self._binaries = runnable(bundled(major), self._account)
        return self._binaries

    # Making it ------------------------------------------------------------------------------------

    def create(self) -> None:
        """A new, empty cluster; whole or not there."""
        new = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(new, self._account.uid, self._account.gid)
        command = ["-D", _HERE, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "-A", "trust"]
        done = self._run("initdb", *command, "--no-instructions", folder=new)
        if done.returncode:
            raise DatabaseError(f"initdb failed in {new}: {_last_line(done.stderr, done.stdout)}")
        with (new / "postgresql.conf").open("a", encoding="ascii") as configuration:
            configuration.write(_CONFIGURATION)
        (new / "pg_hba.conf").write_text(_ACCESS, "ascii")
        new.rename(self.path)
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # The server -----------------------------------------------------------------------------------

    def start(self, progress: Progress | None = None) -> None:
        """Starts the server and waits until it answers, through a recovery too."""
        self._clear_leftovers()
        sockets = self.socket_folder()
        log = self.path / "server.log"
        if log.exists() and log.stat().st_size > limits.database_log_bytes_max:
            log.rename(self.path / "server.log.1")
        seconds = str(limits.database_start_seconds_max)
        options = f"-c listen_addresses='' -c unix_socket_directories={sockets} -c port={PORT}"
        command = ["start", "-w", "-t", seconds, "-D", _HERE, "-l", log.name, "-o", options]
        starting = subprocess.Popen(  # noqa: S603 - the wheel's own program
            [self.binaries.program("pg_ctl"), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._options(self.path),
        )
        began = time.monotonic()
        while True:
            try:
                status = starting.wait(1)
                break
            except subprocess.TimeoutExpired:
                if progress is not None:
                    waited = time.monotonic() - began
                    progress(f"PostgreSQL is starting, {waited:.0f} s: {self.last_words()}")
        if status:
            raise DatabaseError(
                f"the embedded PostgreSQL in {self.path} did not start: {self.last_words()}"
            )

    def stop(self) -> None:
        """Ends the server in order; at once where that takes too long (it recovers by itself)."""
        seconds = str(max(1, limits.database_stop_ms // 1000))
        sockets = self.sockets
        for mode in ("fast", "immediate"):
            if not self.running:
                break
            self._run("pg_ctl", "stop", "-w", "-t", seconds, "-m", mode, "-D", _HERE)
        self._clear_leftovers()
        if sockets is not None and not any(sockets.glob(".s.PGSQL.*")):
            sockets.rmdir()

    @property
    def running(self) -> bool:
        """Whether a server of this very cluster lives, whatever its pid file says."""
        pid = self._pid_on_file()
        return pid is not None and pid in self._processes()

    @property
    def sockets(self) -> Path | None:
        """The folder of the socket that the server has, or had."""
        lines = self._pid_lines()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else None

    def last_words(self) -> str:
        """The last line of the server's log."""
        try:
            with (self.path / "server.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
                return _last_line(log.read().decode("utf-8", "replace"))
        except FileNotFoundError:
            return "it left no log"

    # What a killed server leaves ------------------------------------------------------------------

    def _clear_leftovers(self) -> None:
        """Waits for the old server's processes; then no pid on file may pass for a living one.

        PostgreSQL itself refuses to start where the pid on file lives, be it a zombie or somebody
        else's by now.  The file must stay: its last line lets the next server make sure that no
        old process still uses the shared memory.
        """
        began = time.monotonic()
        while left := self._processes():
            waited_ms = (time.monotonic() - began) * 1000
            if waited_ms > limits.database_leftover_ms_max:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        lines = self._pid_lines()
        if lines and Path(f"/proc/{lines[0]}").exists():
            lines[0] = str(_NOBODY_PID)
            with (self.path / "postmaster.pid").open("r+", encoding="utf-8") as file:
                file.truncate()
                file.write("\n".join(lines) + "\n")
        if (sockets := self.sockets) is not None and _is_private(sockets, self._uid):
            for left_file in sockets.glob(".s.PGSQL.*"):
                left_file.unlink()

    def _pid_lines(self) -> list[str]:
        try:
            return (self.path / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _pid_on_file(self) -> int | None:
        lines = self._pid_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def _processes(self) -> list[int]:
        """The living processes of a PostgreSQL whose working folder is this cluster."""
        try:
            ours = self.path.stat()
        except FileNotFoundError:
            return []
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                place = os.stat(f"/proc/{name}/cwd")
                program = os.readlink(f"/proc/{name}/exe")
            except OSError:
                continue  # it ended, is a zombie, or is nothing to us
            if (place.st_dev, place.st_ino) == (ours.st_dev, ours.st_ino) and os.path.basename(
                program.removesuffix(" (deleted)")
            ) == "postgres":
                found.append(int(name))
        return found

    # Running programs -----------------------------------------------------------------------------

    @property
    def _uid(self) -> int:
        return self._account.uid if self._account is not None else os.geteuid()

    def _options(self, folder: Path) -> dict[str, Any]:
        # Nothing of PGDATA, PGHOST and their like may reach the programs.
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        account = self._account.options() if self._account is not None else {}
        # Ctrl-C in our terminal is not for them: who uses the server says when it ends.
        return {"cwd": folder, "env": environment, "start_new_session": True, **account}

    def _run(
        self, name: str, *arguments: str, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the wheel's own program
            [self.binaries.program(name), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._options(folder or self.path),
        )

    def socket_folder(self) -> Path:
        """A short folder that only the server's account (and root) may enter."""
        key = hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:12]
        problems = []
        for base in (os.environ.get("XDG_RUNTIME_DIR"), "/run", "/tmp", "/var/tmp"):  # noqa: S108 - only looked whether it is private
            if not base or not os.path.isabs(base) or not base.replace("/", "").isalnum():
                continue
            folder = Path(base) / f"ordertape-{self._uid}-{key}"
            if (
                len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock"))
                > limits.database_socket_path_bytes_max
            ):
                continue
            if base == os.environ.get("XDG_RUNTIME_DIR") and self._account is not None:
                continue  # root's own; the server's account can't enter it
            try:
                folder.mkdir(mode=0o700)
                if self._account is not None:
                    os.chown(folder, self._account.uid, self._account.gid)
            except FileExistsError:
                pass
            except OSError as error:
                problems.append(f"{base}: {error.strerror}")
                continue
            if _is_private(folder, self._uid):
                return folder
            problems.append(f"{folder} belongs to somebody else or is open to others")
        raise DatabaseError(f"no folder for the database's socket: {'; '.join(problems)}")


def _is_private(folder: Path, uid: int) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077


def _last_line(*texts: str) -> str:
    for text in texts:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for line in reversed(lines):
            if any(word in line for word in ("FATAL", "PANIC", "error:")):
                return line
        if lines:
            return lines[-1]
    return "it said nothing"
