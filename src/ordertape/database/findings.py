"""Findings in PostgreSQL: each phase of each exactly once, and pages of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ordertape import limits
from ordertape.database.address import Address
from ordertape.database.kept_connection import KeptConnection
from ordertape.database.partitions import DAY_NS
from ordertape.errors import DatabaseUnavailable
from ordertape.events import Side
from ordertape.findings.finding import Finding
from ordertape.findings.walk import FindingsWalk
from ordertape.tape.folder import MarketFolder
from ordertape.tape.lookup import TapeLookup

__all__ = [
    "FindingQuery",
    "FindingsFollower",
    "FindingsStore",
    "StoredFinding",
    "drop_findings",
    "page_of_findings",
]

_COLUMNS: Final = (
    *("kind", "side", "phase", "began", "ended", "told", "began_seq", "told_seq", "price_low"),
    *("price_high", "size", "filled", "score", "evidence", "against", "order_ids", "orders"),
    "phases",
)
_BEGIN: Final = """
    INSERT INTO finding_cursors (market, seq) VALUES (%s, %s)
    ON CONFLICT (market) DO UPDATE SET market = excluded.market RETURNING seq
"""
_MOVE: Final = """
    UPDATE finding_cursors SET seq = %s, updated_at = now() WHERE market = %s AND seq = %s
"""
_NAMES: Final = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
_SAVE: Final = sql.SQL(
    """
    INSERT INTO findings (market, finding, found, {names}) VALUES (%s, %s, %s, {values})
    ON CONFLICT (market, finding) DO UPDATE SET revision = DEFAULT, {renewed}
    """
).format(
    names=_NAMES,
    values=sql.SQL(", ").join(sql.Placeholder() * len(_COLUMNS)),
    renewed=sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in _COLUMNS
    ),
)
_READ: Final = sql.SQL(
    "SELECT exchange, symbol, revision, found, {} FROM findings f JOIN markets m USING (market) "
).format(_NAMES)
_KNOWN: Final = _READ + sql.SQL("WHERE market = %s AND finding = ANY(%s)")
_PAGE: Final = _READ + sql.SQL(
    """
    WHERE exchange = %(exchange)s AND symbol = %(symbol)s
      AND (%(kind)s::text IS NULL OR kind = %(kind)s) AND score >= %(score)s
      AND found >= %(start)s AND found < %(end)s AND (found, finding) < (%(at)s, %(id)s)
    ORDER BY found DESC, finding DESC LIMIT %(limit)s
    """
)
_NEXT: Final = """
    SELECT min(found) FROM findings JOIN markets USING (market)
    WHERE exchange = %s AND symbol = %s AND found > %s
"""
_PREVIOUS: Final = """
    SELECT max(found) FROM findings JOIN markets USING (market)
    WHERE exchange = %s AND symbol = %s AND found < %s
"""
_AFTER: Final = _READ + sql.SQL("WHERE revision > %s ORDER BY revision LIMIT %s")
_NEWEST: Final = "SELECT coalesce(max(revision), 0) FROM findings"
_DROP: Final = """
    DELETE FROM findings f USING markets m WHERE m.market = f.market AND NOT m.keep AND f.told < %s
"""
_LAST: Final = 2**63 - 1


class StoredFinding(NamedTuple):
    exchange: str
    symbol: str
    revision: int
    """Grows with every finding and every later phase."""
    found: int
    """When it was found first (ns)."""
    finding: Finding


@dataclass(frozen=True, slots=True)
class FindingQuery:
    """Newest first; what is None does not matter.  Times are of when it was found (ns), ``start``
    with it, ``end`` without.  ``before``: (found, id) of the last one seen."""

    exchange: str
    symbol: str
    kind: str | None = None
    min_score: float = 0.0
    start: int | None = None
    end: int | None = None
    before: tuple[int, str] | None = None
    limit: int = limits.findings_page_default


class FindingsFollower:
    """Looks through one market's tape and stores what is found; the cursor moves in the same
    transaction.  ``days``: what is older is passed over.  Raises TapeCorrupt, DatabaseUnavailable,
    psycopg.Error."""

    def __init__(
        self, folder: MarketFolder, connection: psycopg.Connection, market: int, *, days: int
    ) -> None:
        self.folder = folder
        self._connection, self._market = connection, market
        oldest = TapeLookup(folder).seq_from(time.time_ns() - days * DAY_NS) - 1
        begun = connection.execute(_BEGIN, (market, oldest)).fetchone()
        assert begun is not None
        self._seq = int(begun[0])
        self._way = FindingsWalk(folder, self._seq)
        self.passed = self._seq
        """What was found up to this event is stored."""
        self._saving = False

    def resume(self, connection: psycopg.Connection, market: int) -> bool:
        """Goes on over another connection; False where the database stands elsewhere, or what was
        found may not be there."""
        if self._saving or market != self._market:
            return False
        begun = connection.execute(_BEGIN, (market, self._seq)).fetchone()
        if begun is None or begun[0] != self._seq:
            return False
        self._connection = connection
        return True

    def close(self) -> None:
        self._way.close()

    def step(self) -> int | None:
        """Takes what comes next; the findings stored, None where the tape has no more for now."""
        more, stored = self._way.stride(), 0
        found = self._way.found()
        # The head of a message that is not complete was not looked at yet.
        here = max(self._seq, self._way.walk.book.seq)
        if found or here - self._seq >= limits.findings_cursor_events:
            # What is not durable may be cut off the tape and be written anew with other events.
            self._way.make_durable()
            self._saving = True
            stored = self._save(found, here)
            self._saving = False
        self.passed = here
        return stored if more or found else None

    def _save(self, found: Sequence[Finding], seq: int) -> int:
        """How many were not stored yet: a walk that began anew tells the last ones again."""
        stored = 0
        with self._connection.transaction():
            ids = list({finding.id for finding in found})
            rows = self._connection.execute(_KNOWN, (self._market, ids)) if ids else ()
            known = {stored.finding.id: stored for stored in map(_stored, rows)}
            for finding in found:
                earlier = known.get(finding.id)
                if earlier is not None:
                    if finding.is_known_to(earlier.finding):
                        continue
                    finding = finding.after(earlier.finding)
                first = finding.told if earlier is None else earlier.found
                self._connection.execute(
                    _SAVE, (self._market, finding.id, first, *_values(finding))
                )
                known[finding.id] = StoredFinding(*self._name, 0, first, finding)
                stored += 1
            moved = self._connection.execute(_MOVE, (seq, self._market, self._seq))
            if moved.rowcount != 1:
                raise DatabaseUnavailable(
                    f"{self.folder.market}: the cursor of its findings is not at event "
                    f"{self._seq} any more: somebody else moved it"
                )
        self._seq = seq
        return stored

    @property
    def _name(self) -> tuple[str, str]:
        return self.folder.exchange, self.folder.symbol


def _values(finding: Finding) -> Iterable[Any]:
    for name in _COLUMNS:
        value = getattr(finding, name)
        if name == "side":
            yield value.name.lower()
        elif name in ("evidence", "against"):
            yield Jsonb(dict(value))
        elif name == "phases":
            yield Jsonb([list(phase) for phase in value])
        else:
            yield list(value) if name == "order_ids" else value


def _stored(row: Sequence[Any]) -> StoredFinding:
    exchange, symbol, revision, found, *values = row
    told = dict(zip(_COLUMNS, values, strict=True))
    told["side"] = Side[told["side"].upper()]
    told["order_ids"] = tuple(told["order_ids"])
    told["phases"] = tuple((phase, at) for phase, at in told["phases"])
    for name in ("price_low", "price_high", "size", "filled"):
        told[name] = Decimal(told[name])
    return StoredFinding(exchange, symbol, revision, found, Finding(**told))


class FindingsStore:
    """What a server reads of them.  Everything blocks and raises DatabaseError; any thread may use
    it."""

    def __init__(self, address: Address) -> None:
        self._connection = KeptConnection(address, "ordertape findings")

    def close(self) -> None:
        self._connection.close()

    def page(self, query: FindingQuery) -> list[StoredFinding]:
        """The newest first."""
        with self._connection.use() as connection:
            return page_of_findings(connection, query)

    def beside(self, exchange: str, symbol: str, at: int, *, forward: bool) -> int | None:
        """When the nearest finding behind a time, or before it, was found (ns)."""
        with self._connection.use() as connection:
            query = _NEXT if forward else _PREVIOUS
            row = connection.execute(query, (exchange, symbol, at)).fetchone()
            return None if row is None or row[0] is None else int(row[0])

    def newest_revision(self) -> int:
        """0 where there is none."""
        with self._connection.use() as connection:
            row = connection.execute(_NEWEST).fetchone()
            assert row is not None
            return int(row[0])

    def after(self, revision: int) -> list[StoredFinding]:
        """What was found, or came to a later phase, behind a revision; so many at a time."""
        with self._connection.use() as connection:
            rows = connection.execute(_AFTER, (revision, limits.findings_page_max))
            return [_stored(row) for row in rows]


def page_of_findings(connection: psycopg.Connection, query: FindingQuery) -> list[StoredFinding]:
    """The newest first."""
    at, finding = query.before if query.before is not None else (_LAST, "")
    parameters = {
        "exchange": query.exchange,
        "symbol": query.symbol,
        "kind": query.kind,
        "score": query.min_score,
        "start": query.start or 0,
        "end": _LAST if query.end is None else query.end,
        "at": at,
        "id": finding,
        "limit": query.limit,
    }
    return [_stored(row) for row in connection.execute(_PAGE, parameters)]


def drop_findings(connection: psycopg.Connection, *, days: int, now_ns: int | None = None) -> None:
    """Lets go what was told more than ``days`` days ago, but of markets marked ``keep``."""
    connection.execute(_DROP, ((now_ns or time.time_ns()) - days * DAY_NS,))
