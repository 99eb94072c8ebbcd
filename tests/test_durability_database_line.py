"""A few of what ``make torture`` tries 200 times: servers stopped in a COPY, COMMITs unanswered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ordertape.database.address import Address
from support.database_faults import Recording, following, judge, limited, persisted
from support.database_line import commit_unknown, stopped_in_copy
from support.postgres import InstalledServer, installed_cluster
from support.postgres_line import COPY_DATA, Wire, line_to
from support.processes import wait_for


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    with installed_cluster() as server:
        yield server


def test_a_server_stopped_in_the_middle_of_a_copy_has_every_event_once(
    own_server: InstalledServer, tmp_path: Path
) -> None:
    assert stopped_in_copy(own_server, str(tmp_path), "a few", 1) == []


@pytest.mark.parametrize(
    "case", ["answer lost, line cut", "answer lost, line silent", "request lost"]
)
def test_a_commit_whose_answer_never_comes_is_done_once(
    own_server: InstalledServer, tmp_path: Path, case: str
) -> None:
    assert commit_unknown(own_server, str(tmp_path), case, 1) == []


def test_a_database_too_slow_for_a_whole_transaction_gets_smaller_ones(
    own_server: InstalledServer, tmp_path: Path
) -> None:
    """So slow that the events at hand take three times as long as an answer may."""
    recording = Recording(tmp_path, 1)
    with recording.open() as journal:
        recording.write(journal, 2_000)
    recording.close()
    all_bytes, patience_s = recording.last_seq * 120, 0.7

    def hook(_wire: Wire, kind: bytes, message: bytes) -> bytes:
        if kind == COPY_DATA:
            time.sleep(3 * patience_s * len(message) / all_bytes)
        return message

    with (
        line_to(own_server.folder, hook) as line,
        limited(
            database_answer_ms_max=1000 * patience_s,
            database_batch_rows=2_500,
            database_batch_rows_min=100,
        ),
        following(tmp_path, Address("slow", url=line.url())) as follower,
    ):
        wait_for(lambda: persisted(follower, recording), "every event")
    assert judge(recording, own_server.url, "slow") == []
