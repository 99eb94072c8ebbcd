"""Roles as real processes that begin at once: forked from a process that has imported them.

A fresh interpreter takes about a second of imports; of a thousand kills that would be most of the
time.  Nothing runs in the template (no loop, no thread), so a child is what ``python -m`` would
have made of it.  People's roles are never forked: see ``ordertape.roles.children``.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from support.processes import load

__all__ = ["Forked", "Template"]

MODULES = (
    "ordertape.roles.collector",
    "ordertape.roles.keeper",
    "support.archiving",
    "support.keeping",
    # What a role loads with its first request: half of the processor time of its start.
    "httpx",
    "httpcore",
    "anyio._backends._asyncio",
    "encodings.idna",
)


class Forked:
    """One process; ``errors`` is the file of what it says on stderr."""

    def __init__(self, template: Template, pid: int, errors: Path) -> None:
        self._template, self.pid, self.errors = template, pid, errors

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._template.status(self.pid)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.status is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit status once it has ended; a busy machine gets more time."""
        deadline = time.monotonic() + seconds * load()
        while (status := self.status) is None:
            assert time.monotonic() < deadline, f"process {self.pid} still runs: {self.doing()}"
            time.sleep(0.002)
        return status

    def stop(self, seconds: float = 30.0) -> int:
        """Asks it to leave (SIGTERM) once it listens for that; its exit status."""
        deadline = time.monotonic() + seconds * load()
        while self.status is None and not _catches(self.pid, signal.SIGTERM):
            assert time.monotonic() < deadline, f"process {self.pid} begins: {self.doing()}"
            time.sleep(0.002)
        self.kill(signal.SIGTERM)
        return self.wait(seconds)

    def doing(self) -> str:
        """Where its threads are, the last that begun first."""
        self.kill(signal.SIGUSR1)
        time.sleep(0.5)  # it answers nobody: there is nothing to wait for
        return self.errors.read_text(errors="replace")[-3_000:]

    def ending(self) -> str:
        lines = self.errors.read_text(errors="replace").splitlines()
        return lines[-1] if lines else f"status {self.status}"


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


class Template:
    """Forks roles until the end of the block, and ends those that are left then."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._begun = folder, 0
        self._ended: dict[int, int] = {}
        self._running: set[int] = set()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            text=True,
            bufsize=1,
        )
        assert self._read() == {"ready": True}
        return self

    def end(self) -> None:
        """Kills what still runs."""
        for pid in list(self._running):
            if self.status(pid) is None:
                os.kill(pid, signal.SIGKILL)
                while self.status(pid) is None:
                    time.sleep(0.002)

    def __exit__(self, *_: object) -> None:
        self.end()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Forked:
        self._begun += 1
        errors = self._folder / f"{module.rpartition('.')[2]}-{self._begun}.txt"
        self._folder.mkdir(parents=True, exist_ok=True)
        told = {
            "module": module,
            "arguments": list(arguments),
            "environment": dict(environment or {}),
            "errors": str(errors),
        }
        pid = self._ask(told)["pid"]
        self._ended.pop(pid, None)  # of a process before it: numbers come again
        self._running.add(pid)
        return Forked(self, pid, errors)

    def status(self, pid: int) -> int | None:
        if pid not in self._ended and pid in self._running:
            for ended, status in self._ask({"reap": True})["ended"]:
                self._ended[ended] = status
                self._running.discard(ended)
        return self._ended.get(pid)

    def _ask(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


# The template's own process -----------------------------------------------------------------------


def _serve() -> None:
    for module in MODULES:
        importlib.import_module(module)
    # Ctrl-C ends the tries: who asked for the roles lets go of them, and then they are ended here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _tell({"ready": True})
    running: list[int] = []
    for line in sys.stdin:
        told = json.loads(line)
        if "reap" in told:
            ended = _reaped()
            running = [pid for pid in running if pid not in dict(ended)]
            _tell({"ended": ended})
        else:
            running.append(_fork(told))
            _tell({"pid": running[-1]})
    for pid in running:  # whoever asked for them is gone
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _reaped() -> list[tuple[int, int]]:
    ended = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def _fork(told: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(told["environment"])
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open(told["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for ours, target in ((nothing, 0), (nothing, 1), (errors, 2)):
            os.dup2(ours, target)
        faulthandler.register(signal.SIGUSR1)
        # What was read of the environment at the import.
        importlib.reload(sys.modules["ordertape.crash_points"])
        status = sys.modules[told["module"]].main(told["arguments"])
    except Exception:  # or nobody would read of it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
