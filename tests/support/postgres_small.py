"""A PostgreSQL on a disk of a few megabytes, a tmpfs in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from support.postgres import installed_server, unprivileged

__all__ = ["SmallServer", "small_server"]

SIZE = "112m"


class SmallServer:
    """Debian's server; ``fill`` leaves it no room, ``free`` gives it back."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        self._disk = folder / "disk"
        self._disk.mkdir()
        account = unprivileged()
        assert account is not None
        os.chown(folder, account.pw_uid, account.pw_gid)
        mount = f"mount -t tmpfs -o size={SIZE},uid={account.pw_uid},mode=0700 tmpfs {self._disk}"
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"{mount} && echo ready && exec sleep 86400"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.wait()
            assert self._holder.stderr is not None
            pytest.skip(f"no disk can be mounted here: {self._holder.stderr.read().strip()}")
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        self._inside = ["nsenter", "-t", str(self._holder.pid), "-m", "--", "setpriv", *ids]
        options = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--wal-segsize=1"]
        self._run(str(programs / "initdb"), "-D", f"{self._disk}/cluster", *options)
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "min_wal_size": "2MB",
            "max_wal_size": "6MB",
            "shared_buffers": "16MB",
        }
        given = " ".join(f"-c {name}={value}" for name, value in settings.items())
        control, log = str(self.programs / "pg_ctl"), f"{self.folder}/log"
        self._run(control, "start", "-w", "-D", f"{self._disk}/cluster", "-l", log, "-o", given)

    @property
    def running(self) -> bool:
        control = str(self.programs / "pg_ctl")
        command = [*self._inside, control, "status", "-D", f"{self._disk}/cluster"]
        return subprocess.run(command, capture_output=True, cwd="/").returncode == 0

    def stop(self, mode: str = "fast") -> None:
        control = str(self.programs / "pg_ctl")
        self._run(control, "stop", "-w", "-m", mode, "-D", f"{self._disk}/cluster")

    def fill(self, left_kilobytes: int) -> None:
        """Only so much is left."""
        script = (
            f"cd {self._disk} && free=$(df -k --output=avail . | tail -1) && "
            f"head -c $(( (free - {left_kilobytes}) * 1024 )) /dev/zero > filler; true"
        )
        self._run("sh", "-c", script)  # the server may be faster with the last of it

    def free(self) -> None:
        self._run("rm", "-f", f"{self._disk}/filler")

    def close(self) -> None:
        if self.running:
            self.stop("immediate")
        self._holder.kill()
        self._holder.communicate()

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [*self._inside, *command],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


@contextmanager
def small_server() -> Iterator[SmallServer]:
    """Skips with the reason where a disk can't be mounted or no server is installed."""
    programs = installed_server()
    if programs is None:
        pytest.skip("no PostgreSQL of Debian's is installed (apt-get install postgresql)")
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root alone")
    missing = [name for name in ("unshare", "nsenter", "setpriv") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a small disk needs {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="ordertape-small-", dir="/tmp"))
    server = SmallServer(programs, folder)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)
