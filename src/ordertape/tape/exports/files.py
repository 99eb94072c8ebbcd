"""New files, whole or not at all: written under temporary names, renamed when all are done."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ordertape.errors import TapeError
from ordertape.tape.folder import sync_directory

__all__ = ["NewFiles"]


class NewFiles:
    """A folder's new files.  ``with NewFiles(out) as files:`` and, for each, ``files.add(name)``.

    Leaving without an error makes them durable and gives them their names (replacing older ones);
    leaving with one removes them, and leaving without files a folder that was made for them.
    ``paths`` are the final names, in the order they were added.  Raises TapeError where the folder
    can't be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.paths: list[Path] = []
        self._made = False

    def add(self, name: str) -> Path:
        """Where to write the file that will be ``name``."""
        path = self.folder / name
        if path in self.paths:
            raise TapeError(f"expected a new name in {self.folder}, found {name} twice")
        self.paths.append(path)
        return self._temporary(path)

    def rename(self, name: str, final: str) -> None:
        """What was added as ``name`` shall be ``final``."""
        old, new = self.folder / name, self.folder / final
        if new in self.paths:
            raise TapeError(f"expected a new name in {self.folder}, found {final} twice")
        self.paths[self.paths.index(old)] = new
        self._temporary(old).rename(self._temporary(new))

    @staticmethod
    def _temporary(path: Path) -> Path:
        return path.with_name(f".{path.name}.{os.getpid()}.part")

    def __enter__(self) -> Self:
        self._made = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TapeError(f"can't write to {self.folder}: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except OSError as found:
                self._remove()
                raise TapeError(f"can't write to {self.folder}: {found.strerror}") from found
            return
        self._remove()
        if isinstance(error, OSError):
            raise TapeError(f"can't write to {self.folder}: {error.strerror}") from error

    def _finish(self) -> None:
        if not self.paths:
            self._remove()
            return
        for path in self.paths:
            with self._temporary(path).open("rb+") as file:
                os.fsync(file.fileno())
        for path in self.paths:
            self._temporary(path).replace(path)
        sync_directory(self.folder)

    def _remove(self) -> None:
        for path in self.paths:
            self._temporary(path).unlink(missing_ok=True)
        if self._made:
            with suppress(OSError):  # somebody else put a file there
                self.folder.rmdir()
