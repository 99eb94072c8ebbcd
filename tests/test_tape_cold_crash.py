"""Killed while it makes files cold: one whole form is there, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from ordertape.crash_points import POINTS, VARIABLE
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.file_groups import COLD, PLAIN
from ordertape.tape.folder import MarketFolder
from ordertape.tape.verify import verify
from support.cold import cool_all, everything
from support.faults import failing_syncs, lacks
from support.tape import Market, write_journal
from support.tries import run_tries

PLACES = [name for name in POINTS if name.startswith("cold.")]
COOL = """
import sys
from ordertape.tape.cold import cool
from ordertape.tape.folder import MarketFolder
print("begun", flush=True)
for cooled in cool(MarketFolder(sys.argv[1], "demo", "X/Y"), 2**62):
    print(cooled.path.name, flush=True)
"""


def archived(data: Path) -> MarketFolder:
    folder = MarketFolder(data, "demo", "X/Y")
    write_journal(folder, Market().messages(300, clear_every=100))
    with closing(Archiver(folder, file_rows_max=150)) as archiver:
        archiver.finish()
    return folder


def begin(data: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COOL, str(data)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def nothing_is_lost(folder: MarketFolder, before: list[object]) -> None:
    """As it is, and once the next run has gone on."""
    assert everything(folder) == before
    assert verify(folder.data, "demo", "X/Y").equal
    cool_all(folder)
    assert everything(folder) == before
    assert not list(folder.archive.glob(f"events-*{PLAIN}"))
    assert {file.path.suffix for file in list_files(folder.archive)} == {COLD}


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_at_a_named_place_loses_nothing(tmp_path: Path, place: str) -> None:
    folder = archived(tmp_path)
    before = everything(folder)
    with begin(tmp_path, **{VARIABLE: f"{place}:2"}) as process:
        assert process.wait(60) == -signal.SIGKILL
    left = {path.suffix for path in folder.archive.glob("events-*")}
    assert left == ({COLD, PLAIN, ".tmp"} if place == "cold.written" else {COLD, PLAIN})
    nothing_is_lost(folder, before)
    with closing(Archiver(folder)) as archiver:
        archiver.finish()
    assert not list(folder.archive.glob("*.tmp"))


@pytest.mark.skipif(bool(lacks("strace")), reason=lacks("strace"))
def test_no_plain_file_goes_for_a_cold_one_whose_name_no_sync_covers(tmp_path: Path) -> None:
    folder = archived(tmp_path)
    before = everything(folder)
    plain = sorted(folder.archive.glob(f"events-*{PLAIN}"))
    for _ in range(2):  # the second finds what the first gave its name
        ran = subprocess.run(
            [*failing_syncs(folder.archive), sys.executable, "-c", COOL, str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Input/output error" in ran.stderr
        assert sorted(folder.archive.glob(f"events-*{PLAIN}")) == plain
        assert list(folder.archive.glob(f"events-*{COLD}"))
    nothing_is_lost(folder, before)


def attempt(case: str, seed: int) -> list[str]:
    """One kill at a random time, in a folder of its own."""
    dice = random.Random(f"{case} {seed}")
    with tempfile.TemporaryDirectory() as data:
        folder = archived(Path(data))
        before = everything(folder)
        with begin(Path(data)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(dice.uniform(0, 0.06))
            process.kill()
        nothing_is_lost(folder, before)
    return []


@pytest.mark.torture
def test_kills_at_random_times_lose_nothing() -> None:
    assert run_tries("kill", {"while files become cold": 50}, attempt) == []
