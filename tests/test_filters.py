"""Bounds of prices and sizes: exact at any scale, quick whatever their exponent."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape.filters import Filters, scaled_ceiling, scaled_floor
from support.events import batch

GREATEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "ceiling", "floor_"),
    [
        ("-1e999990", -GREATEST, -GREATEST),
        ("1e1000000", GREATEST, GREATEST),
        ("-1e999999999999999999", -GREATEST, -GREATEST),
        ("9e-1000000", 1, 0),
        ("-9e-999999999999999", 0, -1),
        ("0e999999999999999999", 0, 0),
        ("-0e-999999999999999999", 0, 0),
        (f"1.{'0' * 5_000}1", 101, 100),
        (f"-0.00{'9' * 5_000}", 0, -1),
        ("92233720368547758.07", GREATEST, GREATEST),
        ("92233720368547758.08", GREATEST, GREATEST),
        ("92233720368547758.060000001", GREATEST, GREATEST - 1),
        ("-92233720368547758.08", -GREATEST, -GREATEST),
    ],
)
def test_a_bound_of_any_size_is_exact_and_takes_no_time(
    text: str, ceiling: int, floor_: int
) -> None:
    began = time.process_time()
    number = Decimal(text)
    assert (scaled_ceiling(number, 2), scaled_floor(number, 2)) == (ceiling, floor_)
    assert time.process_time() - began < 0.5


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e21", max_value="1e21"),
    st.integers(0, 18),
)
def test_a_bound_is_what_exact_arithmetic_says(number: Decimal, scale: int) -> None:
    exact = Fraction(number) * 10**scale
    assert scaled_ceiling(number, scale) == max(-GREATEST, min(GREATEST, ceil(exact)))
    assert scaled_floor(number, scale) == max(-GREATEST, min(GREATEST, floor(exact)))


def test_bounds_beyond_every_number_pass_all_or_nothing() -> None:
    made = batch()
    priced = len(Filters(min_price=Decimal("-1e999990")).rows(made))
    assert priced == len(Filters(max_price=Decimal("1e1000000")).rows(made)) > 0
    assert len(Filters(min_price=Decimal("1e1000000")).rows(made)) == 0
    assert len(Filters(max_price=Decimal("-1e999990")).rows(made)) == 0
