"""PostgreSQL behind the routes: what it has of a market, and that it is away, told once."""

from __future__ import annotations

import threading
import time

import numpy as np
import psycopg
import structlog

from ordertape import limits
from ordertape.api.tape import Tape
from ordertape.api.work import Leave
from ordertape.database.address import Address
from ordertape.database.connections import Connections
from ordertape.database.pages import Part, saved_part
from ordertape.database.reader import Held, Stretch, first_since, received_at
from ordertape.database.sources import Leaf, Query
from ordertape.database.stored import Stored, stored_market
from ordertape.errors import DatabaseError, DatabaseUnavailable, TapeDiffers
from ordertape.kept import Kept

__all__ = ["Database"]


class Database:
    """One address, for as long as the server runs.  Everything here blocks: for threads.

    Where a tape is, the database is only a quicker way to it: whatever goes wrong, the tape
    answers, and the log says so once.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connections = Connections(address, name="ordertape api")
        self._held = Held()
        self._lock = threading.Lock()
        self._told: Kept[tuple[str, str], tuple[float, list[Stretch]]] = Kept(limits.lookups_kept)
        self._same: Kept[tuple[str, str], tuple[int, bool]] = Kept(limits.lookups_kept)
        self._complaint: DatabaseError | None = None
        self._log = structlog.stdlib.get_logger("ordertape.api")

    def close(self) -> None:
        self.connections.close()

    def parts(self, tape: Tape, query: Query, leave: Leave) -> list[Part]:
        """A page's stretches by rising seq: PostgreSQL's where it has the rows, else the tape's."""
        try:
            stretches = self._stretches(tape, leave)
        except DatabaseError as error:
            leave()
            self.failed(error)
            stretches = []
        else:
            self._answers()
        found: list[Part] = []
        begin = query.first
        for stretch in stretches:
            first, last = max(begin, stretch.first), min(query.last, stretch.last)
            if first > last:
                continue
            if first > begin:
                found.append(Part(tape, begin, first - 1))
            leaf = Leaf(self.connections, stretch, leave.calling)
            found.append(Part(leaf, first, last, instead=tape))
            begin = last + 1
        if begin <= query.last:
            found.append(Part(tape, begin, query.last))
        return found

    def seq_from(self, tape: Tape, ts: int, leave: Leave) -> int:
        """The first event with ``ts_recv`` >= ``ts`` (ns), behind the last where there is none.

        By an index where PostgreSQL has it; the tape decodes a row group to tell.
        """
        folder = tape.lookup.folder
        try:
            stretches = self._stretches(tape, leave)
            with self.connections.use(limits.api_statement_ms_max, leave.calling) as connection:
                seq = first_since(connection, folder.exchange, folder.symbol, stretches, ts)
        except DatabaseError as error:
            leave()
            self.failed(error)
            seq = None
        return tape.lookup.seq_from(ts) if seq is None else seq

    def find(self, exchange: str, symbol: str) -> Stored | None:
        """A market of the database.  Raises DatabaseError."""
        with self.connections.use(limits.api_statement_ms_max) as connection:
            try:
                return stored_market(connection, exchange, symbol)
            except psycopg.errors.UndefinedTable:  # nothing was ever put there
                return None

    def saved_part(self, stored: Stored, query: Query, leave: Leave) -> Part:
        """The same for a market that no tape here has.  Raises DatabaseError."""
        return saved_part(self.connections, stored, query, leave.calling)

    # What may be believed -------------------------------------------------------------------------

    def _stretches(self, tape: Tape, leave: Leave) -> list[Stretch]:
        folder = tape.lookup.folder
        key, now = (folder.exchange, folder.symbol), time.monotonic()
        told = self._told.get(key)
        if told is not None and now - told[0] < limits.api_stretches_ms / 1000:
            return told[1]
        found = self._asked(tape, key, leave)
        self._told.put(key, (now, found))
        return found

    def _asked(self, tape: Tape, key: tuple[str, str], leave: Leave) -> list[Stretch]:
        with self.connections.use(limits.api_statement_ms_max, leave.calling) as connection:
            found = self._held.stretches(connection, self.connections.opened, *key)
            if not found:
                return []
            newest = found[-1]
            checked = self._same.get(key)
            if checked is None or checked[0] != newest.oid:
                ts_recv = received_at(connection, newest, newest.last)
                checked = (newest.oid, _is_on(tape, newest.last, ts_recv))
                self._same.put(key, checked)
        if not checked[1]:
            raise TapeDiffers(f"{' '.join(key)}: the database's rows are those of another tape")
        return found

    # What is told ---------------------------------------------------------------------------------

    def failed(self, error: DatabaseError) -> None:
        """The tape answers instead; the log says why, once for each reason."""
        with self._lock:
            known, self._complaint = str(self._complaint) == str(error), error
        if not known:
            self._log.warning("L3_pages_without_database", reason=str(error))

    def _answers(self) -> None:
        with self._lock:
            if not isinstance(self._complaint, DatabaseUnavailable):
                return
            self._complaint = None
        self._log.info("L3_pages_with_database")


def _is_on(tape: Tape, seq: int, ts_recv: int | None) -> bool:
    """Whether the tape here has that event: rows of another machine's tape are none of ours."""
    found = tape.lookup.events(seq, seq)
    return bool(found) and int(np.asarray(found[0].column("ts_recv"))[0]) == ts_recv
