"""What a server knows of the streams, with and without a collector that answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from ordertape import limits
from ordertape.errors import MarketBusy, NameRefused, SettingRefused, TapeError, UnknownMarket
from ordertape.models import StreamInfo
from ordertape.roles.children import Child
from ordertape.roles.control import ControlClient
from ordertape.roles.memory import MemoryFolder, trim
from ordertape.roles.server import control_path
from ordertape.roles.status import StreamReport, write_report
from ordertape.roles.streams import Streams
from ordertape.roles.wanted import WantedStream, WantedStreams
from ordertape.settings import load_settings
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.reader import TapeReader
from ordertape.tape.rebuild import rebuild
from ordertape.tape.segment import segments
from support.processes import SYMBOL, simulated_venue, wait_for
from support.tape import Market


@pytest.fixture(scope="module")
def venue() -> Iterator[dict[str, str]]:
    with simulated_venue(pairs=("tBTCUST", "tETHUST")) as environment:
        yield environment


def record(data: Path, symbol: str = SYMBOL, report: StreamReport | None = None) -> MarketFolder:
    folder, market = MarketFolder(data, "bitfinex", symbol), Market()
    with JournalWriter(folder) as journal:
        for batch in market.messages(20, clear_every=20):
            journal.append(batch)
    if report is not None:
        write_report(folder.root, report)
    return folder


async def test_a_symbol_that_was_not_collected_here_is_no_word_about_the_venue(
    tmp_path: Path,
) -> None:
    record(tmp_path)
    streams = without_collectors(tmp_path)
    with pytest.raises(UnknownMarket) as refused:
        streams.resolve("Bitfinex", "LTC/USD")
    assert str(refused.value) == f"bitfinex LTC/USD was never collected in {tmp_path}"
    with pytest.raises(NameRefused, match="is no symbol for bitfinex"):
        streams.resolve("bitfinex", "!")


def left_behind(state: str, **known: object) -> StreamReport:
    """The report of a collector that is gone."""
    fields = {"exchange": "bitfinex", "symbol": SYMBOL, "pid": 2**22, "simulated": False}
    return msgspec.convert({**fields, "state": state, "sequence": 40, **known}, StreamReport)


def nobody(_exchange: str, _on_change: object) -> ControlClient:
    raise AssertionError("no collector is to be started")


def without_collectors(data: Path) -> Streams:
    return Streams(load_settings(data=data), nobody)


# Without a collector ------------------------------------------------------------------------------


async def test_a_market_that_was_collected_is_stopped_and_an_unknown_one_is_unknown(
    tmp_path: Path,
) -> None:
    record(tmp_path, report=left_behind("LIVE", last_frame_at=5, errors=["a loss"]))
    streams = without_collectors(tmp_path)
    info = streams.status("bitfinex", "tBTCUST")
    assert info is not None
    assert (info.state, info.reason) == ("STOPPED", "nobody collects it")
    assert (info.sequence, info.last_update, list(info.errors)) == (40, 5, ["a loss"])
    assert not info.is_active
    assert streams.all() == [info]
    assert streams.resolve("Bitfinex", "btc-usdt") == ("bitfinex", SYMBOL)
    assert streams.status("bitfinex", "BTC/USD") is None
    assert streams.status("nowhere", "BTC/USD") is None
    for exchange, symbol in (("bitfinex", "BTC/USD"), ("nowhere", "BTC/USD")):
        with pytest.raises(UnknownMarket):
            streams.resolve(exchange, symbol)
        with pytest.raises(UnknownMarket):
            await streams.stop(exchange, symbol)
    assert await streams.stop("bitfinex", "BTCUST") == info


async def test_a_stream_that_failed_stays_so_and_one_that_is_wanted_is_about_to_begin(
    tmp_path: Path,
) -> None:
    record(tmp_path, report=left_behind("FAILED", reason="no such pair"))
    streams = without_collectors(tmp_path)
    assert streams.all()[0].state == "FAILED"
    assert streams.all()[0].reason == "no such pair"
    WantedStreams(tmp_path, "bitfinex").add(SYMBOL, WantedStream())
    assert streams.all()[0].state == "CONNECTING"
    assert streams.all()[0].is_active


async def test_a_market_without_a_report_is_known_by_its_tape(tmp_path: Path) -> None:
    record(tmp_path)
    (info,) = without_collectors(tmp_path).all()
    assert (info.state, info.started_at, info.orders_received) == ("STOPPED", None, 0)


async def test_a_market_that_can_t_be_read_says_so_and_the_others_are_told(tmp_path: Path) -> None:
    record(tmp_path)
    closed = MarketFolder(tmp_path, "bitfinex", "C/D")
    closed.root.mkdir()
    closed.journal.symlink_to(closed.journal)
    whole, unread = without_collectors(tmp_path).all()
    assert (whole.state, whole.reason) == ("STOPPED", "nobody collects it")
    assert (unread.symbol, unread.state) == ("C/D", "STOPPED")
    assert "symbolic links" in unread.reason


async def test_many_markets_are_told_without_reading_their_tapes_again(tmp_path: Path) -> None:
    for nth in range(200):
        name = f"X{nth:03}/USDT"
        root = MarketFolder(tmp_path, "bitfinex", name).root
        (root / "journal").mkdir(parents=True)
        (root / "journal" / "1.journal").touch()
        write_report(root, left_behind("STOPPED", symbol=name))
        for path in (root / "status.json", root.parent, tmp_path):
            os.utime(path, ns=(1, 1))
    streams = without_collectors(tmp_path)
    assert len(streams.all()) == 200
    began = time.process_time()
    for _ in range(5):
        assert len(streams.all()) == 200
        assert streams.resolve("bitfinex", "X199/USDT") == ("bitfinex", "X199/USDT")
    # On the way it was quadratic: two seconds and a half each.
    assert time.process_time() - began < 5 * 0.25


async def test_what_can_t_be_started_is_refused_before_anything_is(tmp_path: Path) -> None:
    streams = without_collectors(tmp_path)
    for interval in (9, 3601):
        with pytest.raises(SettingRefused, match=f"is {interval}: expected 10 to 3600"):
            await streams.start("bitfinex", SYMBOL, True, interval)
    with pytest.raises(UnknownMarket, match="there is no venue 'nowhere'"):
        await streams.start_all(["bitfinex", "nowhere"], SYMBOL)


# With one -----------------------------------------------------------------------------------------


class Collecting:
    """A collector as a process, and the streams over it."""

    def __init__(self, data: Path, venue: dict[str, str], **settings: str) -> None:
        self.control = control_path(data, "bitfinex")
        self.child = Child(
            "the collector",
            "ordertape.roles.collector",
            ["bitfinex", "--data", str(data), "--control", str(self.control), "--watch-parent"],
            {**venue, "ORDERTAPE_LOGS": str(data.parent / "logs"), **settings},
        )
        self.child.first_line()
        self.streams = Streams(load_settings(data=data), self.connect)

    def connect(self, _exchange: str, on_change: object) -> ControlClient:
        self.client = ControlClient(self.control, on_change)
        self.client.begin()
        return self.client

    async def until(self, state: str, symbol: str = SYMBOL, sequence: int = 0) -> StreamInfo:
        self.streams.collector("bitfinex")
        while True:
            told = self.streams.changed()
            info = self.streams.status("bitfinex", symbol)
            if info is not None and info.state == state and info.sequence >= sequence:
                told.close()
                return info
            await told

    async def close(self) -> None:
        await self.client.close()
        assert self.child.stop() == 0, self.child.ending()


async def test_streams_are_started_told_and_stopped(tmp_path: Path, venue: dict[str, str]) -> None:
    collecting = Collecting(tmp_path / "data", venue)
    streams = collecting.streams
    (begun,) = await streams.start_all(["bitfinex", "BITFINEX"], "tBTCUST", True, 30)
    assert (begun.symbol, begun.is_active, begun.persist) == (SYMBOL, True, True)
    live = await collecting.until("LIVE", sequence=50)
    assert (live.era, live.orders_received) == (1, live.sequence)
    assert live.orders_received >= live.orders_persisted
    with pytest.raises(UnknownMarket, match="lists no market 'QQQ/YYY'"):
        await streams.start("bitfinex", "QQQ/YYY")
    assert [info.symbol for info in streams.all()] == [SYMBOL]
    again = await streams.start("bitfinex", "BTC-USDT", persist=False, interval=60)
    assert (again.started_at, again.persist) == (begun.started_at, True)
    stopped = await streams.stop("bitfinex", "btcust")
    assert (stopped.state, stopped.reason) == ("STOPPED", "asked to stop")
    assert stopped.orders_persisted == stopped.orders_received >= 50
    folder = MarketFolder(tmp_path / "data", "bitfinex", SYMBOL)
    busy = pytest.raises(MarketBusy, match=f"is being written by process {os.getpid()}")
    with folder.writing(), busy:
        await streams.start("bitfinex", SYMBOL)
    begun = await streams.start("bitfinex", SYMBOL)
    live = await collecting.until("LIVE", sequence=stopped.sequence + 10)
    assert live.era == 2
    assert live.orders_received == live.sequence - stopped.sequence
    await collecting.close()
    assert list(WantedStreams(tmp_path / "data", "bitfinex").streams) == [SYMBOL]


async def test_a_wanted_stream_waits_until_its_market_is_free(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    WantedStreams(data, "bitfinex").add(SYMBOL, WantedStream())
    with MarketFolder(data, "bitfinex", SYMBOL).writing():
        collecting = Collecting(data, venue)
        failed = await collecting.until("FAILED")
        assert "is being written by process" in failed.reason
    await collecting.until("LIVE")
    os.kill(collecting.child.pid, signal.SIGTERM)
    await collecting.close()


async def test_nothing_persists_where_the_setting_says_so(
    tmp_path: Path, venue: dict[str, str]
) -> None:
    data = tmp_path / "data"
    collecting = Collecting(data, venue, L3_PERSIST_ENABLED="false")
    begun = await collecting.streams.start("bitfinex", SYMBOL)
    assert not begun.persist
    first = await collecting.until("LIVE", sequence=20)
    assert (first.orders_persisted, first.data) == (0, MemoryFolder(collecting.control).path)
    stopped = await collecting.streams.stop("bitfinex", SYMBOL)
    await collecting.streams.start("bitfinex", SYMBOL)
    # As long as the collector lives the sequence goes on; readers see no second beginning.
    assert (await collecting.until("LIVE", sequence=stopped.sequence + 1)).era == 2
    assert WantedStreams(data, "bitfinex").streams == {}
    await collecting.close()
    assert not MemoryFolder(collecting.control).path.exists()
    assert not MarketFolder(data, "bitfinex", SYMBOL).exists


# In memory ----------------------------------------------------------------------------------------


def test_a_journal_in_memory_stays_small_and_any_reader_can_begin(tmp_path: Path) -> None:
    folder, market = MarketFolder(tmp_path, "bitfinex", SYMBOL), Market()
    followed = [0]
    stop = threading.Event()

    def follow() -> None:
        for item in TapeReader(tmp_path, "bitfinex", SYMBOL).follow(stop):
            followed[0] = getattr(item, "last_seq", followed[0])

    with closing(JournalWriter(folder, book=market.book, segment_bytes=64 * 1024)) as journal:
        journal.append(market.message(clear=True))
        reader = threading.Thread(target=follow)
        reader.start()
        for nth in range(8_000):
            journal.append(market.message())
            if nth % 100 == 0:
                trim(folder)
        trim(folder)
        left = segments(folder.journal)
        assert len(left) == limits.memory_segments_kept
        assert left[0].number > 1
        assert rebuild(tmp_path, "bitfinex", SYMBOL).digest() == market.book.digest()
        last = market.next_seq - 1
        wait_for(lambda: followed[0] == last, "the follower's end")
        stop.set()
        reader.join()
    with closing(JournalWriter(folder, book=market.book)) as journal:
        assert journal.recovered.last_seq == last
        assert journal.recovered.era == market.book.era


def test_a_folder_in_memory_is_made_removed_and_never_somebody_else_s(tmp_path: Path) -> None:
    memory = MemoryFolder(tmp_path / "control.sock")
    assert MemoryFolder(tmp_path / "other.sock").path != memory.path
    folder = memory.make()
    assert memory.make() == folder
    (folder / "inside").mkdir()
    memory.remove()
    assert not folder.exists()
    memory.remove()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(TapeError, match="found somebody else's"):
            memory.make()
        memory.remove()
        assert folder.is_symlink()
    finally:
        folder.unlink()
