"""An account that may use too little is told so in one sentence, whatever it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILES = "this account may open 64 files (ulimit -n), expected 256 or more\n"


def limited(limit: str, arguments: list[str], folder: Path) -> tuple[int, str, str]:
    """A program of ours under a limit of the shell."""
    command = ["bash", "-c", f'ulimit {limit}; exec "$0" -m "$@"', sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["ordertape", "serve", "--port", "0"], "ordertape"),
        (["ordertape", "demo", "--port", "0"], "ordertape"),
        (["ordertape", "collect", "bitfinex", "BTC/USD"], "ordertape"),
        (["ordertape.roles.collector", "bitfinex", "BTC/USD"], "collector"),
        (["ordertape.roles.keeper"], "keeper"),
    ],
)
def test_what_needs_many_files_says_that_it_may_have_too_few(
    arguments: list[str], name: str, tmp_path: Path
) -> None:
    assert limited("-n 64", arguments, tmp_path) == (1, "", f"{name}: {FILES}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("-n 64", FILES),
        (
            "-v 700000",
            "this account may use 700,000 KiB of address space (ulimit -v), expected 786,432 or "
            "more\n",
        ),
    ],
)
def test_uvicorn_s_server_says_it_too(limit: str, sentence: str, tmp_path: Path) -> None:
    here = Path(__file__).resolve().parent.parent
    arguments = ["uvicorn", "--app-dir", str(here), "app.main:app", "--port", "0"]
    assert limited(limit, arguments, tmp_path) == (1, "", f"ordertape: {sentence}")
    assert list(tmp_path.iterdir()) == []


def test_reading_gets_by_with_few_files(tmp_path: Path) -> None:
    assert limited("-n 64", ["ordertape", "status"], tmp_path) == (0, "no tape in data\n", "")


def test_a_soft_limit_is_raised_to_what_is_allowed(tmp_path: Path) -> None:
    code = (
        "import resource; from ordertape.resources import require_files; require_files(); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256)"
    )
    (tmp_path / "raised.py").write_text(code)
    assert limited("-S -n 64", ["raised"], tmp_path) == (0, "True\n", "")


@pytest.mark.parametrize("kib", [60_000, 200_000, 300_000])
def test_too_little_memory_to_load_anything_is_one_sentence(kib: int, tmp_path: Path) -> None:
    status, out, err = limited(f"-v {kib}", ["ordertape", "--version"], tmp_path)
    assert (status, out) == (1, "")
    assert err == (
        f"ordertape: this account may use {kib:,} KiB of address space (ulimit -v), "
        "expected 786,432 or more\n"
    )
