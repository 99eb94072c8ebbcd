"""PostgreSQL stopped in the middle of a COPY, and COMMITs whose answer is lost: each event once.

The follower reaches its server over a line of the test, which picks the very byte.  ``make test``
tries a few of each (tests/test_durability_database_line.py), ``make torture`` 200.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial

import pytest

from support.database_line import commit_unknown, stopped_in_copy
from support.postgres import InstalledServer, installed_cluster
from support.tries import run_tries

pytestmark = pytest.mark.torture


@pytest.fixture(scope="module")
def own_server() -> Iterator[InstalledServer]:
    """One that may be hurt."""
    with installed_cluster() as server:
        yield server


def test_a_server_stopped_in_the_middle_of_a_copy_has_every_event_once(
    own_server: InstalledServer,
) -> None:
    counts = {"immediate stop at a random byte": 200}
    attempt = partial(stopped_in_copy, own_server, tempfile.gettempdir())
    assert run_tries("database stopped in copy", counts, attempt) == []


def test_a_commit_whose_answer_is_lost_is_done_once(own_server: InstalledServer) -> None:
    counts = {
        "answer lost, line cut": 200,
        "answer lost, line reset": 50,
        "answer lost, line silent": 50,
        "request lost": 50,
    }
    attempt = partial(commit_unknown, own_server, tempfile.gettempdir())
    assert run_tries("commit unknown", counts, attempt) == []
