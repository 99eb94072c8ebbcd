"""Renew the tables that docs/settings.md takes from the code; without --write, print the page.

A table stands between `<!-- name -->` and `<!-- end -->`; a test compares page and code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ordertape import limits
from ordertape.settings import described

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "settings.md"


def settings_table() -> str:
    """Every setting: name, meaning, default."""
    lines = ["| name | meaning | default |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {meaning} | {f'`{default}`' if default else 'unset'} |"
        for name, meaning, default in described()
    ]
    return "\n".join(lines)


def limits_table() -> str:
    """Every limit: name, value, and its docstring cut at `Policy:`."""
    lines = ["| limit | value | what it bounds | beyond it |", "|---|---|---|---|"]
    for name, text in _limits_and_texts():
        meaning, _, policy = text.partition("Policy:")
        value = getattr(limits, name)
        lines.append(f"| `{name}` | {value:,} | {meaning.strip()} | {policy.strip()} |")
    return "\n".join(lines)


def _limits_and_texts() -> list[tuple[str, str]]:
    """Names in the order of the module; the first of a pair ``_min`` and ``_max`` shares the
    docstring of the second."""
    found: list[tuple[str, str]] = []
    waiting: list[str] = []
    for statement in ast.parse(Path(limits.__file__).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            waiting.append(statement.target.id)
        elif waiting and isinstance(statement, ast.Expr):
            if len(waiting) > 1 and not _are_pair(waiting):
                sys.exit(f"limits.py: expected a docstring below {waiting[0]}")
            text = " ".join(str(ast.literal_eval(statement.value)).split())
            found += [(name, text) for name in waiting]
            waiting.clear()
    if waiting:
        sys.exit(f"limits.py: expected a docstring below {waiting[-1]}")
    return found


def _are_pair(names: list[str]) -> bool:
    first, second = names[0], names[-1]
    return len(names) == 2 and first == f"{second.removesuffix('_max')}_min"


TABLES: dict[str, Callable[[], str]] = {"settings": settings_table, "limits": limits_table}


def renewed(page: str) -> str:
    """The page with every table as the code has it now."""
    for name, table in TABLES.items():
        parts = re.split(rf"(?<=<!-- {name} -->\n)(?:.|\n)*?(?=\n<!-- end -->)", page)
        if len(parts) != 2:
            sys.exit(f"{PAGE.name} has {len(parts) - 1} tables named {name}, expected one")
        page = table().join(parts)
    return page


if __name__ == "__main__":
    text = renewed(PAGE.read_text(encoding="utf-8"))
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
