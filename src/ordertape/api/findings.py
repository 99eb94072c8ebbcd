"""What is found, told to whoever listens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeAlias

import structlog

from ordertape import limits
from ordertape.database.findings import FindingsStore, StoredFinding
from ordertape.errors import DatabaseError
from ordertape.findings.finding import Finding

__all__ = ["FindingsFeed"]

Listener: TypeAlias = Callable[[str, str, Finding], None]
"""Is told the venue, the market and what was found there."""


class FindingsFeed:
    """Looks at the store again and again.  Everything is called in the event loop, listeners too.
    What was found before the server began is told to nobody: it is in the store."""

    def __init__(self, store: FindingsStore) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Listener] = set()
        self._stop = threading.Event()
        self._known: int | None = None
        """The last revision that was told; None: the store was not seen yet."""
        self._complaint = ""
        self._log = structlog.stdlib.get_logger("ordertape.findings")
        self._thread = threading.Thread(target=self._look_again, name="findings", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        self._store.close()

    @property
    def seen(self) -> bool:
        """Whether what is found from now on is told."""
        return self._known is not None

    def listen(self, listener: Listener) -> None:
        """It is told every finding and every later phase from now on."""
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    # The thread -----------------------------------------------------------------------------------

    def _look_again(self) -> None:
        while not self._stop.wait(limits.findings_poll_ms / 1000):
            try:
                self._look()
            except DatabaseError as error:
                # At a start the database is not there yet; alerts complain of one that stays away.
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    self._log.info("L3_findings_without_database", reason=self._complaint)

    def _look(self) -> None:
        if self._known is None:
            self._known = self._store.newest_revision()
        for found in self._store.after(self._known):
            self._known = found.revision
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._tell, found)
        self._complaint = ""

    def _tell(self, found: StoredFinding) -> None:
        for listener in list(self._listeners):
            listener(found.exchange, found.symbol, found.finding)
