"""Contract, Environment: every name, with its default, tried where it has an effect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ordertape.database.address import connect
from ordertape.roles.status import read_report
from ordertape.settings import Settings, described, load_settings
from ordertape.tape.folder import MarketFolder
from support.processes import SYMBOL, simulated_venue, wait_for
from support.roles_server import NO_DATABASE
from support.served import Served
from support.server import serving

TOP = Path(__file__).resolve().parents[2]
DEFAULTS = {
    "L3_PERSIST_ENABLED": "true",
    "L3_SNAPSHOT_INTERVAL": "60",
    "L3_MAX_ORDERS_MEMORY": "100000",
    "DATABASE_URL": "",
    "OTC_SCHEMA": "otc_analysis",
    "ORDERTAPE_DATA": "data",
}
CREDENTIALS = ("COINBASE_API_KEY", "COINBASE_API_SECRET", "COINBASE_API_PASSPHRASE")


@contextmanager
def started(folder: Path, **environment: str) -> Iterator[Served]:
    """A server of its own with one simulated market, LIVE, and no database."""
    with (
        simulated_venue(rate=500) as venue,
        serving(folder, {**venue, **NO_DATABASE, **environment}) as address,
    ):
        server = Served(address, folder / "data", [], {})
        with server.client:
            server.begin(SYMBOL)
            yield server


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_each_name_has_its_default_and_is_listed(name: str, default: str) -> None:
    assert {setting: value for setting, _, value in described()}[name] == default
    example = (TOP / ".env.example").read_text()
    assert re.search(rf"^#{name}={default}$", example, re.MULTILINE)
    assert f"`{name}`" in (TOP / "docs" / "settings.md").read_text()


@pytest.mark.contract("ORDERTAPE_…")
def test_every_ordertape_name_is_listed_in_the_docs() -> None:
    page = (TOP / "docs" / "settings.md").read_text()
    names = [name for name, _, _ in described() if name.startswith("ORDERTAPE_")]
    assert "ORDERTAPE_BITFINEX_WS_URL" in names
    assert [name for name in names if f"`{name}`" not in page] == []


def test_names_also_come_from_dotenv_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OTC_SCHEMA=from_file\nL3_SNAPSHOT_INTERVAL=90\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("L3_SNAPSHOT_INTERVAL", "30")
    monkeypatch.delenv("OTC_SCHEMA", raising=False)
    settings = load_settings()
    assert (settings.database_schema, settings.snapshot_interval_seconds) == ("from_file", 30)


@pytest.mark.contract("COINBASE_API_KEY", "COINBASE_API_SECRET", "COINBASE_API_PASSPHRASE")
@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_for_coinbase_only(name: str) -> None:
    fields = {str(field.validation_alias): field for field in Settings.model_fields.values()}
    assert fields[name].default is None
    assert "oinbase" in (fields[name].description or "")


@pytest.mark.contract("L3_PERSIST_ENABLED")
def test_l3_persist_enabled_false_persists_no_stream(tmp_path: Path) -> None:
    with started(tmp_path, L3_PERSIST_ENABLED="false") as server:
        assert server.answer(f"/status/bitfinex/{SYMBOL}")["persist"] is False
        server.refused(f"/orders/bitfinex/{SYMBOL}", 409)
        assert not MarketFolder(server.data, "bitfinex", SYMBOL).journal.exists()


@pytest.mark.contract("L3_SNAPSHOT_INTERVAL", "L3_MAX_ORDERS_MEMORY")
def test_l3_snapshot_interval_and_l3_max_orders_memory(tmp_path: Path) -> None:
    """Older events than those in memory are read from the journal; nothing is dropped."""
    given = {"L3_SNAPSHOT_INTERVAL": "10", "L3_MAX_ORDERS_MEMORY": "1000"}
    with started(tmp_path, **given) as server:
        root = MarketFolder(server.data, "bitfinex", SYMBOL).root
        wait_for(lambda: read_report(root) is not None, "a report")
        report = read_report(root)
        assert report is not None
        assert report.snapshot_interval_seconds == 10
        wait_for(lambda: server.answer(f"/status/bitfinex/{SYMBOL}")["sequence"] > 1_500, "events")
        with server.socket(SYMBOL, "exchange=bitfinex&since=1:1") as socket:
            first = socket.recv(timeout=60)
        assert '"type":"l3_order"' in str(first)
        assert '"sequence":2,' in str(first)


@pytest.mark.contract("DATABASE_URL")
@pytest.mark.parametrize("served", ["installed"], indirect=True)
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_database_url_in_every_form(
    server: Served, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.environment["DATABASE_URL"].replace("postgresql", scheme, 1)
    monkeypatch.setitem(server.environment, "DATABASE_URL", url)
    with connect(server.database()) as connection:
        assert connection.execute("SELECT count(*) FROM level3_gaps").fetchone() is not None


@pytest.mark.contract("DATABASE_URL", "ORDERTAPE_DATA")
def test_database_url_unset_is_the_embedded_one_in_ordertape_data(server: Served) -> None:
    address = server.database()
    assert address.embedded is not None
    assert Path(server.data, "postgresql", "cluster").is_dir()
    with psycopg.connect(address.conninfo()) as connection:
        assert connection.info.server_version // 10_000 == 18


@pytest.mark.parametrize(("name", "value"), [("DATABASE_URL", "mysql://x/y")])
def test_a_value_that_can_not_be_used_is_one_sentence(
    tmp_path: Path, name: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", "0"],
        cwd=TOP,
        env={**os.environ, "ORDERTAPE_DATA": str(tmp_path), "DATABASE_URL": "", name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr
