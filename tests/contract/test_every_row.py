"""Every row of the contract's tables is named by a test of this folder."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTED_ELSEWHERE = {
    "make run": "test_cli_serve.py",
    "make test": "test_documents.py",
    "--reload": "test_roles_server.py",
    "ordertape serve [--host 127.0.0.1] [--port 8000]": "test_cli_serve.py",
}


def rows(page: str) -> list[str]:
    """The names in the first cell of every row of every table."""
    cells = re.findall(r"^\| ((?:`[^`]*`|[^|])*) \|", page, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def spoken(name: str) -> list[str]:
    """The words of a row that stay the same however it is called."""
    name = re.sub(r"\\?\|", " ", name)
    name = re.sub(r"^(GET|POST|WS) ", "", name)
    words = re.findall(r"/?[A-Za-z][\w./:-]*", re.sub(r"\{\w+\}|\[[^]]*\]|[A-Z]{3,}…?", "", name))
    return [word.strip("/") for word in words if len(word) > 2 and word != "ordertape"][:2]


def test_every_row_of_the_contract_is_named_by_a_test(shared: Path) -> None:
    texts = "\n".join(path.read_text() for path in HERE.glob("test_*.py"))
    missing = []
    for name in rows((shared / "contract.md").read_text()):
        if name in TESTED_ELSEWHERE:
            assert (HERE.parent / TESTED_ELSEWHERE[name]).exists()
            continue
        shouted = re.fullmatch(r"[A-Z][A-Z0-9_]+", name)
        words = [name] if shouted else spoken(name)
        missing += [name for word in words if word not in texts]
    assert missing == []
