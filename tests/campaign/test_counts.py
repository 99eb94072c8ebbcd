"""The counts that are promised of the fault matrix, tried under `make torture`."""

from __future__ import annotations

import os

import pytest

from campaign.rows import ROWS, attempt
from support.tries import run_tries

COUNTS = {
    "5 gap": 500,
    "6 duplicates": 500,
    "7 reordered": 500,
    "9 checksum lie": 500,
    "11 snapshot apart": 1_000,
}
OTHERS = 100


def one(case: str, seed: int) -> list[str]:
    row, venue = case.rsplit(" ", 1)
    return attempt(row, venue, seed)


@pytest.mark.torture
def test_the_promised_counts_hold() -> None:
    counts = {
        f"{row} {venue}": COUNTS.get(row, OTHERS)
        for row, (_, venues) in ROWS.items()
        for venue in venues
    }
    assert run_tries("matrix", counts, one, workers=os.cpu_count() or 1) == []
