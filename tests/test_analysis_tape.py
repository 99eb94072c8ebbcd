"""Metrics of tapes: from anywhere on, beside gaps, in frames, over REST, and live."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from websockets.sync.client import connect

import ordertape as ot
from ordertape.analysis.fits import FITS
from ordertape.analysis.measure import measure, measured, period_of
from ordertape.analysis.metrics import METRICS
from ordertape.errors import SettingRefused, UnknownMarket
from ordertape.models import iso_from_ns
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder
from ordertape.tape.journal import JournalWriter
from ordertape.tape.lookup import TapeLookup
from ordertape.tape.marks import gap_mark
from ordertape.times import parse_time
from support.cold import cool_all
from support.interface import interface
from support.recorded_lives import Unexplained
from support.served import LIVE, Served, sentence
from support.server import API
from support.tape import START

NAMES = ("bitfinex", "A/USD")
SECOND = 10**9
BEGIN_S = START // SECOND


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> MarketFolder:
    """Ten minutes with two gaps, most of it archived."""
    folder = MarketFolder(tmp_path_factory.mktemp("analysis"), *NAMES)
    market = Unexplained("int", seed=3, orders=30)
    with JournalWriter(folder) as writer:
        writer.append(market.message(clear=True))
        for nth in range(6_000):
            if nth in (2_000, 4_000):
                lost = market.now + 1
                gap = gap_mark(market.next_seq - 1, lost, None, "the line broke", era=1)
                writer.mark(gap)
                market.now += 20 * SECOND
                batch = market.message(clear=True)
                writer.append(batch)
                healed = {"era": 2, "healed_by": batch.first_seq}
                writer.mark(gap_mark(batch.last_seq, lost, market.now, "the line broke", **healed))
            writer.append(market.message(step_ns=100_000_000))
    archiver = Archiver(folder, file_rows_max=2_000, row_group_rows=300)
    archiver.finish()
    archiver.close()
    reader = ot.read_tape(folder.data, *NAMES)
    market.continue_with(*[(b.codec, b.trade_codec) for b in reader][-1])
    with JournalWriter(folder) as writer:
        for batch in market.messages(500, step_ns=100_000_000):
            writer.append(batch)
    return folder


def columns(folder: MarketFolder, start: int, end: int, step: int) -> dict[str, Any]:
    lookup = TapeLookup(folder)
    period = period_of(lookup, start * SECOND, end * SECOND)
    return measured(measure(lookup, period, step), METRICS.values())


@pytest.mark.parametrize("begin", [61, 150, 222, 333, 480])
def test_a_walk_from_anywhere_finds_what_one_from_the_beginning_does(
    begin: int, tape: MarketFolder
) -> None:
    whole = columns(tape, BEGIN_S, BEGIN_S + 600, 1)
    part = columns(tape, BEGIN_S + begin, BEGIN_S + begin + 90, 1)
    known = 0
    for name, values in part.items():
        expected = whole[name][begin : begin + 90]
        assert values == pytest.approx(expected, rel=1e-12, nan_ok=True), name
        known += np.isfinite(values).sum()
    assert known > 2_000


def test_cold_files_tell_the_same_as_plain_ones(tape: MarketFolder, tmp_path: Path) -> None:
    shutil.copytree(tape.data, tmp_path / "data")
    cold = MarketFolder(tmp_path / "data", *NAMES)
    assert cool_all(cold)
    before, after = (columns(at, BEGIN_S, BEGIN_S + 620, 20) for at in (tape, cold))
    for name, values in before.items():
        assert np.array_equal(after[name], values, equal_nan=True), name


def test_windows_beside_a_gap_are_null_and_say_how_long_it_was(tape: MarketFolder) -> None:
    found = columns(tape, BEGIN_S, BEGIN_S + 600, 10)
    gaps = found["gap_seconds"]
    assert gaps.sum() == pytest.approx(40, abs=0.1)
    beside = gaps > 0.5
    assert 4 <= beside.sum() <= 6
    for name in ("events_per_second", "arrival_rate_bid", "quoted_spread", "mid", "fill_ratio_any"):
        assert np.isnan(found[name][beside]).all(), name
        assert np.isfinite(found[name][~beside]).all(), name


def test_the_last_hour_is_the_tape_where_no_times_are_given(tape: MarketFolder) -> None:
    frame = ot.read_analysis(tape.data, *NAMES, step=30, metrics=["mid", "event_rate"])
    assert frame.columns == [
        *("begin", "gap_seconds", "mid", "mid_end", "bid_end", "ask_end"),
        *("events_per_second", "messages_per_second"),
    ]
    assert frame["begin"].dtype == pl.Datetime("ns", "UTC")
    assert frame["begin"][0].timestamp() == BEGIN_S
    assert 99 < frame["mid"].drop_nulls().mean() < 101
    assert frame["mid"].null_count() > 0


@pytest.mark.parametrize("name", FITS)
def test_every_fit_of_a_tape_has_a_summary_and_a_table(name: str, tape: MarketFolder) -> None:
    summary, table = ot.fit_analysis(tape.data, *NAMES, name)
    assert summary
    assert isinstance(table, pl.DataFrame)
    if name == "lifetimes":
        assert summary["orders"] > 1_000
        total = table["alive"] + table["filled"] + table["canceled"]
        assert total.to_list() == pytest.approx([1] * len(table))
    if name == "hawkes":
        assert summary["orders"] > 100
        assert summary["branching"] < 0.3  # the market of the tests draws at even times
    if name == "vpin":
        assert "Andersen" in summary["caption"]


def test_lifetimes_are_those_of_the_lives_that_are_stored(tape: MarketFolder) -> None:
    start, end = (BEGIN_S + 100) * SECOND, (BEGIN_S + 400) * SECOND
    summary, table = ot.fit_analysis(tape.data, *NAMES, "lifetimes", start, end)
    ended = pl.concat([pl.from_arrow(rows) for rows in ot.read_lifecycles(tape.data, *NAMES)])
    mine = ended.filter((pl.col("opened") >= start) & (pl.col("opened") < end))
    mine = mine.filter(pl.col("flags") & 1 == 0)
    alive = sum(
        ((rows["opened"] >= start) & (rows["opened"] < end)).sum()
        for rows in map(pl.from_arrow, ot.read_lifecycles(tape.data, *NAMES, alive=True))
    )
    assert summary["orders"] == len(mine) + alive
    first = mine.filter(pl.col("ended") - pl.col("opened") <= 10_000_000)
    told = first.filter(pl.col("ending") == 1)
    assert 1 - table["alive"][1] == pytest.approx(len(told) / summary["orders"], abs=0.01)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"step": 0}, "step: expected 1 to 86400 seconds, found 0"),
        ({"step": 1, "end": "2030-01-01T00:00:00Z"}, "expected at most 10000 windows, found"),
        ({"metrics": ["wealth"]}, "metrics: expected names among .* found 'wealth'"),
        ({"start": "yesterday"}, "expected a time like"),
        (
            {"start": "2020-01-01T00:00:00Z", "end": "2019-01-01T00:00:00Z"},
            "an end after the start",
        ),
    ],
)
def test_what_can_not_be_asked_is_one_sentence(
    options: dict[str, Any], sentence: str, tape: MarketFolder
) -> None:
    with pytest.raises(SettingRefused, match=sentence):
        ot.read_analysis(tape.data, *NAMES, **options)


def test_a_fit_or_market_that_is_not_there_is_one_sentence(tape: MarketFolder) -> None:
    with pytest.raises(SettingRefused, match=r"fit: expected one of lifetimes, .* found 'luck'"):
        ot.fit_analysis(tape.data, *NAMES, "luck")
    with pytest.raises(SettingRefused, match="vpin: expected no options, found 'bar'"):
        ot.fit_analysis(tape.data, *NAMES, "vpin", bar=5)
    with pytest.raises(SettingRefused, match="bar: expected 1 to 3600, found 0"):
        ot.fit_analysis(tape.data, *NAMES, "kyle", bar=0)
    with pytest.raises(UnknownMarket):
        ot.read_analysis(tape.data, "bitfinex", "B/USD")


def test_one_call_draws_columns_one_below_the_other(tape: MarketFolder) -> None:
    pytest.importorskip("matplotlib", reason="an extra: pip install 'ordertape[analysis]'")
    frame = ot.read_analysis(tape.data, *NAMES, step=10)
    figure = ot.plot_analysis(frame, "mid", "arrival_rate_bid")
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["mid", "arrival_rate_bid"]
    drawn = figure.axes[0].lines[0].get_ydata()
    assert np.isnan(drawn).sum() == frame["mid"].null_count()
    with pytest.raises(SettingRefused, match="found 'wealth'"):
        ot.plot_analysis(frame, "wealth")


def test_a_package_that_is_missing_is_named_with_the_way_to_it(
    tape: MarketFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ordertape\[analysis\]'"):
        ot.read_analysis(tape.data, *NAMES)


# Over REST ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def doors(tape: MarketFolder) -> Iterator[tuple[str, httpx.Client]]:
    with interface(tape.data) as there, httpx.Client(timeout=60) as client:
        yield f"{there.address.removesuffix(API)}{API.removesuffix('level3')}", client


def test_the_answer_is_what_the_notebook_has(
    tape: MarketFolder, doors: tuple[str, httpx.Client]
) -> None:
    route, client = doors
    asked = {
        "start_time": iso_from_ns((BEGIN_S + 100) * SECOND),
        "end_time": iso_from_ns((BEGIN_S + 330) * SECOND),
    }
    answer = client.get(f"{route}analysis/bitfinex/A/USD", params={**asked, "step": 10})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    frame = ot.read_analysis(tape.data, *NAMES, *asked.values(), step=10)
    assert found["count"] == len(found["windows"]) == len(frame) == 23
    for window, row in zip(found["windows"], frame.iter_rows(named=True), strict=True):
        del window["begin"], row["begin"]
        assert window == row
    assert any(window["mid"] is None for window in found["windows"])
    assert (found["state"], found["units"]["mid"]) == ("STOPPED", "price")


def test_a_fit_is_answered_with_its_definition(doors: tuple[str, httpx.Client]) -> None:
    route, client = doors
    found = client.get(f"{route}fits/kyle/bitfinex/A/USD", params={"bar": 20}).json()
    assert found["summary"]["bar_seconds"] == 20
    assert found["count"] == len(found["rows"]) == found["summary"]["bars"]
    assert "Kyle" in found["definition"]
    listed = client.get(f"{route}metrics").json()
    assert [metric["name"] for metric in listed["metrics"]] == list(METRICS)
    assert [fit["name"] for fit in listed["fits"]] == list(FITS)


@pytest.mark.parametrize(
    ("path", "parameters", "status", "told"),
    [
        ("analysis/bitfinex/A/USD", {"step": 0}, 422, "step"),
        ("analysis/bitfinex/A/USD", {"metrics": "wealth"}, 422, "found 'wealth'"),
        ("analysis/bitfinex/A/USD", {"start_time": "soon"}, 422, "start_time: expected a time"),
        (
            "analysis/bitfinex/A/USD",
            {"step": 1, "end_time": "2030-01-01T00:00:00Z", "start_time": "2023-01-01T00:00:00Z"},
            422,
            "expected at most 10000 windows",
        ),
        ("analysis/bitfinex/B/USD", {}, 404, "never collected"),
        ("fits/luck/bitfinex/A/USD", {}, 422, "found 'luck'"),
        ("fits/vpin/bitfinex/A/USD", {"bar": 7}, 422, "vpin: expected no options"),
    ],
)
def test_what_can_not_be_answered_is_one_sentence(
    path: str, parameters: dict[str, Any], status: int, told: str, doors: tuple[str, httpx.Client]
) -> None:
    route, client = doors
    assert told in sentence(client.get(f"{route}{path}", params=parameters), status)


# Live ---------------------------------------------------------------------------------------------


def test_a_page_is_told_the_metrics_of_a_live_market_once_a_second(served: Served) -> None:
    served.begin()
    page_address = f"{served.address.replace('http', 'ws', 1)}{API.removesuffix('level3')}page/ws"
    with connect(page_address, max_size=None) as page:
        wish = {"op": "open", "stream": 1, "exchange": "bitfinex", "symbol": LIVE}
        page.send(json.dumps({**wish, "channels": ["metrics"]}))
        told: list[dict[str, Any]] = []
        deadline = time.monotonic() + 60
        while len(told) < 12 and time.monotonic() < deadline:
            frame = page.recv(timeout=120)
            if isinstance(frame, str) and (text := json.loads(frame))["op"] == "metrics":
                told.append(text)
    ends = [metrics["t"] for metrics in told]
    assert ends == sorted(set(ends))
    newest = told[-1]["values"]
    assert told[-1]["seconds"] == 10
    assert newest["events_per_second"] > 10
    assert newest["gap_seconds"] == 0
    assert newest["best_size_bid"] > 0
    assert 0 <= newest["fleeting_share"] <= 1
    # The same seconds out of the tape are the same, to the last digit.
    end = told[-1]["t"]
    start = iso_from_ns(parse_time(end) - 10 * SECOND)
    window = {"start_time": start, "end_time": end, "step": 10}
    route = f"{served.address}{API.removesuffix('level3')}"
    answer = served.client.get(f"{route}analysis/bitfinex/{LIVE}", params=window).json()
    recorded = answer["windows"][0]
    differ = {
        name: (newest[name], value)
        for name, value in recorded.items()
        if name != "begin"
        and newest[name] != (None if value is None else pytest.approx(value, rel=1e-12))
    }
    # What the page saw of trades before it looked is less, and orders go on to be filled.
    late = ("fill_ratio", "canceled_share", "_60s_", "_15s_", "_5s_")
    assert {name for name in differ if not any(part in name for part in late)} == set()
