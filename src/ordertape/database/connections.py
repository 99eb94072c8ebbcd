"""A few connections for threads that read, kept open from one reading to the next.

A query ends when whoever waits for it leaves, or at its timeout.  A database that is away is asked
again after a pause; meanwhile whoever asks is told at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

import psycopg

from ordertape import limits
from ordertape.database.address import Address, connect, sentence
from ordertape.errors import DatabaseError, DatabaseUnavailable

__all__ = ["Canceling", "Connections"]

Canceling: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Given what cancels a query, a context in which that is called where nobody waits any more."""


class Connections:
    """At most ``limits.api_database_connections_max``; any thread may use them."""

    def __init__(self, address: Address, *, name: str = "ordertape reader") -> None:
        self.address = address
        self.opened = 0
        """Grows with every new connection: what was learnt over the ones before may be over."""
        self._name = name
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(limits.api_database_connections_max)
        self._idle: list[psycopg.Connection] = []
        self._refused_until, self._reason = 0.0, ""
        self._closed = False

    def close(self) -> None:
        """Closes those nobody uses; the others close as they are let go."""
        with self._lock:
            self._closed = True
        self._close_idle()

    @contextmanager
    def use(
        self, timeout_ms: int, canceling: Canceling = lambda _cancel: nullcontext()
    ) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode; each statement ends after ``timeout_ms``.

        Raises DatabaseUnavailable where there is none, DatabaseError where a statement fails.
        """
        if not self._room.acquire(timeout=limits.database_pool_wait_ms / 1000):
            raise DatabaseUnavailable(
                f"{self.address.shown}: no connection within {limits.database_pool_wait_ms} ms"
            )
        connection: psycopg.Connection | None = None
        try:
            connection = self._ready(timeout_ms)
            with canceling(connection.cancel_safe):
                yield connection
        except psycopg.errors.QueryCanceled:
            raise DatabaseError(
                f"{self.address.shown}: the query took longer than {timeout_ms} ms and was canceled"
            ) from None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._close_idle()
            raise DatabaseUnavailable(f"{self.address.shown}: {sentence(error)}") from None
        except psycopg.Error as error:
            raise DatabaseError(f"{self.address.shown}: {sentence(error)}") from None
        finally:
            if connection is not None:
                self._let_go(connection)
            self._room.release()

    def _ready(self, timeout_ms: int) -> psycopg.Connection:
        """One that answers and has this timeout."""
        setting = f"SET statement_timeout = {timeout_ms}".encode()
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                kept.execute(setting)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # The server was started anew: the others are gone, too.
                kept.close()
                self._close_idle()
            else:
                return kept
        made = self._connected()
        made.execute(setting)
        return made

    def _connected(self) -> psycopg.Connection:
        with self._lock:
            if time.monotonic() < self._refused_until:
                raise DatabaseUnavailable(self._reason)
        try:
            made = connect(
                self.address, name=self._name, timeout_ms=limits.api_database_connect_ms_max
            )
        except DatabaseError as error:
            with self._lock:
                self._reason = str(error)
                self._refused_until = time.monotonic() + limits.api_database_retry_ms / 1000
            raise
        with self._lock:
            self.opened += 1
        return made

    def _let_go(self, connection: psycopg.Connection) -> None:
        idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if idle and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
