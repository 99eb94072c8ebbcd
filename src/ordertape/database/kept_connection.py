"""One connection that a server keeps for short work, made when it is needed and again when lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ordertape import limits
from ordertape.database.address import Address, connect, errors_of
from ordertape.database.patience import answering_within
from ordertape.errors import DatabaseUnavailable

__all__ = ["KeptConnection"]


class KeptConnection:
    """Any thread may use it, one at a time.  ``name``: as the database shows it.  Without
    ``changes`` PostgreSQL refuses whatever would change anything."""

    def __init__(self, address: Address, name: str, *, changes: bool = False) -> None:
        self.address, self.name, self.changes = address, name, changes
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None

    def close(self) -> None:
        with self._lock:
            self._drop()

    @contextmanager
    def use(self) -> Iterator[psycopg.Connection]:
        """Raises DatabaseError; every statement has its time."""
        timeout_ms = limits.database_page_ms_max
        with self._lock:
            try:
                with errors_of(self.address, timeout_ms):
                    connection = self._ready(timeout_ms)
                    most_ms = timeout_ms + limits.database_grace_ms
                    with answering_within(connection, most_ms, self.address.shown):
                        try:
                            yield connection
                        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction):
                            raise DatabaseUnavailable(
                                f"{self.address.shown}: its tables are not there yet"
                            ) from None
            except DatabaseUnavailable:
                self._drop()
                raise

    def _ready(self, timeout_ms: int) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            made = connect(
                self.address, name=self.name, timeout_ms=limits.api_database_connect_ms_max
            )
            made.execute(f"SET statement_timeout = {timeout_ms}".encode())
            if not self.changes:
                made.execute(b"SET default_transaction_read_only = on")
            self._connection = made
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
