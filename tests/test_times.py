"""Times between text and nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape.errors import SettingRefused
from ordertape.times import day_end, iso_from_ns, parse_time


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("2026-11-22T07:00:00Z", 1_795_330_800_000_000_000),
        ("2026-11-22 07:00", 1_795_330_800_000_000_000),
        ("2026-11-22T07:00:00", 1_795_330_800_000_000_000),
        ("2026-11-22T08:00:00+01:00", 1_795_330_800_000_000_000),
        ("2026-11-22T07:00:00.000000001Z", 1_795_330_800_000_000_001),
        ("2026-11-22T07:00:00.5z", 1_795_330_800_500_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
    ],
)
def test_iso_text_becomes_nanoseconds(text: str, ns: int) -> None:
    assert parse_time(text) == ns


def test_naive_datetimes_are_utc_and_zones_are_kept() -> None:
    moment = datetime(2026, 11, 22, 7, 0, 0, 123456)  # noqa: DTZ001 - naive on purpose
    assert parse_time(moment) == parse_time(moment.replace(tzinfo=UTC))
    berlin = timezone(timedelta(hours=1))
    assert parse_time(moment.replace(tzinfo=berlin)) == parse_time(moment) - 3600 * 10**9


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-11-22T07:00:00.1234567890Z", "2026-11-22T25:00Z"]
)
def test_other_text_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(SettingRefused, match="expected a time"):
        parse_time(text)


@given(st.integers(-(2**61), 2**62))
def test_every_moment_comes_back_from_its_text(ns: int) -> None:
    assert parse_time(iso_from_ns(ns)) == ns
    assert parse_time(ns) == ns


def test_text_has_no_more_digits_than_the_moment() -> None:
    assert iso_from_ns(0) == "1970-01-01T00:00:00Z"
    assert iso_from_ns(1_500_000) == "1970-01-01T00:00:00.001500Z"
    assert iso_from_ns(1) == "1970-01-01T00:00:00.000000001Z"


def test_a_day_ends_where_the_next_begins() -> None:
    assert day_end(0) == 86_400 * 10**9
    assert day_end(86_400 * 10**9 - 1) == 86_400 * 10**9
    assert day_end(86_400 * 10**9) == 2 * 86_400 * 10**9
