"""A book is told in the same way by the route, the command and the replica."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from ordertape import cli
from ordertape._engine import EventBatch
from ordertape.broadcast.replica import ReplicaBook
from ordertape.models import iso_from_ns
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from support.interface import interface
from support.processes import wait_for
from support.tape import Market

MARKET = ("bitfinex", "BTC/USDT")


def told_by_all(data: Path, capsys: pytest.CaptureFixture[str], sequence: int) -> set[str]:
    """The book's ``timestamp`` by each of the three."""
    replica = ReplicaBook(data, *MARKET, post=lambda _item: None)
    replica.start()
    try:
        wait_for(lambda: (replica.statistics() or (None, 0))[1] == sequence, "the replica")
        picture = replica.picture()
    finally:
        replica.stop()
    assert picture is not None
    assert cli.run(["book", *MARKET, "--data", str(data), "--json"]) == 0
    command = json.loads(capsys.readouterr().out)
    with interface(data) as served:
        route = httpx.get(f"{served.address}/snapshot/{'/'.join(MARKET)}").json()
    assert command.keys() == route.keys()
    assert command["sequence"] == route["sequence"] == picture.sequence == sequence
    return {picture.timestamp, command["timestamp"], route["timestamp"]}


def orders(count: int, *, last: int) -> EventBatch:
    """Events whose times of the venue differ: a message that ends with ``last``, and more."""
    times = [1_700_000_000_000_000_000 + 1_000_000_007 * n for n in range(count)]
    return EventBatch.from_arrays(
        kind=[1] * count,
        side=[0] * count,
        order_id=[str(n) for n in range(count)],
        price=list(range(1, count + 1)),
        size=[1] * count,
        ts_event=times,
        ts_recv=[times[-1]] * count,
        flags=[2 if n + 1 == last else 0 for n in range(count)],
        price_scale=0,
        size_scale=0,
    )


def test_the_time_is_that_of_the_last_event_in_the_book_not_of_what_follows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = orders(5, last=3)
    with JournalWriter(MarketFolder(tmp_path, *MARKET)) as journal:
        journal.append(batch)
    assert told_by_all(tmp_path, capsys, 3) == {iso_from_ns(batch[2]["ts_event"])}


def test_the_time_of_a_book_that_began_anew_is_that_of_its_clear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, *MARKET)) as journal:
        for message in market.messages(20):
            journal.append(message)
        clear = market.message(clear=True)
        journal.append(clear)
    assert len(clear) > 1
    assert told_by_all(tmp_path, capsys, clear.last_seq) == {iso_from_ns(clear[0]["ts_recv"])}
