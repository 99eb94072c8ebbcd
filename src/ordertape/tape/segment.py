"""One segment file of a journal, read frame by frame while it may still be written.

A segment is allocated ahead, so it ends in zeroes until its writer closes it and cuts it to its
frames.  The header's layout is the engine's (``engine/src/frame.rs``).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec, decode_frame, decode_run
from ordertape.tape.folder import names_like
from ordertape.times import NS_PER_MILLISECOND

__all__ = [
    "EVENTS",
    "HEADER_BYTES",
    "MARK",
    "SNAPSHOT",
    "Header",
    "Position",
    "Segment",
    "SegmentReader",
    "segments",
]

EVENTS: Final = 1
SNAPSHOT: Final = 2
MARK: Final = 3

HEADER_BYTES: Final = 64
_MAGIC = b"OTF1"
_BLANK = bytes(limits.journal_scan_bytes)
_LAYOUT = struct.Struct("<4sIB3xIqqqQ4s")
_NAME = re.compile(r"segment-(\d{8})-(\d{20})\.journal")


class Position(NamedTuple):
    """A place in a journal; places are ordered as frames were written."""

    segment: int
    offset: int


class Segment(NamedTuple):
    """``number``: +1 a segment, never used twice; ``first_seq``: the first it may hold."""

    number: int
    first_seq: int
    path: Path

    @classmethod
    def named(cls, folder: Path, number: int, first_seq: int) -> Segment:
        return cls(number, first_seq, folder / f"segment-{number:08d}-{first_seq:020d}.journal")


def segments(folder: Path) -> list[Segment]:
    """The segments of a journal folder, oldest first."""
    found = names_like(_NAME, folder)
    return sorted(Segment(int(name[1]), int(name[2]), folder / name[0]) for name in found)


class Header(NamedTuple):
    """What a frame says before its columns; nothing of it is checked by the crc yet."""

    length: int
    type: int
    rows: int
    first_seq: int
    last_seq: int
    ts_recv: int
    synced: int
    forms: bytes


def _header(buffer: bytes, at: int) -> Header | None:
    magic, *fields = _LAYOUT.unpack_from(buffer, at)
    header = Header._make(fields)
    plausible = magic == _MAGIC and header.length >= HEADER_BYTES and header.length % 8 == 0
    return header if plausible else None


def _is_zero(part: bytes) -> bool:
    """Compared, which takes a sixth of the time of looking for something in it."""
    return part == (_BLANK if len(part) == len(_BLANK) else bytes(len(part)))


class SegmentReader:
    """Whole frames of one segment.

    Reads with ``pread`` into buffers of its own: a map of the file would kill the process when
    the writer cuts the segment while closing it.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.synced = 0
        """The highest offset that a whole frame called durable."""
        self._fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self._start = 0
        self._buffer = b""
        self._chunk = limits.journal_read_bytes_min

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def make_durable(self) -> None:
        """What was read so far is on disk afterwards, whoever wrote it."""
        os.fdatasync(self._fd)

    # Frames ---------------------------------------------------------------------------------------

    def header(self, offset: int) -> Header | None:
        """The header at an offset whose whole frame lies in the file, crc not checked."""
        at = offset - self._start
        if 0 <= at <= len(self._buffer) - HEADER_BYTES:
            header = _header(self._buffer, at)
            if header is not None and at + header.length <= len(self._buffer):
                return header
        return self._fetch(offset)

    def _fetch(self, offset: int) -> Header | None:
        """Reads the frame at an offset afresh; more behind it the longer reading goes on."""
        self._buffer = b""
        head = os.pread(self._fd, HEADER_BYTES, offset)
        header = _header(head, 0) if len(head) == HEADER_BYTES else None
        if header is None or offset + header.length > self.size:
            self._chunk = limits.journal_read_bytes_min
            return None
        self._start = offset
        self._buffer = os.pread(self._fd, max(header.length, self._chunk), offset)
        self._chunk = min(self._chunk * 2, limits.journal_read_bytes_max)
        # The header may have been written over between the two reads; the later one counts.
        header = _header(self._buffer, 0)
        return header if header is not None and header.length <= len(self._buffer) else None

    def frame(
        self, offset: int, codec: IdCodec | None = None, trade_codec: IdCodec | None = None
    ) -> tuple[Header, EventBatch | bytes] | None:
        """The whole frame at an offset; None where it is not there (yet) or its crc is wrong."""
        for _ in range(2):
            header = self.header(offset)
            if header is None:
                return None
            decoded = decode_frame(self._buffer, offset - self._start, codec, trade_codec)
            if decoded is not None:
                self.synced = max(self.synced, header.synced)
                return header, decoded[3]
            self._buffer = b""  # read when half written: once more, afresh
        return None

    def run(
        self, offset: int, codec: IdCodec, trade_codec: IdCodec
    ) -> tuple[Header, Header, EventBatch | bytes] | None:
        """Like ``frame``, but frames of events that go on with one another are told as one; the
        first one's own header before that of all.

        A venue's message is a frame, so a busy market has thousands a second, and what a frame
        costs here is many times what its event does.
        """
        header = self.header(offset)
        if header is not None and header.type == EVENTS:
            most = limits.journal_run_rows, limits.journal_run_ms * NS_PER_MILLISECOND
            found = decode_run(self._buffer, offset - self._start, codec, trade_codec, *most)
            if found is not None:
                length, last_seq, ts_recv, synced, batch = found
                self.synced = max(self.synced, synced)
                told = header._replace(length=length, rows=len(batch), last_seq=last_seq)
                return header, told._replace(ts_recv=ts_recv, synced=synced), batch
        frame = self.frame(offset, codec, trade_codec)
        return None if frame is None else (frame[0], *frame)

    # Where no frame is ----------------------------------------------------------------------------

    def data(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """(offset, bytes) of the parts from an offset on that are not holes of the file."""
        size = self.size
        while offset < size:
            try:
                offset = os.lseek(self._fd, offset, os.SEEK_DATA)
                end = os.lseek(self._fd, offset, os.SEEK_HOLE)
            except OSError:
                return  # ENXIO: only a hole is left
            while offset < end:
                part = os.pread(self._fd, min(end - offset, limits.journal_scan_bytes), offset)
                if not part:
                    return
                yield offset, part
                offset += len(part)

    def is_blank(self, offset: int) -> bool:
        """Whether nothing but zeroes stands from an offset on."""
        return all(_is_zero(part) for _, part in self.data(offset))

    def find(self, offset: int) -> int | None:
        """Where the next whole frame begins, from an offset on (frames are aligned by 8)."""
        for start, part in self.data(offset):
            if _is_zero(part):
                continue  # what a segment is made of before it is written
            at = part.find(_MAGIC)
            while at >= 0:
                place = start + at
                if place >= offset and place % 8 == 0 and self._is_whole(place):
                    return place
                at = part.find(_MAGIC, at + 1)
        return None

    def _is_whole(self, offset: int) -> bool:
        header = self.header(offset)
        return header is not None and decode_frame(self._buffer, offset - self._start) is not None
