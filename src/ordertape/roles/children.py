"""Child processes that can't outlive their parent.

A child is a fresh interpreter (never a fork) whose standard input is a pipe from its parent.  When
the parent ends, however it ends, the pipe closes and the child leaves.  Some show once a second,
by an empty line on their standard output, that they go on.  Children live in their own session,
so that Ctrl-C reaches the parent alone and the parent decides the order of the ending.
"""

from __future__ import annotations

import collections
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Self

from ordertape import limits
from ordertape.errors import ChildFailed
from ordertape.roles.notify import alive

__all__ = [
    "Child",
    "Children",
    "Progress",
    "beat",
    "ending_signals",
    "handler_of",
    "keep_beating",
    "when_parent_leaves",
]


def ending_signals() -> list[signal.Signals]:
    """What asks a role to end: Ctrl-C, SIGTERM, a closed terminal unless told to ignore it."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def handler_of(call: Callable[[], None]) -> Callable[..., None]:
    """A signal's handler that has ``call`` called once, from a thread of its own.

    A handler interrupts its thread anywhere, also where that holds the lock of the very event that
    the handler would set, and would wait for ever.  Only what is made for it may be used in one.
    """
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work() -> None:
        asked.get()
        call()

    threading.Thread(target=work, name="signals", daemon=True).start()
    return lambda *_: asked.put(None)


class Child:
    """One running child: ``python -m module arguments…``.

    ``name`` is how people are told about it.  Its last lines on stderr are kept, so that the
    sentence it ended with can be repeated.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.lines = 0
        """How many it printed so far, each of which shows that it goes on."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._first_line: str | None = None
        self._spoke = threading.Event()
        self._complaints: collections.deque[str] = collections.deque(maxlen=limits.child_lines_kept)
        self._listeners = [
            threading.Thread(target=self._listen, args=(self._process.stdout, False), daemon=True),
            threading.Thread(target=self._listen, args=(self._process.stderr, True), daemon=True),
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The last line it wrote to stderr."""
        return self._complaints[-1] if self._complaints else ""

    def first_line(self, timeout_ms: int = limits.child_start_timeout_ms) -> str:
        """The first line it prints, which says that it is ready.  Raises ChildFailed."""
        if not self._spoke.wait(timeout_ms / 1000):
            raise ChildFailed(f"{self.name} did not start within {timeout_ms / 1000:g} s")
        if self._first_line is None:
            self._process.wait()
            self._join()
            raise ChildFailed(f"{self.name} could not start: {self.ending()}")
        return self._first_line

    def ending(self) -> str:
        """How it ended, in words; behind it what it said last, which may be older."""
        status = self.status
        if status is None:
            return "it still runs"
        how = f"signal {-status}" if status < 0 else f"status {status}"
        last = f"; the last it said: {self.last_words}" if self.last_words else ""
        return f"it ended with {how}{last}"

    def wait(self) -> int:
        """Blocks until it ended, however it did; its status."""
        return self._process.wait()

    def stop(self, timeout_ms: int = limits.stop_timeout_ms) -> int:
        """Asks it to leave (SIGTERM and the closed pipe), ends it after the timeout; its status."""
        self.ask()
        try:
            self._process.wait(timeout_ms / 1000)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._join()
        return self._process.returncode

    def ask(self) -> None:
        """Asks it to leave, without waiting."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends it at once; also one that is stopped, which no other signal reaches."""
        self._process.kill()

    def _listen(self, pipe: IO[str] | None, complaints: bool) -> None:
        if pipe is None:
            return
        with pipe:
            for line in pipe:
                if complaints:
                    self._complaints.append(line.rstrip("\n"))
                    continue
                self.lines += 1
                if self._first_line is None:
                    self._first_line = line.rstrip("\n")
                    self._spoke.set()
        if not complaints:
            self._spoke.set()  # it will never speak

    def _join(self) -> None:
        for listener in self._listeners:
            listener.join()


class Children:
    """Children that end together, in the reverse order of their start."""

    def __init__(self) -> None:
        self._running: list[Child] = []

    def start(
        self,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        child = Child(name, module, arguments, environment)
        self._running.append(child)
        return child

    def ended(self) -> Child | None:
        """A child that ended on its own, if one did."""
        return next((child for child in self._running if child.status is not None), None)

    def stop(self, timeout_ms: int = limits.stop_timeout_ms) -> None:
        """Ends the youngest first, all of them within the timeout and a moment each."""
        deadline = time.monotonic() + timeout_ms / 1000
        while self._running:
            left_ms = int((deadline - time.monotonic()) * 1000)
            self._running.pop().stop(max(left_ms, limits.child_stop_ms_min))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def beat() -> None:
    """Shows the parent that this process goes on; never waits for one that does not read."""
    os.set_blocking(1, False)
    with suppress(OSError):
        os.write(1, b"\n")


class Progress:
    """Whether a process's work goes on, whose rounds may take longer than a beat."""

    def __init__(self, round_ms_max: int) -> None:
        self._round_ms_max = round_ms_max
        self._began: float | None = None

    def next_round(self) -> None:
        self._began = time.monotonic()

    @property
    def goes_on(self) -> bool:
        """False where a round takes so long that it hangs; what waits for its first goes on."""
        taken = 0.0 if self._began is None else time.monotonic() - self._began
        return taken * 1000 < self._round_ms_max


def keep_beating(progress: Progress, *, to_parent: bool) -> None:
    """Beats from a thread as long as the work goes on: to systemd, and to the parent."""

    def work() -> None:
        while True:
            if progress.goes_on:
                alive()
                if to_parent:
                    beat()
            time.sleep(limits.role_beat_ms / 1000)

    threading.Thread(target=work, name="beat", daemon=True).start()


def when_parent_leaves(call: Callable[[], None]) -> None:
    """Calls ``call`` once, from a thread, when standard input closes: the parent is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        call()

    threading.Thread(target=wait, name="parent watch", daemon=True).start()
