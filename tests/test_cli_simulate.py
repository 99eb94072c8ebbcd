"""``ordertape simulate --check``: a session or a tape beside real order flow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ordertape.cli import run
from support.lobster import files


def test_a_session_is_printed_beside_bands_and_real_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(["simulate", "--check", "--seed", "9", "--minutes", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["statistic", "value", "from", "to", "real"]
    assert len(lines) == 1 + 60 + 1
    assert lines[1].startswith("hard  cancels for each resting add")
    assert lines[1].removesuffix("  missed").split()[-3:] == ["0.98", "1.01", "0.997"]
    assert not any("e+" in line or " nan " in line for line in lines)
    assert lines[-1].startswith("crypto: ")
    assert ("not accepted" in lines[-1]) == (status == 1)


def test_the_same_seed_gives_the_same_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "--check", "--preset", "equity", "--minutes", "1", "--json"]
    texts = []
    for _ in range(2):
        run(arguments)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    answer = json.loads(texts[0])
    assert (answer["preset"], answer["seed"], answer["hard"]) == ("equity", 7, 23)
    assert len(answer["statistics"]) == 61
    assert answer["passed"] == sum(row["passed"] for row in answer["statistics"])
    assert set(answer["statistics"][0]) == {
        *("name", "hard", "low", "high", "real", "value", "passed")
    }


def test_a_tape_is_measured_by_the_same_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages, book = files(tmp_path)
    data = ["--data", str(tmp_path / "data")]
    market = ["--exchange", "nasdaq", "--symbol", "TEST"]
    assert run(["import", "lobster", str(messages), "--orderbook", str(book), *market, *data]) == 0
    capsys.readouterr()
    check = ["simulate", "--check", "--preset", "equity", "--tape", "nasdaq", "TEST", "--json"]
    assert run([*check, *data]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["exchange"], answer["symbol"], answer["tick"]) == ("nasdaq", "TEST", 0.01)
    found = {row["name"]: row["value"] for row in answer["statistics"]}
    assert found["flash_share_adds"] == 0
    assert found["hawkes_n"] is None
    assert run([*check, "--tick", "0.05", *data]) == 1
    assert json.loads(capsys.readouterr().out)["tick"] == 0.05


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "expected --check; `python -m ordertape.simulator` starts a simulated venue"),
        (["--check", "--preset", "bond"], "expected a preset of crypto, equity, found 'bond'"),
    ],
)
def test_what_can_not_be_checked_is_one_sentence_and_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *arguments]) == 2
    assert capsys.readouterr().err == f"ordertape: {sentence}\n"


@pytest.mark.parametrize("tick", ["0", "-1", "nan", "a penny"])
def test_a_tick_that_is_none_is_refused(
    tick: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages, book = files(tmp_path)
    data = ["--data", str(tmp_path / "data")]
    market = ["--exchange", "nasdaq", "--symbol", "TEST"]
    run(["import", "lobster", str(messages), "--orderbook", str(book), *market, *data])
    capsys.readouterr()
    arguments = ["simulate", "--check", "--tape", "nasdaq", "TEST", f"--tick={tick}", *data]
    assert run(arguments) == 2
    expected = f"ordertape: expected a tick above 0 such as 0.01, found {tick!r}\n"
    assert capsys.readouterr().err == expected
