"""``book``, ``verify``, ``status``, ``watch`` and ``export`` on a tape of the simulated venue."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ordertape import cli
from ordertape.models import iso_from_ns
from ordertape.numbers import plain
from ordertape.replay.capture_file import read_lines
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.marks import Mark
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import EVENTS, SegmentReader, segments
from support.processes import SYMBOL, simulated_venue, start_collector, wait_live
from support.tape import Market

MARKET = ("bitfinex", SYMBOL)


@dataclass
class Recorded:
    data: Path
    folder: MarketFolder

    def gap(self) -> dict[str, Any]:
        marks = TapeReader(self.data, *MARKET).marks()
        return [mark.fields for mark in marks if mark.kind == "gap"][-1]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Two runs of a collector, so that there is a gap between two eras, and their frames."""
    data = tmp_path_factory.mktemp("recorded") / "data"
    with simulated_venue(rate=1_000) as environment:
        for _ in range(2):
            collector = start_collector(data, environment, "--capture")
            wait_live(data, collector, events=200)
            assert collector.stop() == 0, collector.ending()
    return Recorded(data, MarketFolder(data, *MARKET))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = cli.run(arguments)
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out


def book(
    capsys: pytest.CaptureFixture[str], recorded: Recorded, *arguments: str, symbol: str = SYMBOL
) -> dict[str, Any]:
    """The answer, every number as the text that stands in it."""
    out = run(
        capsys, "book", "bitfinex", symbol, "--data", str(recorded.data), "--json", *arguments
    )
    assert out.count("\n") == 1
    answer: dict[str, Any] = json.loads(out, parse_float=str, parse_int=str)
    return answer


def test_the_answer_has_the_fields_of_a_snapshot(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = book(capsys, recorded)
    assert list(answer) == [
        *("exchange", "symbol", "sequence", "timestamp", "statistics", "bids", "asks"),
        *("state", "era", "age_ms", "simulated"),
    ]
    assert list(answer["statistics"]) == [
        *("total_orders", "bid_count", "ask_count", "total_bid_volume", "total_ask_volume"),
        *("best_bid", "best_ask", "spread", "mid_price"),
    ]
    assert (answer["exchange"], answer["symbol"]) == MARKET
    assert answer["state"] == "STOPPED"
    assert answer["era"] == "2"
    assert answer["simulated"] is True
    assert answer["timestamp"].endswith("Z")
    assert all(list(order) == ["order_id", "price", "size"] for order in answer["bids"])
    assert len(answer["bids"]) == len(answer["asks"]) == 100


def test_every_number_is_the_venue_s_own_text(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compared with the raw frames: the last price and size that the venue told of each order."""
    answer = book(capsys, recorded, "--depth", "0")
    told: dict[str, tuple[str, str]] = {}
    newest = max((recorded.folder.root / "capture").iterdir())
    for _, line in read_lines(newest):
        frame = json.loads(line.text, parse_float=str, parse_int=str)
        if isinstance(frame, list) and isinstance(frame[1], list) and frame[1]:
            rows = frame[1] if isinstance(frame[1][0], list) else [frame[1]]
            for order_id, price, amount in (row for row in rows if len(row) == 3):
                told[order_id] = (price, amount.lstrip("-"))
    orders = answer["bids"] + answer["asks"]
    assert len(orders) == 500
    assert any("." in order["price"] for order in orders)
    for order in orders:
        assert told[order["order_id"]] == (order["price"], order["size"])


def test_statistics_are_exact(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    answer = book(capsys, recorded, "--depth", "0")
    figures = answer["statistics"]
    bids, asks = answer["bids"], answer["asks"]
    assert figures["bid_count"] == str(len(bids))
    assert figures["total_orders"] == str(len(bids) + len(asks))
    assert figures["total_bid_volume"] == plain(sum((Decimal(o["size"]) for o in bids), Decimal()))
    assert figures["total_ask_volume"] == plain(sum((Decimal(o["size"]) for o in asks), Decimal()))
    best_bid, best_ask = Decimal(bids[0]["price"]), Decimal(asks[0]["price"])
    assert figures["best_bid"] == plain(best_bid)
    assert figures["spread"] == plain(best_ask - best_bid)
    assert figures["mid_price"] == plain((best_ask + best_bid) / 2)
    prices = [Decimal(order["price"]) for order in bids]
    assert prices == sorted(prices, reverse=True)


def test_any_usual_form_of_the_symbol_means_the_market(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = book(capsys, recorded, "--at", "2100-01-01", "--depth", "1")
    for symbol in ("tBTCUST", "BTC-USDT", "btc/usdt", "BTCUST"):
        assert book(capsys, recorded, "--at", "2100-01-01", "--depth", "1", symbol=symbol) == (
            expected
        )


def test_a_moment_inside_a_gap_shows_the_last_book_and_the_gap(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = recorded.gap()
    inside = iso_from_ns((gap["from_ns"] + gap["to_ns"]) // 2)
    answer = book(capsys, recorded, "--at", inside)
    assert answer["era"] == "1"
    assert answer["gap"] == {
        "from": iso_from_ns(gap["from_ns"]),
        "to": iso_from_ns(gap["to_ns"]),
        "reason": "not collected",
        "healed_by": str(gap["healed_by"]),
    }
    text = run(capsys, "book", *MARKET, "--at", inside, "--data", str(recorded.data))
    assert f"inside a gap from {iso_from_ns(gap['from_ns'])}" in text
    after = book(capsys, recorded, "--at", iso_from_ns(gap["to_ns"]))
    assert "gap" not in after
    assert after["era"] == "2"
    assert after["state"] == "LIVE"


def test_the_printed_book_is_marked_simulated(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, "--data", str(recorded.data), "book", *MARKET, "--depth", "3")
    assert "bitfinex BTC/USDT  SIMULATED  STOPPED  era 2" in text
    assert len(text.splitlines()) == 6


def test_verify_says_what_was_compared(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(recorded.data)
    assert "in 2 eras" in run(capsys, "verify", *MARKET, "--data", data)
    answer = json.loads(run(capsys, "verify", *MARKET, "--data", data, "--json"))
    assert answer["equal"] is True
    assert answer["eras"] == 2
    assert answer["marks"] == answer["marks_equal"] > 2


def test_verify_lists_the_gaps(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    data, gap = str(recorded.data), recorded.gap()
    shown = {"from": iso_from_ns(gap["from_ns"]), "to": iso_from_ns(gap["to_ns"])}
    answer = json.loads(run(capsys, "verify", *MARKET, "--data", data, "--json"))
    assert answer["gaps"] == 1
    assert answer["gap_list"] == [
        {**shown, "reason": "not collected", "healed_by": gap["healed_by"]}
    ]
    head, line = run(capsys, "verify", *MARKET, "--data", data).splitlines()
    assert " in 2 eras, 1 gap, " in head
    assert line == (
        f"  gap from {shown['from']} to {shown['to']}: not collected; "
        f"healed by event {gap['healed_by']:,}"
    )


def test_verify_ends_with_status_1_where_a_mark_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = Market()
    with JournalWriter(MarketFolder(tmp_path, *MARKET)) as journal:
        for batch in market.messages(30, clear_every=30):
            journal.append(batch)
        wrong = {"era": 1, "orders": 1, "digest": "0" * 32}
        journal.mark(Mark("digest", market.book.seq, market.now, wrong))
    status = cli.run(["verify", *MARKET, "--data", str(tmp_path), "--json"])
    captured = capsys.readouterr()
    assert status == 1
    assert json.loads(captured.out)["equal"] is False
    assert "0" * 32 in json.loads(captured.out)["first_difference"]


def test_status_lists_what_is_recorded(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(capsys, "status", "--data", str(recorded.data))
    assert text.startswith("bitfinex BTC/USDT  SIMULATED  STOPPED  era 2  sequence ")
    (row,) = json.loads(run(capsys, "status", "--data", str(recorded.data), "--json"))["markets"]
    assert row["symbol"] == SYMBOL
    assert row["pid"] is None
    events = list(TapeReader(recorded.data, *MARKET).batches())
    first, last = events[0][0]["ts_recv"], events[-1].last_ts_recv
    assert (row["first_time"], row["last_time"]) == (iso_from_ns(first), iso_from_ns(last))
    assert row["events"] == row["sequence"] == sum(sum(batch.counts()) for batch in events)
    assert (row["gaps"], row["state"]) == (1, "STOPPED")
    assert f"  {row['first_time']} to {row['last_time']}  {row['events']:,} events  1 gap" in text


def test_status_counts_what_is_there_where_events_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, market = MarketFolder(tmp_path, *MARKET), Market()
    batches = list(market.messages(40, clear_every=20))
    with JournalWriter(folder) as journal:
        for batch in batches:
            journal.append(batch)
            journal.sync()
    (segment,) = segments(folder.journal)
    with closing(SegmentReader(segment)) as reader:
        offset, events = 0, list[int]()
        while (header := reader.header(offset)) is not None:
            if header.type == EVENTS:
                events.append(offset + header.length // 2)
            offset += header.length
    damaged = bytearray(segment.path.read_bytes())
    damaged[events[5]] ^= 1
    segment.path.write_bytes(damaged)
    (row,) = json.loads(run(capsys, "status", "--data", str(tmp_path), "--json"))["markets"]
    assert row["sequence"] == market.book.seq
    assert row["events"] == market.book.seq - len(batches[5])
    assert (row["gaps"], row["first_time"]) == (1, iso_from_ns(batches[0].last_ts_recv))


@pytest.mark.parametrize(
    ("form", "ending"),
    [("parquet", ".parquet"), ("csv", ".csv"), ("lobster", ".csv"), ("hftbacktest", ".npz")],
)
def test_export_prints_the_files_it_wrote(
    form: str,
    ending: str,
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("export", form, *MARKET, "--data", str(recorded.data), "--out")
    printed = run(capsys, *arguments, str(tmp_path / "a")).split()
    listed = json.loads(run(capsys, *arguments, str(tmp_path / "b"), "--json"))["files"]
    assert [Path(path).name for path in printed] == [Path(path).name for path in listed]
    assert all(Path(path).stat().st_size for path in printed + listed)
    assert any(path.endswith(ending) for path in printed)


def test_watch_in_a_pipe_is_a_line_a_second_until_interrupted(recorded: Recorded) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "ordertape.cli", "watch", *MARKET, "--data", str(recorded.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        line = watching.stdout.readline()
        watching.terminate()
        assert watching.wait(10) == 0
        assert watching.stderr.read() == ""
    assert line.startswith("bitfinex BTC/USDT  SIMULATED  STOPPED  era 2  seq ")
