"""Parameters of the interface, as they may come."""

from __future__ import annotations

import pytest

from ordertape import limits
from ordertape.api.query import whole_number
from ordertape.errors import SettingRefused


@pytest.mark.parametrize(
    ("given", "number"), [("0", 0), ("000", 0), ("7", 7), ("100", 100), ("0" * 9_999 + "42", 42)]
)
def test_a_whole_number_is_read(given: str, number: int) -> None:
    assert whole_number("depth", given, 100) == number


@pytest.mark.parametrize(
    "given", ["", "-1", "+1", "1.0", "1e3", "101", "1" * 5_000, "9" * 1_000_000, "²", "x", "0 0"]
)
def test_what_is_no_whole_number_or_too_great_is_refused_in_a_short_sentence(given: str) -> None:
    with pytest.raises(SettingRefused, match="depth: expected a whole number to 100, found") as why:
        whole_number("depth", given, 100)
    assert len(str(why.value)) < limits.shown_text_max + 100
