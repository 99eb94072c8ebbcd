"""What the readers of foreign formats share: source files, and rows that become batches."""

from __future__ import annotations

import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
import zstandard

from ordertape import limits
from ordertape._engine import NULL, EventBatch, IdCodec
from ordertape.errors import BadFile
from ordertape.events import NO_SIDE, Flag

__all__ = ["BatchReader", "EventRow", "EventRows", "SourceFile"]

_READ_BYTES: Final = 256 * 1024
_TEXT_BLOCK_BYTES: Final = 2 * 2**20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class SourceFile:
    """One file, plain, gzip or zstd (known by its first bytes), read from the front in blocks.

    ``bytes_read`` of ``bytes_total`` (as the file lies on disk) tells how far reading is.
    Raises BadFile where the file is missing, cut off or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.bytes_read = 0
        try:
            with self.path.open("rb") as file:
                self.magic = file.read(8)
            self.bytes_total = self.path.stat().st_size
        except OSError as error:
            raise BadFile(path, "opening", f"{error.strerror}") from error

    def fault(self, where: str, problem: str) -> BadFile:
        return BadFile(self.path, where, problem)

    def digest(self) -> str:
        """SHA-256 of the file as it lies on disk, as hex text."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """The unpacked bytes, in pieces of no particular size."""
        self.bytes_read = 0
        with self.path.open("rb") as file:
            if self.magic.startswith(_GZIP_MAGIC):
                yield from self._unpacked(file, "gzip")
            elif self.magic.startswith(_ZSTD_MAGIC):
                yield from self._unpacked(file, "zstd")
            else:
                while block := file.read(_READ_BYTES):
                    self.bytes_read += len(block)
                    yield block

    def _unpacked(self, file: Any, form: str) -> Iterator[bytes]:
        """Several streams one after the other are one file in both formats."""
        unpacker: _Unpacker | None = None
        while packed := file.read(_READ_BYTES):
            self.bytes_read += len(packed)
            while packed:
                unpacker = unpacker or _unpacker(form)
                try:
                    block = unpacker.decompress(packed)
                except (zlib.error, zstandard.ZstdError) as error:
                    place = f"byte {self.bytes_read - len(packed)} or after"
                    raise self.fault(place, f"expected a whole {form} stream: {error}") from error
                if block:
                    yield block
                packed = unpacker.unused_data if unpacker.eof else b""
                if unpacker.eof:
                    unpacker = None
        if unpacker is not None:
            problem = f"the {form} stream is cut off: its end is missing"
            raise self.fault(f"byte {self.bytes_read}", problem)

    def text_blocks(self) -> Iterator[tuple[int, bytes]]:
        """(number of its first line, whole lines), the numbers counting from 1."""
        line, rest, size = 1, [], 0
        for block in self.blocks():
            rest.append(block)
            size += len(block)
            if size < _TEXT_BLOCK_BYTES:
                continue
            joined = b"".join(rest)
            cut, lines = joined.rfind(b"\n") + 1, joined.count(b"\n")
            if size - cut > limits.import_line_bytes_max:
                most = limits.import_line_bytes_max
                problem = f"expected lines of text, found one of over {most} bytes"
                raise self.fault(f"after line {line - 1 + lines}", problem)
            if not cut:
                continue
            yield line, joined[:cut]
            line += lines
            rest, size = [joined[cut:]], size - cut
        if size:
            yield line, b"".join(rest)


def _unpacker(form: str) -> _Unpacker:
    if form == "gzip":
        return zlib.decompressobj(wbits=31)
    return zstandard.ZstdDecompressor().decompressobj()


class EventRow(NamedTuple):
    """One event on its way into a batch; numbers are already scaled, NULL where absent."""

    kind: int
    side: int
    reason: int
    flags: int
    order_id: int | None
    price: int
    size: int
    ts_event: int
    ts_recv: int
    venue_seq: int = NULL
    taker_side: int = NO_SIDE
    price_before: int = NULL
    size_before: int = NULL


_TYPES: Final = dict.fromkeys(EventRow._fields, np.int64) | {
    "kind": np.uint8,
    "side": np.uint8,
    "reason": np.uint8,
    "flags": np.uint16,
    "taker_side": np.uint8,
}


class EventRows:
    """Collects rows with integer ids and makes batches that continue each other.

    ``seq`` counts on from batch to batch (rows flagged SNAPSHOT share the CLEAR's) and
    ``ts_recv`` is raised where needed, so that it never decreases.
    """

    def __init__(self, price_scale: int, size_scale: int) -> None:
        self.price_scale, self.size_scale = price_scale, size_scale
        self.rows: list[EventRow] = []
        self._ends: list[int] = []
        self.next_seq = 1
        self._ts_recv = NULL
        self._codec = IdCodec("int")
        self._trade_codec = IdCodec("int")

    def __len__(self) -> int:
        return len(self.rows)

    def end_message(self) -> None:
        """The last row so far is the last of its message: it gets LAST."""
        self._ends.append(len(self.rows) - 1)

    def batch(self) -> EventBatch:
        """Everything collected, which is then forgotten."""
        taken, ends = self.rows, self._ends
        self.rows, self._ends = [], []
        lists = map(list, zip(*taken, strict=True))
        columns: dict[str, Any] = dict(zip(EventRow._fields, lists, strict=True))
        for name, values in columns.items():
            columns[name] = _keys(values) if name == "order_id" else np.array(values, _TYPES[name])
        columns["flags"][ends] |= np.uint16(Flag.LAST)
        seq = np.cumsum((columns["flags"] & Flag.SNAPSHOT) == 0, dtype=np.int64)
        columns["seq"] = seq + (self.next_seq - 1)
        self.next_seq = int(columns["seq"][-1]) + 1
        columns["ts_recv"][0] = max(columns["ts_recv"][0], self._ts_recv)
        columns["ts_recv"] = np.maximum.accumulate(columns["ts_recv"])
        self._ts_recv = int(columns["ts_recv"][-1])
        return EventBatch.from_arrays(
            price_scale=self.price_scale,
            size_scale=self.size_scale,
            codec=self._codec,
            trade_codec=self._trade_codec,
            **columns,
        )


def _keys(ids: list[int | None]) -> Any:
    """128-bit keys of integer ids, (n, 16) bytes; all ones is "no id"."""
    none = 2**64 - 1
    low = np.array([none if order_id is None else order_id for order_id in ids], np.uint64)
    high = np.where(low == none, low, np.uint64(0))
    return np.stack((low, high), axis=1).view(np.uint8)


class BatchReader(ABC):
    """An iterator over the batches of foreign files.

    ``counters`` says what was met and is no event, ``bytes_read`` of ``bytes_total`` how far it is;
    ``sources`` are the files, ``description`` what else decides what comes out of them.
    """

    def __init__(self, sources: list[SourceFile], description: str) -> None:
        self.sources = sources
        self.description = description
        self.counters: dict[str, int] = {}
        self._running: Iterator[EventBatch] | None = None

    @abstractmethod
    def batches(self) -> Iterator[EventBatch]:
        """All batches from the start."""

    def count(self, what: str, by: int = 1) -> None:
        self.counters[what] = self.counters.get(what, 0) + by

    @property
    def bytes_read(self) -> int:
        return sum(source.bytes_read for source in self.sources)

    @property
    def bytes_total(self) -> int:
        return sum(source.bytes_total for source in self.sources)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EventBatch:
        if self._running is None:
            self._running = self.batches()
        return next(self._running)
