"""``python -m bench.pages``: pages of ``GET /orders`` over HTTP, of PostgreSQL and the tape.

A tape of ``--rows`` events is written, archived and copied into an embedded PostgreSQL, in a folder
that is removed afterwards; then the whole server runs, as people run it, once with the database and
once without, and answers pages of 1,000 events one after the other.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import numpy as np

from bench.postgres import EXCHANGE, SYMBOL, events
from bench.serving import API, quantiles, serving
from ordertape.database.address import Address
from ordertape.database.embedded import EmbeddedServer
from ordertape.database.service import DatabaseFollower
from ordertape.models import iso_from_ns
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter

ROUTE = f"{API}/orders/{EXCHANGE}/{SYMBOL}"
PAGE_ROWS = 1_000
BATCH_ROWS = 10_000
SPAN_NS = 6 * 3600 * 10**9
SCHEMA = "otc_analysis"


class Ask(NamedTuple):
    """One kind of pages."""

    name: str
    parameters: dict[str, str]


def record(folder: MarketFolder, rows: int, uuids: bool) -> int:
    """Events of the last six hours, archived but for the newest; ns of the first."""
    draw = np.random.default_rng(7)
    begin = time.time_ns() - SPAN_NS
    with JournalWriter(folder) as writer:
        for seq in range(1, rows + 1, BATCH_ROWS):
            count = min(BATCH_ROWS, rows + 1 - seq)
            writer.append(events(count, seq, begin + SPAN_NS * seq // rows, uuids, draw))
            if seq // 1_000_000 != (seq + count) // 1_000_000:
                writer.sync()
                Archiver(folder).finish()
    return begin


def copy(data: Path, address: Address, rows: int) -> None:
    follower, stop = DatabaseFollower(data, address), threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    try:
        while follower.persisted(EXCHANGE, SYMBOL) < rows:
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join()


@contextmanager
def asking(folder: Path, database: bool) -> Iterator[http.client.HTTPConnection]:
    """A connection that stays, to a server with or without the database."""
    environment = {
        "L3_PERSIST_ENABLED": str(database).lower(),
        "OTC_SCHEMA": SCHEMA,
        "DATABASE_URL": "",
    }
    with serving(folder, environment) as (address, _):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        yield connection
        connection.close()


def get(connection: http.client.HTTPConnection, **parameters: Any) -> tuple[float, bytes]:
    """(milliseconds to the last byte, the answer)."""
    began = time.perf_counter()
    connection.request("GET", f"{ROUTE}?{urlencode(parameters)}")
    answer = connection.getresponse()
    body = answer.read()
    taken = (time.perf_counter() - began) * 1000
    if answer.status != 200:
        raise SystemExit(body.decode())
    return taken, body


def sequential(connection: http.client.HTTPConnection, pages: int, ask: Ask) -> list[float]:
    """Pages that follow each other from the first on."""
    found, more = [], {}
    for _ in range(pages):
        taken, body = get(connection, limit=PAGE_ROWS, **ask.parameters, **more)
        found.append(taken)
        cursor = json.loads(body)["next_cursor"]
        more = {} if cursor is None else {"cursor": cursor}
    return found


def at_random(
    connection: http.client.HTTPConnection, pages: int, begin: int, ask: Ask
) -> list[float]:
    """Second pages: where their cursors point is as random as the times of the first."""
    draw, found = random.Random(5), []
    while len(found) < pages:
        at = iso_from_ns(begin + draw.randrange(SPAN_NS * 9 // 10))
        query = {"limit": PAGE_ROWS, "start_time": at, **ask.parameters}
        cursor = json.loads(get(connection, **query)[1])["next_cursor"]
        if cursor is None:
            raise SystemExit(f"{ask.name}: too few events for pages at random places")
        found.append(get(connection, **query, cursor=cursor)[0])
    return found


def from_times(connection: http.client.HTTPConnection, pages: int, begin: int) -> list[float]:
    """First pages from random times on."""
    draw = random.Random(6)
    return [
        get(
            connection,
            limit=PAGE_ROWS,
            start_time=iso_from_ns(begin + draw.randrange(SPAN_NS * 99 // 100)),
        )[0]
        for _ in range(pages)
    ]


def lives(connection: http.client.HTTPConnection, pages: int) -> list[float]:
    """All events of random orders."""
    draw = random.Random(7)
    _, body = get(connection, limit=10_000)
    known = [order["order_id"] for order in json.loads(body)["orders"]]
    return [get(connection, limit=PAGE_ROWS, order_id=draw.choice(known))[0] for _ in range(pages)]


def measured(
    connection: http.client.HTTPConnection, pages: int, begin: int
) -> dict[str, list[float]]:
    plain, side = Ask("every event", {}), Ask("one side", {"side": "bid"})
    matches = Ask("matches", {"event_type": "match"})
    price = Ask("a hundredth of the prices", {"min_price": "90500.00", "max_price": "90510.00"})
    get(connection, limit=PAGE_ROWS)
    found = {"in sequence": sequential(connection, pages, plain)}
    found["second pages, at random"] = at_random(connection, pages, begin, plain)
    found["first pages, from random times"] = from_times(connection, pages, begin)
    for ask in (side, matches, price):
        found[f"{ask.name}, in sequence"] = sequential(connection, max(10, pages // 10), ask)
        few = max(10, pages // 10)
        found[f"{ask.name}, second pages, at random"] = at_random(connection, few, begin, ask)
    found["one order's life"] = lives(connection, 10)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--uuids", action="store_true", help="order ids are UUIDs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ordertape-bench-") as name:
        data = Path(name) / "data"
        begin = record(MarketFolder(data, EXCHANGE, SYMBOL), options.rows, options.uuids)
        with EmbeddedServer(data) as server:
            copy(data, Address(SCHEMA, embedded=server), options.rows)
            ways = {}
            for way, database in (("PostgreSQL", True), ("tape alone", False)):
                with asking(Path(name), database) as connection:
                    ways[way] = measured(connection, options.pages, begin)
    print(f"| page of {PAGE_ROWS:,}, {options.rows:,} rows, ms | pages | p50 | p99 |")
    print("|---|---|---|---|")
    for shape in ways["PostgreSQL"]:
        for way, found in ways.items():
            times = quantiles(found[shape])
            print(f"| {shape}, {way} | {len(found[shape])} | {times['p50']} | {times['p99']} |")


if __name__ == "__main__":
    main()
