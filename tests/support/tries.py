"""What ``make torture`` tried, a line a try: counts grow over runs and commits.

The file is ``tests/torture/tries.jsonl`` (or ORDERTAPE_TRIES).  A seed whose newest line passed is
tried again with ORDERTAPE_TORTURE_AGAIN=1 alone; ORDERTAPE_TORTURE_SECONDS ends a campaign early.
ORDERTAPE_TORTURE_SHARE=2/3 tries the second third alone, for runs beside each other.  A campaign
of which tries were left out is skipped with that reason, never passed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

__all__ = ["Attempt", "Try", "record", "recorded", "run_tries", "tries_file"]

TOP = Path(__file__).resolve().parent.parent.parent
Attempt = Callable[[str, int], list[str]]
"""(case, seed) to what did not hold; a function of a module, for processes of their own."""


@dataclass(frozen=True, slots=True)
class Try:
    campaign: str
    case: str
    seed: int
    wrong: list[str]
    """What did not hold; empty where all did."""
    commit: str
    """With ``-dirty`` behind it where the package or the engine was changed since."""
    date: str


def tries_file() -> Path:
    return Path(os.environ.get("ORDERTAPE_TRIES") or TOP / "tests" / "torture" / "tries.jsonl")


def recorded() -> Iterator[Try]:
    """Every line that was ever written, oldest first."""
    if tries_file().exists():
        with tries_file().open() as lines:
            for line in lines:
                yield Try(**json.loads(line))


def run_tries(
    campaign: str, counts: Mapping[str, int], attempt: Attempt, workers: int = 1
) -> list[str]:
    """Tries seeds 0 to count-1 of each case that have not passed yet; what failed, in words.

    Seeds in turn over all cases, so that each has some should the time be over.  ``workers``: so
    many processes; with one the tries run in this one.  Skips the test where nothing failed and
    not everything was tried.
    """
    newest = {(t.case, t.seed): not t.wrong for t in recorded() if t.campaign == campaign}
    again = os.environ.get("ORDERTAPE_TORTURE_AGAIN") == "1"
    asked = [(case, seed) for case, count in counts.items() for seed in range(count)]
    asked.sort(key=lambda found: found[1])
    share, of = map(int, (os.environ.get("ORDERTAPE_TORTURE_SHARE") or "1/1").split("/"))
    wanted = [found for found in asked if again or not newest.get(found, False)]
    own = set(asked[share - 1 :: of])
    todo = [found for found in wanted if found in own]
    until = time.monotonic() + float(os.environ.get("ORDERTAPE_TORTURE_SECONDS") or 1e9)
    tried = (
        _in_turn(todo, attempt, until) if workers == 1 else _beside(todo, attempt, until, workers)
    )
    failed, done = [], 0
    for case, seed, wrong in tried:
        record(campaign, case, seed, wrong)
        failed += [f"{campaign}, {case}, seed {seed}: {what}" for what in wrong]
        done += 1
    if not failed and done < len(wanted):
        pytest.skip(f"{campaign}: {len(wanted) - done} of {len(asked)} tries were left out")
    return failed


def record(campaign: str, case: str, seed: int, wrong: list[str]) -> None:
    """Writes the line of one try, for what is no row of seeds."""
    _write(Try(campaign, case, seed, wrong, _commit(), _today()))


Outcome = tuple[str, int, list[str]]


def _one(attempt: Attempt, case: str, seed: int) -> Outcome:
    try:
        return case, seed, attempt(case, seed)
    except Exception as error:  # whatever a try raises is its result
        return case, seed, [f"{type(error).__name__}: {error}"]


def _in_turn(todo: list[tuple[str, int]], attempt: Attempt, until: float) -> Iterator[Outcome]:
    for case, seed in todo:
        if time.monotonic() >= until:
            return
        yield _one(attempt, case, seed)


def _beside(
    todo: list[tuple[str, int]], attempt: Attempt, until: float, workers: int
) -> Iterator[Outcome]:
    rest = iter(todo)
    running: set[Future[Outcome]] = set()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        while True:
            while len(running) < 2 * workers and time.monotonic() < until:
                following = next(rest, None)
                if following is None:
                    break
                running.add(pool.submit(_one, attempt, *following))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def _write(tried: Try) -> None:
    """One write, so that campaigns beside each other never mix their lines."""
    line = json.dumps(asdict(tried), separators=(",", ":")) + "\n"
    tries_file().parent.mkdir(parents=True, exist_ok=True)
    with tries_file().open("a") as file:
        file.write(line)


@cache
def _commit() -> str:
    """The commit that is tried; what only tests or documents changed is the same."""
    told = ["git", "-C", str(TOP)]
    head = subprocess.run(
        [*told, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
    )
    changed = subprocess.run(
        [*told, "status", "--porcelain", "--", "src", "engine", "app"],
        capture_output=True,
        text=True,
    )
    return (head.stdout.strip() or "no commit") + ("-dirty" if changed.stdout.strip() else "")


def _today() -> str:
    return datetime.now(tz=UTC).date().isoformat()
