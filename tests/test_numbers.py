"""Numbers at the edges are exact."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ordertape.numbers import json_text, plain


def test_plain_text_has_no_exponent_and_no_trailing_zeros() -> None:
    assert plain(Decimal("1E-8")) == "0.00000001"
    assert plain(Decimal("1E+3")) == "1000"
    assert plain(Decimal("41652.500")) == "41652.5"
    assert plain(Decimal("100")) == "100"
    assert plain(Decimal("-0.00")) == "0"
    assert plain(Decimal("-2.50")) == "-2.5"


def test_numbers_longer_than_any_float_or_context_keep_their_digits() -> None:
    text = "123456789012345678901234567890.123456789"
    assert plain(Decimal(text)) == text
    assert json_text({"total": Decimal(text)}) == f'{{"total":{text}}}'


def test_json_keeps_structure_and_other_values() -> None:
    answer = {"a": [Decimal("1.10"), None, "x", 7, True], "b": {"c": (Decimal("2"),)}}
    assert json_text(answer) == '{"a":[1.1,null,"x",7,true],"b":{"c":[2]}}'


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
def test_what_json_says_is_what_the_decimal_was(number: Decimal) -> None:
    assert json.loads(json_text([number]), parse_float=Decimal, parse_int=Decimal) == [number]
