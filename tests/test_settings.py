"""Settings: where they come from, and how a bad one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordertape.errors import SettingRefused
from ordertape.settings import Settings, as_environment, described, load_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in described():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert settings.data == Path("data")
    assert settings.snapshot_interval_seconds == 60
    assert settings.bitfinex_ws_url == "wss://api-pub.bitfinex.com/ws/2"
    assert settings.persist_enabled


def test_the_environment_wins_over_the_dotenv_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ORDERTAPE_DATA=from-file\nL3_SNAPSHOT_INTERVAL=30\nOTHER=1\n")
    assert load_settings().data == Path("from-file")
    monkeypatch.setenv("ORDERTAPE_DATA", "from-environment")
    settings = load_settings()
    assert settings.data == Path("from-environment")
    assert settings.snapshot_interval_seconds == 30


def test_an_empty_value_in_the_environment_unsets_what_stands_in_the_dotenv_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://real/one\nOTC_SCHEMA=mine\n")
    assert load_settings().database_url == "postgresql://real/one"
    monkeypatch.setenv("DATABASE_URL", "")
    settings = load_settings()
    assert settings.database_url is None
    assert settings.database_schema == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "COINBASE_API_SECRET=c2VjcmV0",
        "ORDERTAPE_WEBHOOKS=ops=https://example.org/hook",
        "DATABASE_URL=postgresql://me:password@db.example.org/one",
        "DATABASE_URL=postgresql://db.example.org/one?user=me&password=password",
    ],
)
def test_a_dotenv_file_with_a_secret_is_refused_while_other_accounts_may_read_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    name, _, value = line.partition("=")
    file = tmp_path / ".env"
    file.write_text(f"ORDERTAPE_DATA=elsewhere\n{line}\n")
    sentence = rf"\.env holds {name} and is open to other accounts: `chmod 600 \.env` closes it"
    for mode in (0o644, 0o640, 0o604):
        file.chmod(mode)
        with pytest.raises(SettingRefused, match=f"^{sentence}$") as refusal:
            load_settings()
        assert value not in str(refusal.value)
    monkeypatch.setenv(name, "")  # it lies open all the same
    with pytest.raises(SettingRefused, match=sentence):
        load_settings()
    file.chmod(0o600)
    assert load_settings().data == Path("elsewhere")


def test_a_dotenv_file_without_a_secret_may_be_read_by_anybody(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://db/one\nCOINBASE_API_SECRET=\n")
    (tmp_path / ".env").chmod(0o644)
    assert load_settings().database_url == "postgresql://db/one"


def test_what_another_process_is_given_are_the_very_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://real/one\nL3_PERSIST_ENABLED=false\n")
    here = load_settings().model_copy(update={"database_url": None})
    for name, value in as_environment(here).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == here


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERTAPE_DATA", "from-environment")
    assert load_settings(data=Path("given")).data == Path("given")
    assert load_settings(data=None).data == Path("from-environment")


def test_an_empty_value_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERTAPE_BITFINEX_WS_URL", "")
    monkeypatch.setenv("L3_SNAPSHOT_INTERVAL", "")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("L3_SNAPSHOT_INTERVAL", "5", "greater than or equal to 10"),
        ("L3_SNAPSHOT_INTERVAL", "3601", "less than or equal to 3600"),
        ("L3_SNAPSHOT_INTERVAL", "soon", "valid integer"),
        ("L3_PERSIST_ENABLED", "perhaps", "valid boolean"),
        ("ORDERTAPE_BITFINEX_WS_URL", "http://127.0.0.1:9", "wss://api-pub.bitfinex.com/ws/2"),
        ("ORDERTAPE_BITFINEX_WS_URL", "ws://:80", "wss://api-pub.bitfinex.com/ws/2"),
        ("ORDERTAPE_BITFINEX_WS_URL", "ws://host:port", "wss://api-pub.bitfinex.com/ws/2"),
        ("ORDERTAPE_BITFINEX_REST_URL", "api", "https://api-pub.bitfinex.com"),
    ],
)
def test_a_bad_value_is_one_sentence_with_name_found_and_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingRefused) as refusal:
        load_settings()
    text = str(refusal.value)
    assert text.startswith(f"{name} is {value!r}: ")
    assert expected in text
    assert "\n" not in text


def test_every_setting_has_a_name_a_meaning_and_a_default() -> None:
    rows = described()
    assert len(rows) == len(Settings.model_fields)
    assert all(name.isupper() and meaning for name, meaning, _ in rows)
    assert ("ORDERTAPE_DATA", "folder of journal, archive and embedded database", "data") in rows
