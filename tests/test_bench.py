"""The benchmarks run at tiny sizes, without peers, and their results have the agreed form."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from bench.__main__ import BENCHMARKS, main
from bench.book import PlainBook
from bench.context import Bench, Sizes
from bench.measure import Sample
from bench.own_stream import operations
from bench.peers import Missing, Peers
from bench.report import (
    BenchmarkFailed,
    Row,
    Skipped,
    merged,
    read_results,
    renewed_page,
    write_results,
)
from bench.streams import state_digest
from ordertape._engine import OrderBook

TOP = Path(__file__).resolve().parent.parent
TINY = Sizes(
    rounds=2,
    stream_events=2_000,
    live_orders=300,
    plain_events=500,
    updates=300,
    tape_events=2_000,
    memory_orders=1_000,
)
AGREED = ("name", "value", "unit", "compared_with", "ratio", "machine")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("ORDERTAPE_SHARED", str(tmp_path / "nothing"))
    return Bench(TINY, Peers(wanted=False, work=tmp_path), tmp_path)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_measures_ours_and_says_what_is_missing(name: str, bench: Bench) -> None:
    found = list(BENCHMARKS[name](bench))
    rows = [row for row in found if isinstance(row, Row)]
    assert rows
    assert all(row.value > 0 and row.unit for row in rows)
    assert all(gap.reason for gap in found if isinstance(gap, Skipped))
    module = importlib.import_module(f"bench.{name}")
    assert module.__doc__


def test_the_page_tells_of_every_benchmark() -> None:
    page = (TOP / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in BENCHMARKS if f"| `{name}` |" not in page] == []


# Streams ------------------------------------------------------------------------------------------


def test_our_own_stream_fits_its_book_and_leaves_it_as_large(bench: Bench) -> None:
    stream = bench.stream
    snapshot, events = stream.batches()
    book = OrderBook()
    assert book.apply(snapshot).faults == 0
    assert book.apply(events).faults == 0
    assert len(book) == pytest.approx(TINY.live_orders, rel=0.3)
    assert stream.source == "our own generator"


def test_the_plain_book_and_the_engine_agree_on_places_too(bench: Bench) -> None:
    snapshot, events = bench.stream.batches()
    ours, plain = OrderBook(), PlainBook()
    ours.apply(snapshot)
    ours.apply(events)
    plain.play(bench.stream.rows_before() + bench.stream.rows())
    assert state_digest(ours) == plain.digest()


def test_a_stream_is_the_same_for_a_seed() -> None:
    assert list(operations(200, 50, 3)) == list(operations(200, 50, 3))
    assert list(operations(200, 50, 3)) != list(operations(200, 50, 4))


# Results ------------------------------------------------------------------------------------------


def row(name: str, value: float = 2.0) -> Row:
    return Row.of(name, Sample((1.0, value, 3.0)), "ns", compared_with="it", ratio=0.5)


def test_a_row_has_the_agreed_fields(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, [row("engine").ratio_at_most(1.5)])
    fields = json.loads(path.read_text())[0]
    assert tuple(fields)[: len(AGREED)] == AGREED
    assert (fields["value"], fields["min"], fields["max"]) == (2.0, 1.0, 3.0)
    assert fields["met"] is True
    assert read_results(path) == [row("engine").ratio_at_most(1.5)]


def test_measuring_some_keeps_the_rows_of_the_others() -> None:
    old = [row("engine"), row("journal"), row("archive")]
    new = [row("memory"), row("journal", 2.5)]
    assert merged(old, new) == [row("engine"), row("journal", 2.5), row("archive"), row("memory")]


def test_a_figure_that_asks_for_speed_is_met_from_its_limit_on() -> None:
    assert Row("path", 1.0, "ns", ratio=5.0).times_as_fast(5).met is True
    assert Row("path", 1.0, "ns", ratio=4.9).times_as_fast(5).met is False
    assert Row("path", 1.0, "ns").times_as_fast(5).met is None


def test_the_table_of_the_page_is_that_of_the_results() -> None:
    results = read_results(TOP / "bench" / "results.json")
    page = (TOP / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    if not results:
        pytest.skip("no results.json: `make bench` writes it")
    assert page == renewed_page(page, results)


def test_the_table_is_put_where_the_page_wants_it() -> None:
    page = "before\n<!-- results -->\n<!-- end -->\nafter\n"
    once = renewed_page(page, [row("engine")])
    assert "| engine |" in once
    assert renewed_page(once, [row("engine")]) == once
    assert "| engine |" not in renewed_page(once, [row("journal")])
    with pytest.raises(BenchmarkFailed, match="expected one"):
        renewed_page("no place", [row("engine")])


# The command --------------------------------------------------------------------------------------


def test_what_is_no_benchmark_is_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["engines"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_look_writes_no_results_of_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    assert main(["memory", "--quick", "--no-peers", "--out", str(out)]) == 0
    assert {row.name.partition(",")[0] for row in read_results(out)} == {"memory"}
    assert "2 figures met" in capsys.readouterr().out


def test_a_peer_that_is_not_wanted_is_missing_with_a_reason(tmp_path: Path) -> None:
    peers = Peers(wanted=False, work=tmp_path)
    with pytest.raises(Missing, match="left out"):
        peers.python("cryptofeed", ["cryptofeed==2.4.1"])
