"""Flipped bits, torn files and power cuts: a few of each; `make torture` has hundreds."""

from __future__ import annotations

import pytest

from support.damage import DAMAGES, attempt_damage
from support.power import attempt_cut


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_found_and_nothing_wrong_is_served(case: str) -> None:
    assert [wrong for seed in range(3) for wrong in attempt_damage(case, seed)] == []


@pytest.mark.parametrize(
    ("case", "tries"), [("a recorded journal", 12), ("journal and archive", 4)]
)
def test_a_power_cut_loses_nothing_that_was_synced(case: str, tries: int) -> None:
    assert [wrong for seed in range(tries) for wrong in attempt_cut(case, seed)] == []
