"""Findings of a tape: each phase of each once in PostgreSQL, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ordertape import limits
from ordertape.api.findings import FindingsFeed
from ordertape.database.address import Address, connect
from ordertape.database.findings import (
    FindingQuery,
    FindingsFollower,
    FindingsStore,
    drop_findings,
    page_of_findings,
)
from ordertape.database.markets import ensure_market
from ordertape.database.partitions import DAY_NS
from ordertape.errors import DatabaseUnavailable
from ordertape.findings.finding import Finding
from ordertape.findings.walk import read_findings
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from support.icebergs import write_icebergs
from support.processes import wait_for
from support.tape import START

NAMES = ("bitfinex", "A/USD")
MANY_DAYS = 36_500


@pytest.fixture
def folder(tmp_path: Path) -> MarketFolder:
    return MarketFolder(tmp_path / "data", *NAMES)


def newest(folder: MarketFolder, **window: int) -> dict[str, Finding]:
    """What the tape has, as it is at its end."""
    found: dict[str, Finding] = OrderedDict()
    for finding in read_findings(folder.data, *NAMES, **window):
        earlier = found.get(finding.id)
        found[finding.id] = finding if earlier is None else finding.after(earlier)
    return found


def stored(connection: psycopg.Connection) -> dict[str, Finding]:
    page = page_of_findings(connection, FindingQuery(*NAMES, limit=1000))
    return {row.finding.id: row.finding for row in reversed(page)}


def market_of(connection: psycopg.Connection) -> int:
    return ensure_market(connection, *NAMES, origin="tape")


def follow(folder: MarketFolder, connection: psycopg.Connection) -> int:
    """Everything there is; the findings stored."""
    number = market_of(connection)
    with closing(FindingsFollower(folder, connection, number, days=MANY_DAYS)) as follower:
        return to_the_end(follower)


def to_the_end(follower: FindingsFollower) -> int:
    """The findings stored."""
    done = 0
    while (step := follower.step()) is not None:
        done += step
    return done


def test_icebergs_of_a_tape_are_found_with_their_lives(folder: MarketFolder) -> None:
    _, ids = write_icebergs(folder, 3)
    found = [each for each in newest(folder).values() if each.kind == "native iceberg"]
    assert [each.order_ids[0] for each in found] == ids
    for each in found:
        assert each.phase == "executed"
        phases = [phase for phase, _ in each.phases]
        assert phases[0] == "detected"
        assert phases[-1] == "executed"
        assert each.price_low == each.price_high == 100
        assert each.began < each.phases[0][1] <= each.ended <= each.told


def test_a_page_is_told_the_first_phase_and_the_last_ones(folder: MarketFolder) -> None:
    write_icebergs(folder, 1)
    (found,) = [each for each in newest(folder).values() if each.kind == "native iceberg"]
    for phases in (1, 2, 11, 12, 40):
        told = replace(found, phases=tuple(("traded", START + nth) for nth in range(phases)))
        everything = told.as_json()["phases"]
        assert len(everything) == phases
        expected = everything if phases <= 11 else everything[:1] + everything[-10:]
        assert told.as_frame()["phases"] == expected


def test_a_window_of_a_tape_has_what_was_told_in_it(folder: MarketFolder) -> None:
    write_icebergs(folder, 4)
    whole = [
        (finding.id, finding.phase, finding.told) for finding in read_findings(folder.data, *NAMES)
    ]
    middle = whole[len(whole) // 2][2]
    parts = [
        [(one.id, one.phase, one.told) for one in read_findings(folder.data, *NAMES, *window)]
        for window in ((None, middle), (middle, None))
    ]
    assert parts[0] + parts[1] == whole
    assert parts[0]
    assert parts[1]


def test_every_phase_is_stored_once_however_often_looking_begins_anew(
    folder: MarketFolder, database: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "findings_stride_events", 30)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    monkeypatch.setattr(limits, "findings_cursor_events", 60)
    write_icebergs(folder, 6)
    archiver = Archiver(folder, file_rows_max=150, row_group_rows=50)
    archiver.finish()
    archiver.close()
    begun = 0
    while True:
        begun += 1
        with connect(database) as opened:
            number = market_of(opened)
            with closing(FindingsFollower(folder, opened, number, days=MANY_DAYS)) as follower:
                # Until something is stored, or the tape has no more.
                while (step := follower.step()) == 0:
                    pass
        if step is None:
            break
    assert begun > 5
    with connect(database) as opened:
        assert stored(opened) == newest(folder)


def test_a_cursor_that_somebody_else_moved_stops_with_nothing_done(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    write_icebergs(folder, 1)
    number = market_of(connection)
    with closing(FindingsFollower(folder, connection, number, days=MANY_DAYS)) as follower:
        connection.execute("UPDATE finding_cursors SET seq = seq + 1")
        with pytest.raises(DatabaseUnavailable, match="somebody else moved it"):
            to_the_end(follower)
    assert stored(connection) == {}


def test_findings_come_newest_first_page_by_page_and_each_once(
    folder: MarketFolder, database: Address, connection: psycopg.Connection
) -> None:
    write_icebergs(folder, 7)
    follow(folder, connection)
    with closing(FindingsStore(database)) as store:
        whole = store.page(FindingQuery(*NAMES, kind="native iceberg"))
        assert len(whole) == 7
        assert [one.found for one in whole] == sorted((one.found for one in whole), reverse=True)
        pages, before = [], None
        while page := store.page(
            FindingQuery(*NAMES, kind="native iceberg", before=before, limit=3)
        ):
            pages += page
            before = page[-1].found, page[-1].finding.id
        assert pages == whole
        middle = whole[3].found
        window = FindingQuery(*NAMES, kind="native iceberg", start=middle, end=whole[1].found)
        assert store.page(window) == whole[2:4]
        assert store.page(FindingQuery(*NAMES, kind="layering", min_score=0.0)) == []
        assert store.page(FindingQuery("bitfinex", "B/USD")) == []
        times = sorted({stored.found for stored in whole})
        assert store.beside(*NAMES, times[0], forward=True) == times[1]
        assert store.beside(*NAMES, times[1], forward=False) == times[0]
        assert store.beside(*NAMES, times[0], forward=False) is None
        assert store.beside(*NAMES, times[-1], forward=True) is None


def test_old_findings_go_but_those_of_kept_markets(
    folder: MarketFolder, connection: psycopg.Connection
) -> None:
    write_icebergs(folder, 2)
    follow(folder, connection)
    whole = stored(connection)
    connection.execute("UPDATE markets SET keep = true")
    drop_findings(connection, days=3, now_ns=START + 10 * DAY_NS)
    assert stored(connection) == whole
    connection.execute("UPDATE markets SET keep = false")
    drop_findings(connection, days=3, now_ns=START + DAY_NS)
    assert stored(connection) == whole
    drop_findings(connection, days=3, now_ns=START + 10 * DAY_NS)
    assert stored(connection) == {}


@pytest.fixture
def store(database: Address) -> Iterator[FindingsStore]:
    found = FindingsStore(database)
    yield found
    found.close()


async def test_listeners_are_told_what_is_found_from_now_on(
    folder: MarketFolder,
    database: Address,
    store: FindingsStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "findings_poll_ms", 20)
    monkeypatch.setattr(limits, "findings_stride_events", 30)
    monkeypatch.setattr(limits, "journal_run_rows", 1)
    write_icebergs(folder, 3, begun=time.time_ns() - 60 * 10**9)
    told: list[tuple[str, str, Finding]] = []
    with connect(database) as opened:
        number = market_of(opened)
        with closing(FindingsFollower(folder, opened, number, days=1)) as follower:
            while not follower.step():
                pass
            before = set(stored(opened))
            feed = FindingsFeed(store)
            feed.listen(lambda *found: told.append(found))
            feed.begin()
            await asyncio.to_thread(wait_for, lambda: feed.seen, "the first look", 20, 0.02)
            to_the_end(follower)
        newer = [one for one in stored(opened).values() if one.id not in before]
        ids = {one.id for one in newer}
        await asyncio.to_thread(
            wait_for, lambda: ids <= {one.id for *_, one in told}, "the findings", 20, 0.02
        )
    await feed.close()
    assert newer
    assert all(told_of[:2] == NAMES for told_of in told)
