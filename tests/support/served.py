"""One server for the tests of the interface: a live simulated market and two finished tapes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from ordertape._engine import BatchBuilder, EventBatch, OrderBook
from ordertape.database.address import Address, address_of
from ordertape.database.address import connect as connect_database
from ordertape.errors import DatabaseError
from ordertape.events import EventKind, Side
from ordertape.roles.status import read_report
from ordertape.settings import load_settings
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.history import history_of
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark, gap_mark
from ordertape.tape.reader import TapeReader
from support.processes import simulated_venue, wait_for
from support.server import API, serving
from support.tape import START, Market

LIVE = "BTC/USDT"
FINISHED = "OLD/USD"
EXACT = "EXACT/USD"
NINE_DIGITS = 1_700_000_000_123_456_789
"""When everything on the exact tape was received, ns."""
ERA = 1_250
"""Messages of the finished tape's first era."""
SECOND = 10**9


@dataclass
class Served:
    """Its address, its data, and what stands on the finished tape."""

    address: str
    data: Path
    batches: list[EventBatch]
    environment: dict[str, str]
    """What says where its database is."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(timeout=120)

    @property
    def schema(self) -> str:
        return self.environment.get("OTC_SCHEMA", "otc_analysis")

    def database(self) -> Address:
        """Its database, which runs as long as it does."""
        url = self.environment["DATABASE_URL"] or None
        given = {"database_url": url, "database_schema": self.schema, "data": self.data}
        return address_of(load_settings(**given))

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(f"{self.address}{API}{path}", params=parameters)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.client.post(f"{self.address}{API}{path}", json=body)

    def answer(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A good answer; its numbers with a point are Decimals."""
        response = self.get(path, **parameters)
        assert response.status_code == 200, response.text
        return exact(response.text)

    def refused(self, path: str, status: int, **parameters: Any) -> str:
        """The sentence of a bad answer."""
        return sentence(self.get(path, **parameters), status)

    def socket(self, symbol: str = LIVE, query: str = "", **options: Any) -> ClientConnection:
        address = f"{self.address.replace('http', 'ws', 1)}{API}/ws/{symbol}"
        # With a bounded queue the client would not read the answer to its close.
        options = {"max_queue": None, **options}
        return connect(f"{address}?{query}" if query else address, **options)

    def begin(self, symbol: str = LIVE, persist: bool = True) -> None:
        """The live market is LIVE and has events."""
        wish = {"symbol": symbol, "exchanges": ["bitfinex"], "persist": persist}
        answer = self.post("/start", wish)
        assert answer.status_code == 200, answer.text

        def live() -> bool:
            status = self.get(f"/status/bitfinex/{symbol}").json()
            return bool(status["state"] == "LIVE" and status["orders_received"] > 50)

        wait_for(live, "a live market", pause=0.05)

    def book_at(self, sequence: int, symbol: str = LIVE) -> OrderBook:
        """The tape's own book after an event, from the first one on."""
        book = OrderBook()
        for batch in TapeReader(self.data, "bitfinex", symbol).batches():
            rows = batch[: batch.search_seq(sequence + 1)]
            book.apply(rows)
            if len(rows) < len(batch):
                break
        assert book.seq == sequence
        return book

    def kill_collector(self) -> None:
        """The live market's collector is gone without a word."""

        def killed() -> bool:
            report = read_report(MarketFolder(self.data, "bitfinex", LIVE).root)
            try:
                os.kill(report.pid if report is not None else 2**22, signal.SIGKILL)
            except ProcessLookupError:
                return False  # the next one has not reported yet
            return True

        wait_for(killed, "a collector to kill")


def exact(text: str | bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return found


def sentence(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"detail"}
    detail: str = response.json()["detail"]
    assert "\n" not in detail
    return detail


def finished_tape(data: Path) -> list[EventBatch]:
    """A tape of 2,000 messages half of which are archived, with two eras and a gap between."""
    market = Market(seed=3)
    folder = MarketFolder(data, "bitfinex", FINISHED)
    batches: list[EventBatch] = []
    with JournalWriter(folder) as journal:
        for nth, batch in enumerate(market.messages(2_000, clear_every=ERA)):
            if batch[0]["kind"] == 5:
                era, now = len(batches) // ERA + 1, batch.last_ts_recv
                if era > 1:
                    lost = batches[-1].last_ts_recv
                    journal.mark(gap_mark(market.next_seq - 1, lost, None, "a test", era=1))
                journal.append(batch)
                if era > 1:
                    healed = gap_mark(
                        batch.last_seq, lost, now, "a test", era=era, healed_by=batch.first_seq
                    )
                    journal.mark(healed)
                journal.mark(Mark("era", batch.first_seq, now, {"era": era}))
            else:
                journal.append(batch)
            batches.append(batch)
            if nth == 1_000:
                journal.sync()
                Archiver(folder).finish()
            market.now += SECOND // 100
    assert history_of(TapeReader(data, "bitfinex", FINISHED)).last_era == 2
    return batches


def exact_tape(data: Path) -> None:
    """Three orders with numbers that no float and no short form holds, and one change."""
    builder = BatchBuilder("ascii", None, None, "int")
    now = NINE_DIGITS
    builder.add(EventKind.CLEAR, None, None, None, None, now)
    builder.add(EventKind.OPEN, Side.BID, "small", "0.00000001", "90071992547.40993001", now)
    builder.add(EventKind.OPEN, Side.ASK, "whole", "1200.00", "5.50", now)
    builder.add(EventKind.OPEN, Side.ASK, "long", "90071992547.40993", "100", now, now - 1)
    builder.add(EventKind.CHANGE, Side.ASK, "whole", "1200.00", "5.00", now)
    with JournalWriter(MarketFolder(data, "bitfinex", EXACT)) as journal:
        batch = builder.finish(1)
        OrderBook(codec=batch.codec).apply(batch)  # fills in what was before the change
        journal.append(batch)
        journal.mark(Mark("era", 1, now, {"era": 1}))


@contextmanager
def serve(folder: Path, database: dict[str, str], rate: int = 200) -> Iterator[Served]:
    """The whole server; its Bitfinex is a simulated one with three pairs.

    ``database``: the environment that says where it is; DATABASE_URL is empty for the embedded.
    """
    data = folder / "data"
    batches = finished_tape(data)
    exact_tape(data)
    with (
        simulated_venue(rate=rate, pairs=("tBTCUST", "tETHUST", "tXRPUST")) as environment,
        serving(folder, {**environment, **database}) as address,
    ):
        found = Served(address, data, batches, database)
        with found.client:
            wait_for(lambda: has_tables(found), "the tables")
            yield found


def has_tables(served: Served) -> bool:
    """Whether the keeper has made them; the embedded database begins beside the server."""
    with suppress(DatabaseError), connect_database(served.database()) as connection:
        newest = f"{served.schema}.level3_gaps"
        found = connection.execute("SELECT to_regclass(%s)", (newest,)).fetchone()
        return found is not None and found[0] is not None
    return False


__all__ = [
    "ERA",
    "EXACT",
    "FINISHED",
    "LIVE",
    "NINE_DIGITS",
    "START",
    "Served",
    "exact",
    "finished_tape",
    "sentence",
    "serve",
]
