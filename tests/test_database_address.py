"""DATABASE_URL is read in every form people have, and no password is shown."""

from __future__ import annotations

import pytest

from ordertape.database.address import Address, address_of, connect, read_url
from ordertape.errors import DatabaseUnavailable, SettingRefused
from ordertape.settings import load_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://u:p@h:5433/db", "postgresql://u:p@h:5433/db"),
        ("postgres://u@h/db", "postgresql://u@h/db"),
        (
            "postgresql+asyncpg://u:p%40@h/db?ssl=require",
            "postgresql://u:p%40@h/db?sslmode=require",
        ),
        ("postgresql+psycopg://h/db", "postgresql://h/db"),
        ("postgresql:///db?host=%2Frun%2Fx", "postgresql:///db?host=%2Frun%2Fx"),
        (" postgresql://h/db ", "postgresql://h/db"),
    ],
)
def test_usual_forms_are_read(text: str, expected: str) -> None:
    assert read_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:secret@h/db",
        "host=h dbname=db password=secret",
        "postgresql",
        "h:5432",
        "postgresql://u:secret%zz@h/db",
        "postgresql://u:pass@secret/x@h/db",
        "postgresql://u:secret@[::1/db",
        "postgresql://u:sec/ret@h:5432/db",
    ],
)
def test_other_forms_are_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(SettingRefused, match="expected postgresql://") as refusal:
        read_url(text)
    assert "secret" not in str(refusal.value)
    assert "ret@" not in str(refusal.value)


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    address = Address("s", url="postgresql://u:secret@127.0.0.1:1/db")
    with pytest.raises(DatabaseUnavailable, match=r"PostgreSQL at 127\.0\.0\.1:1, db") as away:
        connect(address)
    assert "secret" not in str(away.value)
    assert away.value.retryable


def test_without_a_url_the_embedded_one_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    address = address_of(load_settings(data=tmp_path))
    assert address.embedded is not None
    assert address.schema == "otc_analysis"
    monkeypatch.setenv("DATABASE_URL", "postgres://h/db")
    monkeypatch.setenv("OTC_SCHEMA", "mine")
    assert address_of(load_settings()) == Address("mine", url="postgresql://h/db")


@pytest.mark.parametrize("name", ["Mixed", "a b", "pg_mine", 'x"; DROP', "information_schema", "9"])
def test_a_schema_that_needs_quotes_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTC_SCHEMA", name)
    with pytest.raises(SettingRefused, match="expected a name like otc_analysis"):
        load_settings()
