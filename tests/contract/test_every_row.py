"""Every row of the contract's tables has a test that says so: ``@pytest.mark.contract(name, …)``.

A row's names are those of its first cell, letter by letter: `GET /streams` and `GET /venues` stand
in one row and are two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def rows(page: str) -> set[str]:
    """The names in the first cell of every row of every table."""
    cells = re.findall(r"^\| ((?:`[^`]*`|[^|`])*) \|", page, re.MULTILINE)
    return {name.replace(r"\|", "|") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def marked(text: str) -> Iterator[str]:
    """The rows that the tests of a module say they try."""
    for test in ast.walk(ast.parse(text)):
        if not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in test.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.contract":
                assert test.name.startswith("test_"), f"{test.name} is no test"
                yield from map(ast.literal_eval, mark.args)


def test_every_row_of_the_contract_has_a_test_and_no_test_a_row_that_is_none(shared: Path) -> None:
    page = shared / "contract.md"
    if not page.exists():
        pytest.skip(f"there is no contract in {shared}")
    wanted = rows(page.read_text())
    assert len(wanted) > 30
    tried = {row for path in TESTS.rglob("test_*.py") for row in marked(path.read_text())}
    assert {"without a test": wanted - tried, "no row": tried - wanted} == {
        "without a test": set(),
        "no row": set(),
    }


def test_a_row_is_every_name_of_a_first_cell() -> None:
    page = (
        "| route | answer |\n|---|---|\n"
        "| `GET /one` · `GET /two` (also with `--three`) | `four` |\n"
        "| `five a\\|b DIR` | |\nno `row` | at all |\n"
    )
    assert rows(page) == {"GET /one", "GET /two", "--three", "five a|b DIR"}


def test_a_mark_counts_on_a_test_alone() -> None:
    mark = '@pytest.mark.contract("GET /one", "two")\n'
    assert list(marked(f"{mark}async def test_it() -> None: ...")) == ["GET /one", "two"]
    assert (
        list(marked('text = "GET /one"\n@pytest.mark.parametrize("a", [])\ndef test_it(): ...'))
        == []
    )
