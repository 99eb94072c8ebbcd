"""Ends a connection whose server leaves a question unanswered, so that nobody waits for ever.

A statement's timeout is the server's own: one that is stopped, or behind a line that swallows what
it says, keeps none.  A thread shared by all who wait shuts the socket down instead, and the driver
then says that the connection is gone.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from ordertape.errors import DatabaseUnavailable

__all__ = ["NoAnswer", "answering_within"]


class NoAnswer(DatabaseUnavailable):
    """A server took the question and said nothing."""


class _Wait:
    """One connection somebody waits for; ``fd`` is a copy of its own, which nobody else closes."""

    __slots__ = ("deadline", "fd", "over")

    def __init__(self, fd: int, deadline: float) -> None:
        self.fd, self.deadline, self.over = fd, deadline, False

    def end(self) -> None:
        self.over = True
        with socket.socket(fileno=os.dup(self.fd)) as line, suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


class _Watch:
    """Whoever waits, and the thread that looks at the clock while anybody does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waits: set[_Wait] = set()
        self._thread: threading.Thread | None = None
        self._looks_at = 0.0

    def begin(self, wait: _Wait) -> None:
        with self._changed:
            self._waits.add(wait)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="database patience", daemon=True
                )
                self._thread.start()
            elif wait.deadline < self._looks_at:
                self._changed.notify()

    def end(self, wait: _Wait) -> None:
        with self._changed:
            self._waits.discard(wait)
        os.close(wait.fd)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for wait in [wait for wait in self._waits if wait.deadline <= now]:
                    self._waits.discard(wait)
                    wait.end()
                # Those who are answered in time, nearly all, do not wake this thread.
                self._looks_at = min((w.deadline for w in self._waits), default=float("inf"))
                left = self._looks_at - now
                self._changed.wait(None if left == float("inf") else left)


_watch = _Watch()


@contextmanager
def answering_within(
    connection: psycopg.Connection, timeout_ms: float, shown: str
) -> Iterator[None]:
    """Inside, everything asked over the connection is answered within the time, all together.

    ``shown`` names the server.  Raises NoAnswer, the connection closed, where it is not.
    """
    if connection.closed:
        yield
        return
    wait = _Wait(os.dup(connection.fileno()), time.monotonic() + timeout_ms / 1000)
    _watch.begin(wait)
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, DatabaseUnavailable):
        if wait.over:
            raise NoAnswer(
                f"{shown}: no answer within {timeout_ms / 1000:g} s, the connection was given up"
            ) from None
        raise
    finally:
        _watch.end(wait)
        if wait.over:
            connection.close()
