"""After a soak: what the tapes, PostgreSQL and the log of what was done say of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from ordertape._engine import NULL
from ordertape.events import Flag
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader
from ordertape.tape.verify import verify
from support.soak import Cause
from support.soak_venues import MARKETS, Loss

__all__ = ["judge_gaps", "judge_tape"]

SLACK_NS = 3 * 10**9
"""Between what a busy machine was sent and what it took."""
_LEAVES = """
    SELECT g.generation, g.price_scale, g.size_scale, c.relname
    FROM otc_analysis.markets m JOIN otc_analysis.generations g USING (market)
    JOIN pg_inherits i ON i.inhparent = ('otc_analysis.events_' || g.generation)::regclass
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE m.exchange = %s AND m.symbol = %s ORDER BY g.generation, c.relname
"""
_STEP = 50_000


def judge_tape(data: Path, exchange: str, url: str) -> tuple[list[str], int]:
    """``verify``, and by SQL every event of the tape once with its time, price and size; the
    events."""
    symbol, wrong = MARKETS[exchange], []
    report = verify(data, exchange, symbol)
    if not report.equal:
        wrong.append(f"{exchange}: verify says {report}")
    if report.missing_events:
        wrong.append(f"{exchange}: {report.missing_events} events are missing on the tape")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = _rows(connection, exchange, symbol)
        counted = 0
        for seq, ts_recv, price, size in _events(data, exchange, symbol):
            for event in zip(seq, ts_recv, price, size, strict=True):
                counted += 1
                if (found := next(rows, None)) != event and len(wrong) < 5:
                    wrong.append(f"{exchange}: SQL has {found}, the tape {event}")
        if (more := next(rows, None)) is not None:
            wrong.append(f"{exchange}: SQL goes on with {more} behind the tape's end")
        gaps = connection.execute(
            "SELECT from_ns, to_ns, reason FROM otc_analysis.level3_gaps "
            "WHERE exchange = %s AND symbol = %s ORDER BY from_ns",
            (exchange, symbol),
        ).fetchall()
    told = [(gap[0], gap[1], gap[2]) for gap in gaps_of(data, exchange)]
    if gaps != told:
        wrong.append(f"{exchange}: SQL has other gaps than the tape: {set(gaps) ^ set(told)}")
    if counted != report.last_seq:
        wrong.append(f"{exchange}: {counted} events up to {report.last_seq}")
    return wrong, counted


def _rows(connection: psycopg.Connection, exchange: str, symbol: str) -> Any:
    """(seq, ts_recv, price, size) of the leaves, scaled numbers as they are there."""
    for *_, leaf in connection.execute(_LEAVES, (exchange, symbol)).fetchall():
        last = 0
        query = f"SELECT seq, ts_recv, price, size FROM otc_analysis.{leaf} WHERE seq > %s "
        while True:
            page = connection.execute(
                (query + f"ORDER BY seq LIMIT {_STEP}").encode(), (last,)
            ).fetchall()
            yield from page
            if not page:
                break
            last = page[-1][0]


def _events(data: Path, exchange: str, symbol: str) -> Any:
    for batch in TapeReader(data, exchange, symbol).batches():
        kept = (np.asarray(batch.column("flags")) & Flag.SNAPSHOT) == 0
        columns = []
        for name in ("seq", "ts_recv", "price", "size"):
            column = batch.column(name)
            values = [NULL] * len(batch) if column is None else np.asarray(column).tolist()
            columns.append(
                [
                    None if value == NULL else value
                    for value, is_kept in zip(values, kept, strict=True)
                    if is_kept
                ]
            )
        yield columns


def gaps_of(data: Path, exchange: str) -> list[tuple[int, int | None, str]]:
    """(from, to, reason) of each gap on the tape, oldest first."""
    folder = MarketFolder(data, exchange, MARKETS[exchange])
    found: dict[int, tuple[int, int | None, str]] = {}
    for mark in TapeReader(folder.data, folder.exchange, folder.symbol).marks():
        if mark.kind == "gap":
            f = mark.fields
            found[f["from_ns"]] = (f["from_ns"], f["to_ns"], f["reason"])
    return [found[begin] for begin in sorted(found)]


def judge_gaps(
    data: Path, exchange: str, causes: list[Cause], losses: list[Loss], began: int, ended: int
) -> tuple[list[str], int]:
    """Every loss lies in a gap row, and every gap row has something that was done; the rows."""
    wrong, gaps = [], gaps_of(data, exchange)
    held = [(c.at, c.until) for c in causes if exchange in c.may]
    due = [(c.at, c.until, c.what) for c in causes if exchange in c.venues]
    due += [
        (loss.at, _noticed(loss.until, held), loss.what)
        for loss in losses
        if loss.venue == exchange and loss.shown and began < loss.at < ended
    ]
    for at, until, what in due:
        if not any(
            begin <= until + SLACK_NS and (to is None or at - SLACK_NS <= to)
            for begin, to, _ in gaps
        ):
            wrong.append(f"{exchange}: no gap row covers {what} at {at}")
    known = due + [(c.at, c.until, c.what) for c in causes if exchange in c.may]
    known += [(x.at, x.until, x.what) for x in losses if x.venue == exchange and not x.shown]
    for begin, to, reason in gaps:
        end = ended if to is None else to
        if begin > ended:
            continue
        if not any(at <= end + SLACK_NS and begin <= until + SLACK_NS for at, until, _ in known):
            wrong.append(f"{exchange}: nothing was done for the gap {begin} to {to}: {reason}")
    return wrong, len(gaps)


def _noticed(until: int, held: list[tuple[int, int]]) -> int:
    """When a loss could be noticed: not while the collector was stopped."""
    return max([until, *(end for begin, end in held if begin - SLACK_NS <= until <= end)])
