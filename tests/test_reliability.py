"""docs/reliability.md: its form, and that it says what the ledger says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
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


def test_a_soak_shows_its_figures(tmp_path: Path) -> None:
    soak = {**line(7, []), "campaign": "soak", "case": '3600 s: {"faults": 41, "gap_rows": 9}'}
    page = written(tmp_path, [soak])
    assert len(table(page)) == 1
    assert "| 2026-11-22 | `abc` | 7 | 0 | faults | 41 |\n| | | | | gap rows | 9 |" in page
