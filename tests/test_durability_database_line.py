"""A few of what ``make torture`` tries 200 times: servers stopped in a COPY, COMMITs unanswered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.database_line import commit_unknown, stopped_in_copy
from support.postgres import InstalledServer, installed_cluster


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
