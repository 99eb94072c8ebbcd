"""``db check``, ``db psql`` and ``db drop`` where the data folder never had a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from ordertape import cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "")


@pytest.mark.parametrize(
    ("command", "status", "ending"),
    [
        (["check"], 1, "ordertape db create` makes it"),
        (["reader", "grafana"], 1, "ordertape db create` makes it"),
        (["psql", "-At", "-c", "SELECT 1"], 1, "ordertape db create` makes it"),
        (["drop", "--yes"], 1, "nothing was dropped"),
        (["drop"], 1, "nothing was dropped"),
        (["dump", "dumped.sql"], 1, "nothing was written"),
    ],
)
def test_looking_for_a_database_makes_none(
    command: list[str],
    status: int,
    ending: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["db", *command, "--data", str(tmp_path / "data")]) == status
    captured = capsys.readouterr()
    folder = tmp_path / "data" / "postgresql"
    said = captured.out + captured.err.removeprefix("ordertape: ")
    assert said.startswith(
        f"there is no database in {folder} yet, and DATABASE_URL names no other: "
    )
    assert said.endswith(f"{ending}\n")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
