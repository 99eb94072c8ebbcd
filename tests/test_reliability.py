"""docs/reliability.md: its form, and that it says what the ledger says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.tries import run_tries

TOP = Path(__file__).resolve().parent.parent
OWN = "a campaign"
PAGE = TOP / "docs" / "reliability.md"
HEAD = (
    "| promise | campaign | case | test | tries | failures | mended | fails at most | date "
    "| commit | seeds |"
)
ROW = re.compile(
    r"\| [1-6 ,to]+ \| [^|]+ \| [^|]+ \| `tests/\S+\.py` \| [\d,]+ \| \d+ \| \d+ "
    r"\| \d+\.\d\d% \| \d{4}-\d\d-\d\d \| `[\w -]+`( and \d+ more)? \| [\d, to]+ \|"
)


def written(tmp_path: Path, lines: list[dict[str, object]]) -> str:
    ledger, out = tmp_path / "tries.jsonl", tmp_path / "page.md"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "scripts/reliability.py", "--ledger", ledger, "--out", out]
    subprocess.run(command, cwd=TOP, check=True)
    return out.read_text()


def line(
    seed: int, wrong: list[str], commit: str = "abc", case: str = "a case"
) -> dict[str, object]:
    return {
        "campaign": "commit unknown",
        "case": case,
        "seed": seed,
        "wrong": wrong,
        "commit": commit,
        "date": "2026-11-22",
    }


def table(page: str) -> list[str]:
    lines = page.splitlines()
    begin = lines.index(HEAD)
    assert set(lines[begin + 1]) <= set("|- ")
    rows = []
    for text in lines[begin + 2 :]:
        if not text.startswith("|"):
            break
        rows.append(text)
    return rows


def test_the_page_has_a_whole_row_for_each_case_and_names_tests_that_exist() -> None:
    rows = table(PAGE.read_text())
    assert rows
    for row in rows:
        assert ROW.fullmatch(row), row
    for named in re.findall(r"`(tests/\S+\.py)`", "\n".join(rows)):
        assert (TOP / named).exists()


def test_every_campaign_has_its_promises_and_its_test(tmp_path: Path) -> None:
    begun = re.compile(r'\b(?:run_tries|record)\(\s*"([a-z][a-z ]+)"')
    campaigns = {
        campaign
        for path in sorted((TOP / "tests").rglob("test_*.py"))
        for campaign in begun.findall(path.read_text())
    }
    assert {"matrix", "clients", "burst", "soak"} <= campaigns
    lines = [{**line(0, []), "campaign": campaign} for campaign in campaigns]
    rows = table(written(tmp_path, lines))
    assert len(rows) == len(campaigns)
    for row in rows:
        assert ROW.fullmatch(row), row


def test_a_campaign_of_two_tests_names_that_of_its_case(tmp_path: Path) -> None:
    cases = {
        "collector": "tests/torture/test_kill.py",
        "while files become cold": "tests/test_tape_cold_crash.py",
    }
    lines = [{**line(0, [], case=case), "campaign": "kill"} for case in cases]
    for row, (case, test) in zip(table(written(tmp_path, lines)), cases.items(), strict=True):
        assert f"| kill | {case} | `{test}` |" in row


def test_a_row_counts_tries_failures_and_what_was_mended(tmp_path: Path) -> None:
    lines = [line(seed, []) for seed in range(58)]
    lines += [line(58, ["lost"]), line(58, [], "def"), line(59, ["lost"], "def")]
    (row,) = table(written(tmp_path, lines))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "2"
    assert cells[4:7] == ["61", "1", "1"]
    assert cells[9:] == ["`def` and 1 more", "0 to 59"]
    assert ROW.fullmatch(row)


@pytest.mark.parametrize(
    ("seeds", "bound"), [(50, "5.82%"), (100, "2.95%"), (200, "1.49%"), (1_000, "0.30%")]
)
def test_the_bound_is_the_known_one_where_nothing_failed(
    tmp_path: Path, seeds: int, bound: str
) -> None:
    (row,) = table(written(tmp_path, [line(seed, []) for seed in range(seeds)]))
    assert f"| {bound} |" in row


def test_the_page_and_the_end_of_the_run_name_campaigns_without_a_try(tmp_path: Path) -> None:
    page = written(tmp_path, [line(0, [])])
    (told,) = [text for text in page.splitlines() if text.startswith("Not tried yet: ")]
    names = told.removeprefix("Not tried yet: ").rstrip(".").split(", ")
    assert {"fsync", "soak"} <= set(names)
    assert "commit unknown" not in names
    command = [sys.executable, "scripts/reliability.py", "--ledger", tmp_path / "tries.jsonl"]
    command += ["--out", tmp_path / "again.md"]
    done = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True)
    assert done.stdout == f"reliability: not tried yet: {', '.join(names)}\n"


@pytest.mark.parametrize("name", ["test_fsync", "test_disk_full"])
def test_what_a_tool_is_missing_for_is_told_at_the_end_and_not_passed(
    name: str, tmp_path: Path
) -> None:
    """`make torture` where neither strace nor unshare is installed."""
    command = [sys.executable, "-m", "pytest", "-m", "torture", f"tests/torture/{name}.py"]
    environment = {**os.environ, "PATH": str(tmp_path), "ORDERTAPE_TRIES": str(tmp_path / "tries")}
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True)
    end = done.stdout.partition("short test summary info")[2]
    assert re.search(rf"SKIPPED .*{name}\.py:\d+: \w+ is not here\n", end), done.stdout
    assert "1 skipped" in end
    assert "passed" not in end


@pytest.mark.parametrize("variable", ["ORDERTAPE_TORTURE_SECONDS=0", "ORDERTAPE_TORTURE_SHARE=1/2"])
def test_a_campaign_of_which_tries_were_left_out_is_skipped(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AGAIN", "SECONDS", "SHARE"):
        monkeypatch.delenv(f"ORDERTAPE_TORTURE_{name}", raising=False)
    monkeypatch.setenv("ORDERTAPE_TRIES", str(tmp_path / "tries.jsonl"))
    with monkeypatch.context() as cut:
        cut.setenv(*variable.split("="))
        with pytest.raises(pytest.skip.Exception, match=r"^a campaign: [24] of 4 tries were left"):
            run_tries(OWN, {"a case": 4}, lambda _case, _seed: [])
    assert run_tries(OWN, {"a case": 4}, lambda _case, _seed: []) == []
    monkeypatch.setenv(*variable.split("="))
    assert run_tries(OWN, {"a case": 4}, lambda _case, _seed: []) == []


def test_a_campaign_that_failed_is_no_skipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERTAPE_TRIES", str(tmp_path / "tries.jsonl"))
    monkeypatch.setenv("ORDERTAPE_TORTURE_SHARE", "1/2")
    failed = run_tries(OWN, {"a case": 2}, lambda _case, seed: ["lost"])
    assert failed == ["a campaign, a case, seed 0: lost"]


def test_a_soak_shows_its_figures(tmp_path: Path) -> None:
    soak = {**line(7, []), "campaign": "soak", "case": '3600 s: {"faults": 41, "gap_rows": 9}'}
    page = written(tmp_path, [soak])
    assert len(table(page)) == 1
    assert "| 2026-11-22 | `abc` | 7 | 0 | faults | 41 |\n| | | | | gap rows | 9 |" in page
