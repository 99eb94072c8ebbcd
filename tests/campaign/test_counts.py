"""The counts that are promised, tried under `make torture`, resumable: a line a try.

Lines go to ``.campaign/tries.jsonl`` (or ORDERTAPE_CAMPAIGN): commit, row, venue, seed, result.
A try that passed on this commit is not tried again; ORDERTAPE_CAMPAIGN_SECONDS stops earlier.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import pytest

from campaign.rows import ROWS, attempt

TOP = Path(__file__).resolve().parent.parent.parent
COUNTS = {
    "5 gap": 500,
    "6 duplicates": 500,
    "7 reordered": 500,
    "9 checksum lie": 500,
    "11 snapshot apart": 1_000,
}
OTHERS = 200
Try = tuple[str, str, int]


def commit() -> str:
    """The commit that is tried; marked where files of it were changed since."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "no commit"


def one(name: str, venue: str, seed: int) -> list[str]:
    try:
        return attempt(name, venue, seed)
    except Exception as error:  # whatever a try raises is its result
        return [f"{type(error).__name__}: {error}"]


@pytest.mark.torture
def test_the_promised_counts_hold() -> None:
    path = Path(os.environ.get("ORDERTAPE_CAMPAIGN") or TOP / ".campaign" / "tries.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    tried = commit()
    passed = set()
    if path.exists() and not tried.endswith("dirty"):
        for line in path.read_text().splitlines():
            found = json.loads(line)
            if found["commit"] == tried and not found["wrong"]:
                passed.add((found["row"], found["venue"], found["seed"]))
    todo = [
        (name, venue, seed)
        for name, (_, venues) in ROWS.items()
        for venue in venues
        for seed in range(COUNTS.get(name, OTHERS))
        if (name, venue, seed) not in passed
    ]
    todo.sort(key=lambda found: found[2])  # every row early, should the time be over
    failed = _run(todo, path, tried)
    assert failed == []


def _run(todo: list[Try], path: Path, tried: str) -> list[str]:
    """The tries that failed; ends when all are done, or the time is over."""
    until = time.monotonic() + float(os.environ.get("ORDERTAPE_CAMPAIGN_SECONDS") or 1e9)
    failed: list[str] = []
    running: dict[Future[list[str]], Try] = {}
    workers = os.cpu_count() or 1
    rest = iter(todo)
    with (
        path.open("a") as file,
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
    ):
        while True:
            while len(running) < 2 * workers and time.monotonic() < until:
                following = next(rest, None)
                if following is None:
                    break
                running[pool.submit(one, *following)] = following
            if not running:
                return failed
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                (name, venue, seed), wrong = running.pop(future), future.result()
                line = {"commit": tried, "row": name, "venue": venue, "seed": seed, "wrong": wrong}
                file.write(json.dumps(line) + "\n")
                file.flush()
                failed += [f"{name} {venue} {seed}: {what}" for what in wrong]
