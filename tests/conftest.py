"""Fixtures that every room's tests share."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

if TYPE_CHECKING:
    from support.served import Served

TOP = Path(__file__).resolve().parent.parent
pytest_plugins = ("support.postgres",)
"""Its servers run once for all tests; a file that imports a fixture has one of its own."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A campaign runs for hours: what ends a test that hangs would end it after minutes."""
    if item.get_closest_marker("torture") is not None:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings: ORDERTAPE_SHARED, else `shared` beside the repository."""
    folder = Path(os.environ.get("ORDERTAPE_SHARED") or TOP.parent / "shared").resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no recordings in {folder}: ORDERTAPE_SHARED names their folder")
    return folder


@pytest.fixture(scope="session", params=["embedded"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The interface in front of a live simulated market and two finished tapes; begun where asked.

    With the embedded PostgreSQL and the default schema; with Debian's and another one, too, where a
    test is parametrized with ``support.contract.BOTH_DATABASES``.
    """
    # Here: every other test does without them.
    from support.postgres import installed_cluster
    from support.served import serve

    with ExitStack() as stack:
        database = {"DATABASE_URL": ""}
        if request.param == "installed":
            url = stack.enter_context(installed_cluster()).url
            database = {"DATABASE_URL": url, "OTC_SCHEMA": "contract"}
        folder = tmp_path_factory.mktemp("served")
        yield stack.enter_context(serve(folder, database))
