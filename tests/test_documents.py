"""The documents as a test: what the code has stands in them, and what they show works."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from ordertape.cli import app
from ordertape.settings import described

TOP = Path(__file__).resolve().parent.parent
DOCS = TOP / "docs"
PAGES = sorted([*TOP.glob("*.md"), *DOCS.glob("*.md")])


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, TOP / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Settings and limits ------------------------------------------------------------------------------


def test_the_tables_of_settings_and_limits_are_those_of_the_code() -> None:
    page = read(DOCS / "settings.md")
    assert page == script("tables").renewed(page), "`make format` renews them"


def test_every_bound_says_what_happens_where_it_is_reached() -> None:
    """Limits of other names are paces and sizes: nothing reaches them."""
    rows = [re.split(r" *\| *", row) for row in script("tables").limits_table().splitlines()]
    policies = {name.strip("`"): policy for _, name, _, _, policy, _ in rows}
    bounds = [name for name in policies if name.endswith(("_max", "_kept", "_known"))]
    assert {"frame_bytes_max", "stream_errors_kept", "clients_known"} <= set(bounds)
    assert [name for name in bounds if not policies[name].endswith(".")] == []


def test_the_example_shows_every_setting_with_its_default_and_no_other() -> None:
    shown = dict(
        re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", read(TOP / ".env.example"), re.MULTILINE)
    )
    assert shown == {name: default for name, _, default in described()}


def test_no_page_names_a_setting_that_is_none() -> None:
    known = {name for name, _, _ in described()} | {"ORDERTAPE_SHARED"}
    # What the tests and the torture read from the environment stands where it is read.
    known |= set(
        re.findall(r"ORDERTAPE_[A-Z_]+", "".join(map(read, (TOP / "tests").rglob("*.py"))))
    )
    named = {
        name for page in PAGES for name in re.findall(r"\b(?:ORDERTAPE|L3)_[A-Z_]+\b", read(page))
    }
    assert named - known == set()


# Commands -----------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, TyperCommand]]:
    """(words, command) of every command that does something."""

    def walk(words: str, command: object) -> Iterator[tuple[str, TyperCommand]]:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                yield from walk(f"{words} {name}", inner)
        elif isinstance(command, TyperCommand):
            yield words, command

    yield from walk("ordertape", typer.main.get_command(app))


def options(command: TyperCommand | TyperGroup) -> set[str]:
    """The long options of a command, without --help."""
    return {
        name
        for parameter in command.params
        if isinstance(parameter, TyperOption) and not parameter.hidden
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    } - {"--help"}


def section(words: str) -> str:
    """What docs/cli.md says under the heading of a command."""
    match = re.search(
        rf"^##+ `{re.escape(words)}[ `].*?(?=^##|\Z)",
        read(DOCS / "cli.md"),
        re.MULTILINE | re.DOTALL,
    )
    return match[0] if match else ""


def test_every_command_and_option_stands_in_its_section() -> None:
    missing = []
    for words, command in commands():
        text = section(words)
        missing += [words] if not text else []
        missing += [f"{words} {name}" for name in options(command) if f"`{name}" not in text]
    assert missing == []


def test_every_section_of_the_commands_is_one() -> None:
    known = {words for words, _ in commands()}
    headings = re.findall(r"^##+ `(ordertape[^`]*)`", read(DOCS / "cli.md"), re.MULTILINE)
    assert [h for h in headings if not any(f"{h} ".startswith(f"{k} ") for k in known)] == []


def test_commands_shown_in_a_page_exist() -> None:
    known = dict(commands())
    everywhere = options(typer.main.get_command(app))
    wrong = []
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["ordertape"]:
                continue
            plain = [word for word in words if not word.startswith("-")]
            said = [name for name in known if is_said(name.split(), plain)]
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            allowed = everywhere.union(*(options(known[name]) for name in said), {"--help"})
            wrong += [f"{page.name}: {line}"] if not said or used - allowed else []
    assert wrong == []


def is_said(name: list[str], words: list[str]) -> bool:
    """Whether the words hold those of a command, one after the other from the first on."""
    rest = iter(words)
    return all(word in rest for word in name)


# Links and examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", read(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_linked_from_the_first() -> None:
    first = read(TOP / "README.md")
    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in first] == []


def test_pages_that_the_code_names_exist() -> None:
    code = [*TOP.glob("src/**/*.py"), *TOP.glob("engine/src/**/*.rs"), TOP / "Makefile"]
    named = {
        (path.name, page) for path in code for page in re.findall(r"docs/[\w-]+\.md", read(path))
    }
    assert [pair for pair in sorted(named) if not (TOP / pair[1]).exists()] == []


def test_make_help_lists_every_target() -> None:
    targets = re.search(r"^\.PHONY: (.*)$", read(TOP / "Makefile"), re.MULTILINE)
    assert targets is not None
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=TOP, check=True, capture_output=True, text=True
    )
    assert re.findall(r"^make (\w+)", shown.stdout, re.MULTILINE) == targets[1].split()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_shown_in_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page in their order, as in one notebook, in an empty folder."""
    (tmp_path / "page.py").write_text("\n".join(blocks(page, "python")), encoding="utf-8")
    folder = Path(sys.executable).parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
