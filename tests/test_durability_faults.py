"""A full disk, a failed sync, a collector that stands still: one try each; the rest is torture."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files
from ordertape.tape.bases import list_bases
from ordertape.tape.folder import MarketFolder
from ordertape.tape.reader import TapeReader
from ordertape.tape.segment import segments
from support.arena import the_arena
from support.faults import attempt_full, attempt_suspended, attempt_sync, failing_syncs, lacks
from support.tape import Market, rows_of, write_journal


@pytest.fixture(autouse=True)
def figures_elsewhere(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test measures on a busy machine is no figure to keep."""
    monkeypatch.setenv("ORDERTAPE_TRIES", f"{tmp_path}/tries.jsonl")


@pytest.mark.skipif(bool(lacks("unshare")), reason=lacks("unshare"))
@pytest.mark.parametrize("case", ["journal, told by a server", "archive"])
def test_a_full_disk_is_told_covered_by_a_gap_and_heals(case: str) -> None:
    assert attempt_full(case, 0) == []


@pytest.mark.skipif(bool(lacks("strace")), reason=lacks("strace"))
def test_a_failed_sync_is_fatal_and_the_next_collector_begins_at_the_last_durable_event() -> None:
    assert attempt_sync("fdatasync fails once", 0) == []


def test_a_collector_that_stood_still_is_told_stale_and_goes_on() -> None:
    try:
        assert attempt_suspended("6 s", 0) == []
    finally:
        the_arena().template.end()


_TWICE = """
import sys
from ordertape.errors import TapeError
from ordertape.tape.archive import Archiver
from ordertape.tape.folder import MarketFolder

archiver = Archiver(MarketFolder(sys.argv[1], "demo", "X/Y"))
for _ in range(2):
    try:
        archiver.finish()
    except TapeError as error:
        print(error)
"""


@pytest.mark.skipif(bool(lacks("strace")), reason=lacks("strace"))
@pytest.mark.parametrize("failing", ["1+", "2+"])
def test_no_segment_is_let_go_for_a_file_whose_name_no_sync_of_the_folder_covers(
    tmp_path: Path, failing: str
) -> None:
    folder, market = MarketFolder(tmp_path, "demo", "X/Y"), Market()
    batches = list(market.messages(50, clear_every=50))
    write_journal(folder, batches)
    with closing(Archiver(folder)) as archiver:
        archiver.finish()
    for base in list_bases(folder.archive):  # without a book a file is committed by itself
        base.path.rename(base.path.with_suffix(".away"))
    batches += (more := list(market.messages(300)))
    write_journal(folder, more, segment_bytes=16 * 1024)
    there = segments(folder.journal)
    assert len(there) > 2

    ran = subprocess.run(
        [*failing_syncs(folder.archive, failing), sys.executable, "-c", _TWICE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert segments(folder.journal) == there
    assert ran.stdout.count("Input/output error") == 2
    assert len(list_files(folder.archive)) == int(failing[0])  # it has its name, and no more

    with closing(Archiver(folder)) as archiver:
        archiver.finish()
    assert len(segments(folder.journal)) == 1
    for away in folder.archive.glob("*.away"):
        away.rename(away.with_suffix(".parquet"))
    assert rows_of(TapeReader(tmp_path, "demo", "X/Y").batches()) == rows_of(batches)
