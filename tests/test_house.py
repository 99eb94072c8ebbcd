"""The house as a test: floors, module sizes, and what must not stand in a file."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
SOURCE = TOP / "src"
PACKAGE = SOURCE / "ordertape"
LINES_MAX = 600
TABLES = ("limits.py", "_engine.pyi")
"""They are looked up, not read, and the house or the language wants each in one file."""

FLOORS = {
    "_engine": 0,
    "arrow": 1,
    "crash_points": 1,
    "eras": 1,
    "errors": 1,
    "events": 1,
    "filters": 1,
    "kept": 1,
    "limits": 1,
    "measures": 1,
    "models": 1,
    "numbers": 1,
    "printable": 1,
    "resources": 1,
    "settings": 1,
    "times": 1,
    "alerts": 2,
    "analysis": 2,
    "broadcast": 2,
    "database": 2,
    "findings": 2,
    "lifecycles": 2,
    "page": 2,
    "simulator": 2,
    "tape": 2,
    "venues": 2,
    "api": 3,
    "evaluation": 3,
    "replay": 3,
    "live": 3,
    "stream": 3,
    "terminal": 4,
    "roles": 4,
    "__init__": 5,
    "__main__": 5,
    "cli": 5,
    "commands": 5,
}
"""The floor of every room (a folder or a module of the package); see ARCHITECTURE.md."""


# What is there ------------------------------------------------------------------------------------


@cache
def tracked() -> list[Path]:
    """Files that are, or are about to be, in the repository; all of them where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=TOP,
            check=True,
            capture_output=True,
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        left_out = {".venv", ".git", "target", "build", "__pycache__"}
        paths = [p for p in TOP.rglob("*") if not left_out & set(p.relative_to(TOP).parts)]
    else:
        paths = [TOP / name for name in listed.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def texts(*suffixes: str) -> Iterator[tuple[str, str]]:
    """(path from the top, text) of tracked text files, of all where no suffix is given."""
    for path in tracked():
        if not suffixes or path.suffix in suffixes:
            try:
                yield path.relative_to(TOP).as_posix(), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The folder or module right below the package that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import of our own, wherever in the module it stands."""
    inside = path.relative_to(SOURCE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(inside[: len(inside) - node.level]) if node.level else ""
            start = ".".join(part for part in (above, node.module) if part)
            names = [f"{start}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "ordertape":
                room = parts[1] if len(parts) > 1 else "__init__"
                yield node.lineno, room if room_exists(room) else "__init__"


def room_exists(name: str) -> bool:
    return (PACKAGE / name).is_dir() or any(PACKAGE.glob(f"{name}.py*"))


# Floors -------------------------------------------------------------------------------------------


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in modules()} - set(FLOORS) == set()


def test_no_room_imports_from_a_floor_above_it() -> None:
    upward = [
        f"{path.relative_to(TOP)}:{line} imports {room}"
        for path in modules()
        for line, room in imported(path)
        if room != room_of(path) and FLOORS.get(room, 9) > FLOORS.get(room_of(path), 0)
    ]
    assert upward == []


def test_rooms_import_each_other_in_no_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path in modules():
        rooms = {room for _, room in imported(path)} - {room_of(path)}
        edges.setdefault(room_of(path), set()).update(rooms)
    assert circle(edges) == []


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The rooms of one circle, empty where there is none."""
    done: set[str] = set()

    def walk(room: str, way: list[str]) -> list[str]:
        if room in way:
            return [*way[way.index(room) :], room]
        if room in done:
            return []
        for following in sorted(edges.get(room, ())):
            if found := walk(following, [*way, room]):
                return found
        done.add(room)
        return []

    return next((found for room in sorted(edges) if (found := walk(room, []))), [])


def test_a_circle_is_noticed() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_architecture_names_every_room() -> None:
    page = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert [room for room in sorted(rooms) if f"`{room}" not in page] == []


# Style --------------------------------------------------------------------------------------------


def test_no_module_is_longer_than_600_lines() -> None:
    long = [
        f"{name}: {lines}"
        for name, text in texts(".py", ".rs", ".pyi")
        if (lines := text.count("\n")) > LINES_MAX and Path(name).name not in TABLES
    ]
    assert long == []


def test_nothing_is_left_to_do() -> None:
    # A letter in brackets keeps these patterns from finding themselves.
    words = re.compile(
        r"\b(TOD[O]|FIXM[E]|XX[X])\b|NotImplementedErro[r]|\b(tod[o]|unimplemente[d])!"
    )
    assert found(words, ".py", ".pyi", ".rs", ".toml", ".md") == []


def test_the_registries_stand_in_no_file() -> None:
    hosts = r"pyp[i]\.org|pythonhoste[d]|crate[s]\.io|npmj[s]\.|debia[n]\.org"
    address = re.compile(rf"https?://\S*({hosts}|/simpl[e]\b)|--(extra-)?index-ur[l]|find-link[s]")
    # Cargo writes the name of the one index it knows into its lock file by itself.
    assert [line for line in found(address) if not line.startswith("engine/Cargo.lock")] == []


def test_no_file_names_a_place_on_one_machine() -> None:
    place = re.compile(r"(?<![\w.$}/~-])/(root|home|work|Users)/\w")
    assert found(place) == []


def found(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    """`file:line: text` of every line that has the pattern."""
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts(*suffixes)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_whoever_catches_everything_says_why_or_raises_it_again() -> None:
    silent = []
    for path in (path for path in tracked() if path.suffix == ".py"):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and swallows_everything(node):
                around = lines[node.lineno - 1 : node.body[0].lineno]
                if not any("#" in line for line in around):
                    silent.append(f"{path.relative_to(TOP)}:{node.lineno}")
    assert silent == []


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    again = handler.body[-1]
    raises = isinstance(again, ast.Raise) and again.exc is None
    return catches_everything(handler.type) and not raises


def catches_everything(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(catches_everything(element) for element in kind.elts)
    return kind is None or (
        isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}
    )


def test_a_silenced_check_names_its_rule() -> None:
    blanket = re.compile(
        r"#\s*noqa(?!: *[A-Z])|#\s*type: *ignore(?!\[)|#!?\[allow\((warnings|clippy::all)"
    )
    assert found(blanket, ".py", ".pyi", ".rs") == []


# Limits -------------------------------------------------------------------------------------------


ENGINES_OWN = {"dictionary_terms_max"}
"""Limits that the engine has as numbers of its own."""


def test_every_limit_is_one_for_something() -> None:
    limits = importlib.import_module("ordertape.limits")
    names = {name for name in vars(limits) if name.islower() and name[0] != "_"} - {"annotations"}
    used = {
        node.attr
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "limits"
    }
    assert names - used == ENGINES_OWN
    assert used - names == set()


# Names and versions -------------------------------------------------------------------------------


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_public_name_exists_and_stands_once() -> None:
    wrong = []
    for path in modules():
        if path.stem == "__main__" or "__all__" not in path.read_text(encoding="utf-8"):
            continue
        module = importlib.import_module(module_name(path))
        names = list(module.__all__)
        wrong += [f"{module.__name__}.{name}" for name in names if not hasattr(module, name)]
        wrong += [f"{module.__name__}.{name} twice" for name in set(names) if names.count(name) > 1]
    assert wrong == []


def test_the_versions_agree() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    engine = tomllib.loads((TOP / "engine" / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    changes = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d[^\]]*)\]", changes, re.MULTILINE)
    assert newest is not None
    assert project["version"] == engine["version"] == newest[1]


def test_every_package_is_pinned() -> None:
    lines = (TOP / "constraints.txt").read_text(encoding="utf-8").split()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)] == []
    asked = subprocess.run(
        [sys.executable, "scripts/requirements.py"],
        cwd=TOP,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    names = {plain(re.match(r"[\w.-]+", line)[0]) for line in asked if line}
    assert names - {plain(line.partition("==")[0]) for line in lines} == set()


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["scripts/setup", ".ci/run"])
def test_the_scripts_are_whole(name: str) -> None:
    assert (TOP / name).stat().st_mode & 0o111
    subprocess.run(["bash", "-n", name], cwd=TOP, check=True)
