"""The container of the cold archive: blocks of events, then what the file says of itself.

=========  =======================================================================================
8 bytes    ``OTCOLD1\\n``
blocks     one behind another, each with its own crc32c; the engine reads and writes them
footer     JSON, compressed with zstd: ``info``, as in a Parquet file, and where each block lies
40 bytes   place and length of the footer, its length as JSON, its BLAKE2b, ``OTCOLDE\\n``
=========  =======================================================================================

``docs/tape-format.md`` describes all of it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from ordertape import limits
from ordertape._engine import EventBatch, decode_cold_block, encode_cold_block
from ordertape.arrow import to_numpy
from ordertape.errors import TapeCorrupt
from ordertape.tape.archive_columns import Columns
from ordertape.tape.codecs import MarketCodecs

__all__ = ["ColdBlock", "ColdFile", "ColdGroup", "ColdWriter"]

_MAGIC: Final = b"OTCOLD1\n"
_END: Final = b"OTCOLDE\n"
_TRAILER: Final = struct.Struct("<QII16s8s")
_LEVEL: Final = 19


class ColdBlock(msgspec.Struct, array_like=True, frozen=True):
    """Where a block lies and what it holds; times are ``ts_recv`` in ns."""

    offset: int
    length: int
    rows: int
    first_ts: int
    last_ts: int


class _Footer(msgspec.Struct, frozen=True):
    info: msgspec.Raw
    blocks: list[ColdBlock]


class ColdWriter:
    """Writes one file, block by block; a context manager.  What it leaves is not synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: list[ColdBlock] = []

    def __enter__(self) -> ColdWriter:
        self._file = self._path.open("wb")
        self._file.write(_MAGIC)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, batch: EventBatch) -> None:
        """One block of these events."""
        block = encode_cold_block(batch)
        times = np.asarray(batch.column("ts_recv"))
        span = len(batch), int(times[0]), int(times[-1])
        self._blocks.append(ColdBlock(self._file.tell(), len(block), *span))
        self._file.write(block)

    def finish(self, info: Any) -> None:
        """Writes what the file says about itself behind its last block."""
        text = msgspec.json.encode(info)
        footer = msgspec.json.encode(_Footer(msgspec.Raw(text), self._blocks))
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(footer)
        place = self._file.tell(), len(packed), len(footer)
        self._file.write(packed)
        self._file.write(_TRAILER.pack(*place, _digest(packed), _END))


class ColdFile:
    """What a file says about itself, and its blocks.  Raises TapeCorrupt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            footer = self._footer(file)
        self.info = bytes(footer.info)
        """JSON."""
        self.blocks: Sequence[ColdBlock] = footer.blocks

    def _footer(self, file: BinaryIO) -> _Footer:
        size = file.seek(0, 2)
        file.seek(0)
        if size < len(_MAGIC) + _TRAILER.size or file.read(len(_MAGIC)) != _MAGIC:
            raise self._damaged("its first bytes are others")
        file.seek(size - _TRAILER.size)
        offset, length, whole, digest, end = _TRAILER.unpack(file.read(_TRAILER.size))
        if end != _END or offset + length + _TRAILER.size != size:
            raise self._damaged("its last bytes are others")
        file.seek(offset)
        packed = file.read(length)
        if _digest(packed) != digest or whole > limits.cold_footer_bytes_max:
            raise self._damaged("its list of blocks is damaged")
        try:
            text = zstandard.ZstdDecompressor().decompress(packed, max_output_size=whole)
            footer = msgspec.json.decode(text, type=_Footer)
        except (zstandard.ZstdError, msgspec.DecodeError) as error:
            raise self._damaged(f"its list of blocks can't be read: {error}") from None
        place = len(_MAGIC)
        for block in footer.blocks:
            if block.offset != place:
                raise self._damaged("its blocks don't follow each other")
            place += block.length
        if place != offset:
            raise self._damaged("its blocks don't end where its footer begins")
        return footer

    def group(
        self, nth: int, first_seq: int, scales: tuple[int, int], codecs: MarketCodecs
    ) -> ColdGroup:
        """The events of a block, counted from ``first_seq``."""
        block = self.blocks[nth]
        with self.path.open("rb") as file:
            file.seek(block.offset)
            stored = file.read(block.length)
        batch = decode_cold_block(stored, first_seq, scales, codecs.order, codecs.trade)
        if batch is None or len(batch) != block.rows:
            raise self._damaged(f"block {nth + 1} of {len(self.blocks)} is damaged")
        return ColdGroup(batch)

    def _damaged(self, problem: str) -> TapeCorrupt:
        return TapeCorrupt(f"{self.path}: expected a file of our archive: {problem}")


class ColdGroup:
    """One decoded block, with the face of ``RowGroup``."""

    def __init__(self, batch: EventBatch) -> None:
        self._batch = batch
        self.rows = len(batch)

    def batch(
        self,
        first: int,
        last: int,
        _seq: npt.NDArray[np.int64],
        _scales: tuple[int, int],
        _codecs: MarketCodecs,
    ) -> EventBatch:
        """The rows from ``first`` to before ``last``; what else is given it was decoded with."""
        return self._batch[first:last]

    def columns(self, _first_seq: int) -> Columns:
        """All rows as ``gather`` gives them."""
        return to_numpy(self._batch)


def _digest(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()
