"""The score sheet from end to end, the common rules, the real tapes, and what is refused."""

from __future__ import annotations

import json
import lzma
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ordertape import cli
from ordertape._engine import EventBatch, Lifecycles, OrderBook
from ordertape.errors import BadFile
from ordertape.evaluation.baselines import Baseline, QuickCancel, RefillCount, ZScore
from ordertape.evaluation.bitstamp import read_bitstamp
from ordertape.evaluation.plan import BACKGROUNDS, TapePlan
from ordertape.evaluation.real import judge_real, recordings_in
from ordertape.evaluation.running import OURS, Judged, judged_of
from ordertape.evaluation.scores import Share
from ordertape.evaluation.surfaces import SURFACES, cells
from ordertape.evaluation.tapes import MadeTape
from ordertape.evaluation.truth import KINDS, Finding, Truth
from ordertape.evaluation.walking import Volumes, Walked
from ordertape.events import EventKind, Reason
from support.processes import wait_for

S = 1_000_000_000
MS = 1_000_000
SHORT = ("--episodes", "2", "--clean-hours", "0.1", "--seeds", "1001")


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``ordertape evaluate detectors`` with these arguments: its status, what it prints."""
    monkeypatch.delenv("ORDERTAPE_SHARED", raising=False)

    def runs(*arguments: str) -> tuple[int, str, str]:
        status = cli.run(["evaluate", "detectors", *arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return runs


# From end to end ----------------------------------------------------------------------------------


def test_a_short_sheet_is_printed_and_written_and_the_same_again(tmp_path: Path, run: Run) -> None:
    kept, page = tmp_path / "kept", tmp_path / "page.md"
    chosen = (*SHORT, "--kind", "layering", "--kind", "native iceberg", "--keep", str(kept))
    status, out, err = run(*chosen, "--workers", "1", "--page", str(page))
    assert (status, err) == (0, "")
    assert out.startswith("6 tapes, ")
    assert "  native iceberg " in out
    written = page.read_text(encoding="utf-8")
    assert "$" not in written
    assert "| native iceberg |" in written
    assert "seeds 1001, which" in " ".join(written.split())
    made = sorted(path.stat().st_mtime_ns for path in kept.rglob("*.tape"))
    assert len(made) == 6
    status, again, err = run(*chosen, "--workers", "2", "--json")
    assert (status, err) == (0, "")
    sheet = json.loads(again)
    scores = {(one["finder"], one["kind"]): one for one in sheet["scores"]}
    iceberg = scores["ordertape", "native iceberg"]
    assert iceberg["episodes"] >= 2
    assert iceberg["recall"] == iceberg["precision"] == 1.0
    assert iceberg["clean_hours"] == pytest.approx(0.1, rel=0.1)
    assert f"{iceberg['recall']:.3f} ({iceberg['recall_interval'][0]:.3f}" in out
    assert sorted(path.stat().st_mtime_ns for path in kept.rglob("*.tape")) == made


def test_a_threshold_that_nothing_reaches_finds_nothing(tmp_path: Path, run: Run) -> None:
    chosen = ("--tune", "--episodes", "2", "--clean-hours", "0", "--seeds", "1", "--no-baselines")
    kind = ("--kind", "layering", "--keep", str(tmp_path), "--workers", "1")
    status, out, _ = run(*chosen, *kind, "--parameters", "layer_threshold=2")
    assert status == 0
    assert sum(line.startswith("missed layering: ") for line in out.splitlines()) == 2
    status, out, _ = run(*chosen, *kind, "--json", "--parameters", "layer_threshold=2")
    (score,) = json.loads(out)["scores"]
    assert (score["missed"], score["hits"], score["finder"]) == (2, 0, "ordertape")


def test_help_names_every_option(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for option in ("--episodes", "--clean-hours", "--seeds", "--tune", "--keep", "--parameters"):
        assert option in out


def test_one_interrupt_ends_all_workers_and_leaves_no_half_tape(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ordertape", "evaluate", "detectors"]
    process = subprocess.Popen(
        [*command, "--keep", str(tmp_path), "--workers", "2", "--clean-hours", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(tmp_path.rglob("*.part"))) == 2, "two tapes being made")
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # its workers follow it
    assert (process.returncode, out) == (130, b"")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--seeds", "5"), "expected seeds that have tuned nothing, from 1001 on, found '5'"),
        (("--tune", "--seeds", "1001"), "expected seeds of tuning, 1 to 20, found '1001'"),
        (("--seeds", "a-b"), "expected seeds such as 1001-1005 or 1001,1007, found 'a-b'"),
        (("--kind", "wash"), "expected a kind of spoof-like, "),
        (("--parameters", "x"), "expected --parameters NAME=NUMBER, found 'x'"),
        (("--parameters", "x=nan"), "expected --parameters NAME=NUMBER, found 'x=nan'"),
        (("--parameters", "x=1"), "expected a parameter of "),
        (("--tune", "--page", "page.md"), "expected --page without --tune"),
        (("--recordings", "nowhere"), "expected recordings such as data/"),
        (("--episodes", "0"), "--episodes is '0': "),
    ],
)
def test_what_can_not_be_used_is_refused_before_anything_is_made(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, run: Run
) -> None:
    status, out, err = run(*arguments, "--keep", str(tmp_path / "kept"))
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.tape"))


# What was found by hand ---------------------------------------------------------------------------


def walked(*findings: Finding) -> Walked:
    told = Walked({OURS: list(findings)}, Volumes(), events=10)
    told.volumes.see(
        rows((EventKind.OPEN, 0, 1, 100, 5, S), (EventKind.OPEN, 0, 2, 99, 5, S)),
    )
    return told


def found(kind: str, *orders: int, told: int = 3 * S) -> Finding:
    return Finding(kind, 0, S, 2 * S, told, 0.8, orders)


def made_tape(kind: str | None, *truths: Truth) -> MadeTape:
    plan = TapePlan(kind, BACKGROUNDS["equity"][0], 1, episodes=1, seconds=1800)
    return MadeTape(plan, Path("nowhere"), list(truths), 1800.0)


def test_a_tape_of_a_kind_is_judged_by_that_kind_and_tells_what_else_was_found() -> None:
    truth = Truth("layering", 0, S, 2 * S, 2 * S, [1], True)
    findings = (found("layering", 1), found("spoof-like", 1), found("layering", 2))
    judged = judged_of(made_tape("layering", truth), walked(*findings))
    score = judged.scores[OURS, "layering"]
    assert (score.hits, score.false, score.missed) == (1, 1, 0)
    assert score.delays == [1_000.0]
    assert score.scored == [(0.8, True), (0.8, False)]
    assert judged.others == {
        name: int(name == "spoof-like") for name in KINDS if name != "layering"
    }
    assert judged.truths == [(truth, True)]
    assert [wrong.finding for wrong in judged.wrong] == [findings[2]]


def test_a_clean_tape_counts_alarms_of_every_kind_and_whom_they_are_about() -> None:
    honest = Truth("requotes", 0, S, 2 * S, 2 * S, [1], False, "honest")
    iceberg = Truth("native iceberg", 0, S, 2 * S, 2 * S, [2], True)
    judged = judged_of(
        made_tape(None, honest, iceberg), walked(found("layering", 1), found("native iceberg", 2))
    )
    assert judged.scores[OURS, "layering"].alarms_per_hour == 2.0
    assert judged.scores[OURS, "native iceberg"].alarms_per_hour == 0.0
    assert [(wrong.kind, wrong.about) for wrong in judged.wrong] == [("layering", "requotes")]


def test_a_takers_volume_is_what_it_took_in_all() -> None:
    volumes = Volumes()
    batch = rows(
        (EventKind.OPEN, 1, 1, 100, 5, S),
        (EventKind.OPEN, 1, 2, 100, 8, S),
        (EventKind.MATCH, 1, 1, 100, 5, S, 9),
        (EventKind.MATCH, 1, 2, 100, 3, S, 9),
    )
    volumes.see(batch)
    assert [volumes(key) for key in (1, 2, 9, 77)] == [5, 8, 8, 0]


def test_a_surface_counts_what_came_about_counted_or_not() -> None:
    def episode(why: str, size: float, life: float) -> Truth:
        facts = {"size": size, "distance_bp": 30.0, "life_s": life, "fill": 0.0, "share": 0.1}
        return Truth("spoof-like", 0, S, 2 * S, 2 * S, [1], not why, why, facts)

    found = [
        (episode("", 12, 1), True),
        (episode("far", 12, 1), False),
        (episode("small", 3, 50), False),
        (episode("filled", 3, 50), True),
    ]
    judged = Judged(made_tape("spoof-like").plan, 10, {}, found)
    surface = next(one for one in SURFACES if one.title == "without one")
    empty = Share(0, 0)
    assert cells(surface, [judged]) == [
        (["1 to 5"], [empty, empty, empty, Share(0, 1)]),
        (["10 to 20"], [empty, Share(1, 2), empty, empty]),
    ]


# The common rules ---------------------------------------------------------------------------------


def rows(*events: tuple[Any, ...]) -> EventBatch:
    """(kind, side, order, price, size, ns[, taker]) each."""
    kind, side, order, price, size, ts = zip(*(event[:6] for event in events), strict=True)
    takers = [event[6] if len(event) > 6 else None for event in events]
    done = [Reason.CANCELED if one == EventKind.DONE else Reason.NONE for one in kind]
    return EventBatch.from_arrays(
        kind=kind,
        side=side,
        order_id=[str(one) for one in order],
        price=price,
        size=size,
        ts_recv=ts,
        reason=done,
        taker_order_id=[None if one is None else str(one) for one in takers],
        price_scale=0,
        size_scale=0,
        codec="int",
    )


def told_by(rule: Baseline, *events: tuple[Any, ...], piece: int = 200) -> list[Finding]:
    """What a rule says of events, given a piece at a time."""
    batch = rows(*events)
    book, out = OrderBook(codec=batch.codec), list[Finding]()
    lives = Lifecycles(hold_ns=0, evicted_max=10)
    for start in range(0, len(batch), piece):
        part = batch[start : start + piece]
        _, effects = book.apply(part, effects=True)
        lives.take(part, effects, book)
        out += rule.take(part, lives.drain())
    return out


def usual(count: int, size: int = 10) -> list[tuple[Any, ...]]:
    """Orders that rest, one in 10 ms; sizes differ a little."""
    return [
        (EventKind.OPEN, n % 2, 1_000 + n, 150 if n % 2 else 50, size + n % 3, n * 10 * MS)
        for n in range(count)
    ]


def test_size_and_quick_cancel_finds_what_is_large_and_soon_canceled() -> None:
    now = 10 * S
    events = [
        *usual(1_000),
        (EventKind.OPEN, 0, 1, 60, 34, now),
        (EventKind.OPEN, 0, 2, 60, 32, now),
        (EventKind.OPEN, 0, 3, 60, 90, now),
        (EventKind.DONE, 0, 1, 60, 34, now + 9 * S),
        (EventKind.DONE, 0, 2, 60, 32, now + 9 * S),
        (EventKind.DONE, 0, 3, 60, 90, now + 11 * S),
    ]
    finding, layer = told_by(QuickCancel(), *events)
    assert (finding.kind, finding.orders, finding.side) == ("spoof-like", (1,), 0)
    assert (layer.kind, layer.orders) == ("layering", (1,))
    assert (finding.began, finding.ended) == (now, now + 9 * S)


def test_a_size_three_deviations_above_the_mean_is_found_also_after_long() -> None:
    events = [
        *usual(1_000),
        (EventKind.OPEN, 0, 1, 60, 40, 10 * S),
        (EventKind.DONE, 0, 1, 60, 40, 60 * S),
    ]
    assert [one.orders for one in told_by(ZScore(), *events) if one.kind == "spoof-like"] == [(1,)]


def test_a_second_of_far_more_messages_is_a_burst_told_once() -> None:
    events = usual(6_000)
    burst = [(EventKind.OPEN, 1, 100_000 + n, 150, 10, 60 * S + n * MS) for n in range(3_000)]
    after = [(EventKind.OPEN, 0, 200_000 + n, 50, 10, 64 * S + n * 10 * MS) for n in range(200)]
    told = told_by(ZScore(), *events, *burst, *after)
    (finding,) = [one for one in told if one.kind == "quote stuffing"]
    assert (finding.began, finding.ended, finding.side) == (60 * S, 61 * S, 1)
    assert len(finding.orders) == 1_000


def test_a_price_that_is_refilled_three_times_is_found_once() -> None:
    events: list[tuple[Any, ...]] = [(EventKind.OPEN, 0, 1, 100, 5, S)]
    for n in range(1, 6):
        at = (1 + n) * S
        events += [
            (EventKind.MATCH, 0, n, 100, 5, at),
            (EventKind.OPEN, 0, n + 1, 100, 5, at + 100 * MS),
        ]
    told = told_by(RefillCount(), *events, piece=2)
    assert [one.kind for one in told] == ["native iceberg", "synthetic iceberg"]
    assert told[0].orders == (1, 2, 3, 4)
    assert told[0].told == 4 * S + 100 * MS


# Real tapes ---------------------------------------------------------------------------------------


def line(ms: int, what: str, order: int, side: int, price: str, amount: str) -> str:
    """Of Bitstamp's log."""
    told = {"price": price, "amount": amount, "datetime": "1", "id": order, "order_type": side}
    return f"{ms} {what} {json.dumps(told)}"


LINES = [
    line(1000, "order_created", 7, 0, "236.47", "2.0"),
    line(1001, "order_deleted", 5, 0, "1.00", "3.0"),
    line(1002, "order_created", 8, 1, "236.40", "0.5"),
    '1003 order_book {"bids": [], "asks": []}',
    line(1004, "order_changed", 7, 0, "236.47", "1.5"),
    line(1005, "order_deleted", 8, 1, "236.40", "0.0"),
    '1006 trade {"price": 236.47, "amount": 0.5000000001, "id": 1}',
    line(1007, "order_deleted", 7, 0, "236.47", "1.5"),
]


def log_of(folder: Path, *lines: str) -> Path:
    path = folder / "data" / "bitstamp_2015" / "2015-05-01.log.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


def test_of_a_trade_in_bitstamps_log_the_older_order_is_the_makers(tmp_path: Path) -> None:
    (batch,) = read_bitstamp(log_of(tmp_path, *LINES))
    told = [batch[n] for n in range(len(batch))]
    assert [(row["order_id"], row["kind"]) for row in told] == [
        ("7", EventKind.OPEN),
        ("8", EventKind.OPEN),
        ("7", EventKind.MATCH),
        ("8", EventKind.DONE),
        ("7", EventKind.DONE),
    ]
    assert (str(told[2]["size"]), told[3]["reason"]) == ("0.5", Reason.FILLED)
    counters = OrderBook(codec=batch.codec).apply(batch)
    assert counters.faults - counters.crossed == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "1000",
        "1000 order_created nothing",
        '1000 order_created {"price": "x", "amount": "1", "id": 1, "order_type": 0}',
        '1000 order_created {"price": "1", "amount": "1", "order_type": 0}',
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, wrong: str) -> None:
    path = log_of(tmp_path, LINES[0], wrong)
    with pytest.raises(BadFile, match=r"log\.xz, line 2: expected an order, found"):
        list(read_bitstamp(path))


def test_a_log_that_is_cut_or_no_xz_is_named(tmp_path: Path) -> None:
    path = log_of(tmp_path, *LINES)
    for damaged in (path.read_bytes()[:-20], b"no xz at all"):
        path.write_bytes(damaged)
        with pytest.raises(BadFile, match=r"expected \.xz, found"):
            list(read_bitstamp(path))


def test_recordings_that_are_there_are_walked_and_the_others_left_out(tmp_path: Path) -> None:
    log_of(tmp_path, *LINES)
    (real,) = [judge_real(one, {}) for one in recordings_in(tmp_path)]
    assert (real.events, real.counts, real.crossed) == (5, {}, None)


def test_the_recorded_day_is_named_beside_obanalytics(shared: Path) -> None:
    reals = [judge_real(one, {}) for one in recordings_in(shared)]
    found = {one.name.split()[0]: one for one in reals}
    assert found["NASDAQ"].events > 90_000
    day = found["Bitstamp"]
    assert 4.9 < day.hours < 5.2
    assert day.crossed is not None
    assert day.crossed.types[0] == "flashed-limit"
    assert sum(day.crossed.counts.values()) > 24_000
