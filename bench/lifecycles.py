"""What the lives of orders cost: time an event, bytes a row in files and in PostgreSQL."""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from bench.postgres import events
from ordertape.database.address import address_of, connect
from ordertape.database.lifecycles import copy_lives
from ordertape.database.markets import ensure_market
from ordertape.database.schema import create
from ordertape.lifecycles.files import stored_lives
from ordertape.lifecycles.log import Walking, store_next
from ordertape.settings import load_settings
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader

_SIZES = """
    SELECT count(*), sum(pg_relation_size(tableoid)) FILTER (WHERE first),
        sum(pg_indexes_size(tableoid)) FILTER (WHERE first)
    FROM (SELECT tableoid, row_number() OVER (PARTITION BY tableoid) = 1 AS first
        FROM lifecycle_rows) rows
"""


def write(folder: MarketFolder, count: int, uuids: bool) -> None:
    """A tape of synthetic flow, archived."""
    draw, seq, ts = np.random.default_rng(1), 1, time.time_ns() - 3_600 * 10**9
    with JournalWriter(folder) as journal:
        while seq <= count:
            batch = events(min(20_000, count + 1 - seq), seq, ts, uuids, draw)
            journal.append(batch)
            seq, ts = batch.last_seq + 1, batch.last_ts_recv + 1
    with closing(Archiver(folder)) as archiver:
        archiver.finish()


def measure(count: int, uuids: bool) -> list[tuple[str, str]]:
    """(what, figure) in lines."""
    with tempfile.TemporaryDirectory(prefix="ordertape-lives-") as place:
        folder = MarketFolder(Path(place) / "data", "bench", "A/USD")
        write(folder, count, uuids)
        began = time.perf_counter()
        for _ in TapeReader(folder.data, folder.exchange, folder.symbol).batches():
            pass
        reading = time.perf_counter() - began
        began = time.perf_counter()
        with closing(Walking(folder, stored_lives(folder))) as way:
            while way.step():
                pass
        walking = time.perf_counter() - began
        began = time.perf_counter()
        while store_next(folder) is not None:
            pass
        storing = time.perf_counter() - began
        files = stored_lives(folder).files
        rows = sum(len(table) for file in files for table in file.tables())
        cold = sum(file.path.stat().st_size for file in files)
        settings = load_settings(data=folder.data)
        address = address_of(settings)
        address.acquire()
        try:
            address.ensure(lambda _state: None)
            with connect(address) as connection:
                create(connection, address.schema)
                market = ensure_market(connection, "bench", "A/USD", origin="tape")
                began = time.perf_counter()
                copy_lives(folder, connection, market, order_index=True)
                copying = time.perf_counter() - began
                found = connection.execute(_SIZES.encode()).fetchone()
        finally:
            address.release()
    assert found is not None
    assert found[0] == rows
    return [
        ("events", f"{count:,}"),
        ("rows", f"{rows:,}"),
        ("reading the tape", f"{reading / count * 1e6:.2f} µs an event"),
        ("and walking it: book, lives", f"{walking / count * 1e6:.2f} µs an event"),
        ("and storing it", f"{storing / count * 1e6:.2f} µs an event"),
        ("beside the archive", f"{cold / rows:.1f} B a row"),
        ("into PostgreSQL", f"{rows / copying:,.0f} rows a second"),
        ("in PostgreSQL", f"{found[1] / rows:.0f} B a row"),
        ("its indexes", f"{found[2] / rows:.0f} B a row"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--uuids", action="store_true", help="order ids are UUIDs")
    options = parser.parse_args()
    for what, figure in measure(options.events, options.uuids):
        print(f"{what:<30} {figure}")


if __name__ == "__main__":
    main()
