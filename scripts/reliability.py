"""Writes docs/reliability.md out of tests/torture/tries.jsonl: what was tried, and what failed.

``make torture`` runs it last.  Nothing in the page comes from anywhere else: a promise's row says
which test tried it, with which seeds, on which commits, and how often it may fail after so many
tries.  ``--ledger FILE --out FILE`` for others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
LEDGER = Path(os.environ.get("ORDERTAPE_TRIES") or TOP / "tests" / "torture" / "tries.jsonl")
PAGE = TOP / "docs" / "reliability.md"
COLUMNS = (
    *("promise", "campaign", "case", "test", "tries", "failures", "mended"),
    *("fails at most", "date", "commit", "seeds"),
)
PROMISES = {
    "matrix": "3, 4",
    "kill": "1, 2",
    "crash point": "1, 2",
    "power loss": "1, 3",
    "damage": "3",
    "disk full": "1, 3, 6",
    "fsync": "1",
    "suspended": "3, 4",
    "database stopped in copy": "2",
    "commit unknown": "2",
    "database crash point": "2",
    "database away": "2, 5, 6",
    "database disk full": "2, 5, 6",
    "database trouble": "2, 5",
    "server crash point": "1, 2",
    "together": "1, 2, 3",
    "fuzz": "3, 6",
    "clients": "5, 6",
    "burst": "3, 5, 6",
    "soak": "1 to 6",
}
_INTRO = """# What was tried, and how often

`scripts/reliability.py` writes this page out of the ledger of `make torture`; nobody else does.
A try is one seed of one case.  It passes where tape, PostgreSQL, archive and what was really sent
agree, or a gap row says where they can't.

* **promise**: of the six in [README.md](../README.md#the-six-promises).
* **tries**: every run of a seed, repeated ones too.
* **failures**: seeds whose last try failed.
* **mended**: seeds that failed once and whose last try, on a later commit, passed.
* **fails at most**: how often a try fails, at the upper bound with 95 % certainty, from the seeds
  that were tried (Clopper and Pearson, one-sided).
* **commit**: the newest, and how many others the tries ran on; `-dirty`: with changes that were not
  committed yet.
"""


@dataclass
class Row:
    """What is known of one case of one campaign, oldest line first."""

    campaign: str
    case: str
    tries: int = 0
    date: str = ""
    commits: list[str] = field(default_factory=list)
    passed: dict[int, bool] = field(default_factory=dict)
    """Of each seed: whether its last try passed."""
    failed: set[int] = field(default_factory=set)
    """Seeds that ever failed."""

    def take(self, seed: int, commit: str, date: str, *, passed: bool) -> None:
        self.tries += 1
        self.date = max(self.date, date)
        if commit in self.commits:
            self.commits.remove(commit)
        self.commits.append(commit)
        self.passed[seed] = passed
        if not passed:
            self.failed.add(seed)

    @property
    def failures(self) -> int:
        return sum(not passed for passed in self.passed.values())

    @property
    def mended(self) -> int:
        return len(self.failed) - self.failures

    def cells(self) -> tuple[str, ...]:
        others = len(self.commits) - 1
        commit = f"`{self.commits[-1]}`" + (f" and {others} more" if others else "")
        return (
            PROMISES.get(self.campaign, "–"),
            self.campaign,
            self.case,
            test_of(self.campaign, self.case),
            f"{self.tries:,}",
            str(self.failures),
            str(self.mended),
            f"{fails_at_most(len(self.passed), self.failures):.2%}",
            self.date,
            commit,
            ranges(self.passed),
        )


def fails_at_most(tries: int, failures: int) -> float:
    """The rate at which so few failures of so many tries would be a chance of one in twenty."""
    if failures >= tries:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        if _at_most(tries, failures, rate) > 0.05:
            low = rate
        else:
            high = rate
    return high


def _at_most(tries: int, failures: int, rate: float) -> float:
    """The chance of no more than so many failures."""
    term = total = (1 - rate) ** tries
    for nth in range(failures):
        term *= (tries - nth) / (nth + 1) * rate / (1 - rate)
        total += term
    return total


def ranges(seeds: Iterable[int]) -> str:
    """0 to 199, 205."""
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in found)


def test_of(campaign: str, case: str) -> str:
    """The test that has a campaign of this name; of several the one that names the case."""
    begun = re.compile(rf'\b(run_tries|record)\(\s*"{re.escape(campaign)}"')
    found = []
    for folder in ("tests/torture", "tests/campaign", "tests"):
        for path in sorted((TOP / folder).glob("test_*.py")):
            text = path.read_text(encoding="utf-8")
            if begun.search(text):
                found.append((f'"{case}"' not in text, f"`{path.relative_to(TOP)}`"))
    return min(found, key=lambda test: test[0])[1] if found else "–"


def rows(ledger: Path) -> list[Row]:
    """By campaign and case, as they first came."""
    found: dict[tuple[str, str], Row] = {}
    for told in _lines(ledger):
        case = told["case"].partition(": {")[0]
        row = found.setdefault((told["campaign"], case), Row(told["campaign"], case))
        row.take(told["seed"], told["commit"], told["date"], passed=not told["wrong"])
    return sorted(found.values(), key=lambda row: (row.campaign, row.case))


def page(ledger: Path) -> str:
    """The whole page."""
    table = [COLUMNS, tuple("---" for _ in COLUMNS), *(row.cells() for row in rows(ledger))]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    if missing := untried(ledger):
        lines += ["", f"Not tried yet: {', '.join(missing)}."]
    return "\n".join([_INTRO, *lines, "", *_soaks(ledger)])


def untried(ledger: Path) -> list[str]:
    """The campaigns of which the ledger has no try at all."""
    tried = {told["campaign"] for told in _lines(ledger)}
    return [campaign for campaign in PROMISES if campaign not in tried]


def _soaks(ledger: Path) -> list[str]:
    """Each soak with what it found: its line says more than a row can hold."""
    told = [line for line in _lines(ledger) if line["campaign"] == "soak" and ": {" in line["case"]]
    if not told:
        return []
    found = ["## Soaks", "", "| date | commit | seed | violations | figure | value |"]
    found.append("| --- | --- | --- | --- | --- | --- |")
    for line in told:
        figures = json.loads(line["case"].partition(": ")[2])
        head = f"| {line['date']} | `{line['commit']}` | {line['seed']} | {len(line['wrong'])} "
        for name, value in figures.items():
            shown = value
            if isinstance(value, dict):
                shown = "; ".join(f"{key} {found}" for key, found in value.items())
            found.append(f"{head}| {name.replace('_', ' ')} | {shown} |")
            head = "| | | | "
    return [*found, ""]


def _lines(ledger: Path) -> Iterator[dict[str, Any]]:
    if ledger.exists():
        with ledger.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="reliability", description=__doc__)
    parser.add_argument("--ledger", type=Path, default=LEDGER)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    options.out.write_text(page(options.ledger), encoding="utf-8")
    if missing := untried(options.ledger):
        sys.stdout.write(f"reliability: not tried yet: {', '.join(missing)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
