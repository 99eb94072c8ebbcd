"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

TOP = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings: ORDERTAPE_SHARED, else `shared` beside the repository."""
    folder = Path(os.environ.get("ORDERTAPE_SHARED") or TOP.parent / "shared").resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"no recordings in {folder}: ORDERTAPE_SHARED names their folder")
    return folder
