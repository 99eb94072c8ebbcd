"""Where the journals of streams that do not persist lie: a folder in memory, bounded, then gone.

Live readers follow a market by tailing its journal, whether it persists or not.  The journal of a
stream with ``persist: false`` is an ordinary one in a folder of the machine's memory (``/dev/shm``,
else the folder for temporary files): small segments, of which all but the newest few are removed
as it goes on.  Each segment begins with the whole book, so that a reader can begin with any.

The folder's name says whose it is, so a collector that was killed leaves nothing behind that the
next one, or the server that ran it, does not find and remove.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from ordertape import limits
from ordertape.errors import TapeError
from ordertape.tape.folder import MarketFolder
from ordertape.tape.segment import segments

__all__ = ["MemoryFolder", "trim"]

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it is ours alone


class MemoryFolder:
    """The folder of one collector, which its control socket names; made when first needed."""

    def __init__(self, control: Path) -> None:
        owner = hashlib.sha256(os.fsencode(control.absolute())).hexdigest()[:16]
        self.path = _memory() / f"ordertape-{os.getuid()}-{owner}"

    def make(self) -> Path:
        """The folder, for its owner alone.  Raises TapeError where somebody else's is there."""
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            found = self.path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise TapeError(
                    f"expected {self.path} to be a folder of ours, found somebody else's"
                ) from None
        except OSError as error:
            raise TapeError(f"can't make the folder {self.path}: {error.strerror}") from None
        return self.path

    def remove(self) -> None:
        """Removes it with everything in it; only for who knows that its collector is gone."""
        if self.path.is_symlink():
            return
        shutil.rmtree(self.path, ignore_errors=True)


def trim(folder: MarketFolder) -> int:
    """Removes the oldest segments of a journal in memory; how many went."""
    old = segments(folder.journal)[: -limits.memory_segments_kept]
    for segment in old:
        segment.path.unlink(missing_ok=True)
    return len(old)


def _memory() -> Path:
    usable = _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK)
    return _SHARED_MEMORY if usable else Path(tempfile.gettempdir())
