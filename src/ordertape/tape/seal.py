"""The seal of an archive file: a digest over its Parquet footer, checked before Parquet reads it,
and one over everything else, which ``verify`` looks at.

Pages carry checksums of their own.  The footer, which says what they are and holds the values of
constant columns, has none, and Parquet ends the whole process over some of what a flipped bit can
make of it.  So whoever opens a file looks at the seal first.  It stands inside the footer, in what
the file says about itself, and is made with zeroes in its own place.  What no checksum of a page
covers (their headers) the digest of the body does.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from ordertape import limits
from ordertape.errors import TapeCorrupt

__all__ = ["SEALED_VERSION", "UNSEALED", "require_body", "require_seal", "seal"]

SEALED_VERSION = 2
"""Files of version 1 have no seal."""
UNSEALED = "0" * 32
_SEAL, _BODY = b'"seal":"', b'"body":"'
_MAGIC = b"PAR1"


def seal(path: Path) -> None:
    """Seals a file that has places for both digests in what it says of itself."""
    start, footer = _footer(path)
    footer = _with(footer, _BODY, _body_digest(path, start))
    footer = _with(footer, _SEAL, _digest(path, _with(footer, _SEAL, UNSEALED)))
    with path.open("r+b") as file:
        file.seek(start)
        file.write(footer)


def require_seal(path: Path) -> None:
    """Raises TapeCorrupt where the footer is not what was sealed."""
    status = path.stat()
    _require(path, (status.st_ino, status.st_size, status.st_mtime_ns))


def require_body(path: Path) -> None:
    """Raises TapeCorrupt where anything in the file is not what was sealed; reads all of it."""
    require_seal(path)
    start, footer = _footer(path)
    told = _told(footer, _BODY)
    if told is not None and told != _body_digest(path, start):
        raise TapeCorrupt(f"{path}: expected the digest {told} of its pages, found another")


@lru_cache(limits.archive_files_known)
def _require(path: Path, _: tuple[int, int, int]) -> None:
    footer = _footer(path)[1]
    told = _told(footer, _SEAL)
    # Without one it is of version 1, or what it says of itself will tell.
    if told is not None and told != _digest(path, _with(footer, _SEAL, UNSEALED)):
        raise TapeCorrupt(f"{path}: expected the footer that was sealed, found another")


def _told(footer: bytes, place: bytes) -> str | None:
    at = footer.find(place)
    first = at + len(place)
    return footer[first : first + len(UNSEALED)].decode("latin-1") if at >= 0 else None


def _with(footer: bytes, place: bytes, digest: str) -> bytes:
    first = footer.index(place) + len(place)
    return footer[:first] + digest.encode() + footer[first + len(digest) :]


def _footer(path: Path) -> tuple[int, bytes]:
    """(where it begins; the footer, its length and the mark at the end of the file)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if head != _MAGIC or tail[4:] != _MAGIC or not 0 < length <= size - 12:
            raise TapeCorrupt(f"{path}: expected a Parquet file, found no footer in it")
        start = size - 8 - length
        file.seek(start)
        return start, file.read(length) + tail


def _digest(path: Path, footer: bytes) -> str:
    size = path.stat().st_size
    return hashlib.blake2b(footer + size.to_bytes(8, "little"), digest_size=16).hexdigest()


def _body_digest(path: Path, end: int) -> str:
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        left = end
        while part := file.read(min(left, limits.journal_read_bytes_max)):
            found.update(part)
            left -= len(part)
    return found.hexdigest()
