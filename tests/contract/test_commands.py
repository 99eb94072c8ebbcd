"""Contract, Commands: `uvicorn app.main:app` and `scripts/migrate_l3_tables.py`.

`make run` and `make test` set up a machine, which no test can: what they run behind that is here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest

from ordertape.database.address import connect
from ordertape.database.dropping import drop
from ordertape.database.schema import create
from support.served import LIVE, Served

TOP = Path(__file__).resolve().parents[2]
_names = count(1)


@pytest.mark.contract("uvicorn app.main:app")
def test_uvicorn_app_main_app_starts_the_server(server: Served) -> None:
    """In an activated .venv: support/server.py starts the server of all these tests so."""
    assert httpx.get(f"{server.address}/docs").status_code == 200
    assert {stream["symbol"] for stream in server.answer("/streams")["streams"]} >= {LIVE}


def would_run(*arguments: str) -> list[str]:
    """What make would have run last: all of it but the setup."""
    # Not as a part of the make that may be running these tests.
    env = {
        name: given for name, given in os.environ.items() if not name.startswith(("MAKE", "MFL"))
    }
    done = subprocess.run(
        ["make", "-n", *arguments], cwd=TOP, env=env, capture_output=True, text=True, check=True
    )
    first, *others = done.stdout.splitlines()
    assert first == "scripts/setup"
    return others


@pytest.mark.contract("make run")
def test_make_run_sets_up_and_starts_the_demonstration_at_its_port() -> None:
    """tests/test_cli_serve.py runs it in a terminal."""
    assert would_run("run") == ["exec .venv/bin/ordertape demo --port 8000"]
    assert would_run("run", "PORT=8123") == ["exec .venv/bin/ordertape demo --port 8123"]


@pytest.mark.contract("make test")
def test_make_test_sets_up_and_runs_every_test() -> None:
    engine, *page, python = would_run("test")
    assert engine.startswith("cargo test --manifest-path engine/Cargo.toml ")
    assert page == ["scripts/web test", "scripts/web browser"]
    assert python == ".venv/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 0"


@pytest.fixture
def elsewhere(server: Served) -> str:
    """A schema of its own in the server's database."""
    return f"migrated_{next(_names)}"


@contextmanager
def tables(server: Served, schema: str) -> Iterator[psycopg.Connection]:
    """A connection with that schema on its search path."""
    with connect(replace(server.database(), schema=schema)) as connection:
        yield connection


def migrate(server: Served, schema: str, *arguments: str, answer: str = "") -> tuple[int, str, str]:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"
    done = subprocess.run(
        [python, "scripts/migrate_l3_tables.py", *arguments],
        cwd=TOP,
        env={
            **os.environ,
            **server.environment,
            "ORDERTAPE_DATA": str(server.data),
            "OTC_SCHEMA": schema,
        },
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.contract("python3 scripts/migrate_l3_tables.py create", "check", "drop")
def test_migrate_create_check_drop_with_the_plain_python3(server: Served, elsewhere: str) -> None:
    assert migrate(server, elsewhere, "create")[0] == 0
    status, said, _ = migrate(server, elsewhere, "check")
    assert (status, "everything is there" in said) == (0, True)
    assert migrate(server, elsewhere, "drop", "--yes")[0] == 0
    with tables(server, elsewhere) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (elsewhere,)).fetchone() == (None,)


@pytest.mark.contract("check", "drop")
@pytest.mark.parametrize("served", ["installed"], indirect=True)
def test_migrate_check_lists_what_is_missing_and_drop_asks_unless_yes(
    server: Served, elsewhere: str
) -> None:
    with tables(server, elsewhere) as connection:
        create(connection, elsewhere)
        connection.execute("DROP TABLE level3_gaps")
        status, said, _ = migrate(server, elsewhere, "check")
        assert (status, "level3_gaps is missing" in said) == (1, True)
        status, said, _ = migrate(server, elsewhere, "drop", answer="n\n")
        assert (status, "nothing was dropped" in said) == (1, True)
        assert connection.execute("SELECT count(*) FROM level3_orders").fetchone() == (0,)
        drop(connection, elsewhere)


@pytest.mark.parametrize("served", ["installed"], indirect=True)
def test_migrate_says_what_tables_are_not_ours_and_changes_nothing(
    server: Served, elsewhere: str
) -> None:
    with tables(server, elsewhere) as connection:
        connection.execute(f"CREATE SCHEMA {elsewhere}".encode())
        connection.execute(f"CREATE TABLE {elsewhere}.level3_orders (n int)".encode())
        for arguments in (["create"], ["drop", "--yes"]):
            status, _, said = migrate(server, elsewhere, *arguments)
            assert (status, "level3_orders" in said) == (1, True)
            assert said.count("\n") == 1
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", (elsewhere,)
        ).fetchall()
        assert found == [("level3_orders",)]
        connection.execute(f"DROP SCHEMA {elsewhere} CASCADE".encode())


def test_migrate_before_make_setup_says_so(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(TOP / "scripts" / "migrate_l3_tables.py", scripts)
    done = subprocess.run(
        ["python3", scripts / "migrate_l3_tables.py", "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "make setup" in done.stderr
    assert done.stderr.count("\n") == 1
