"""Capture files: JSON lines, one a frame as it came off the wire, compressed where named ``.zst``.

``{"t": ns since 1970, "via": "ws" or "rest", "url": "…", "text": "the raw payload"}``
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from ordertape import limits
from ordertape.errors import BadFile

__all__ = ["CaptureLine", "CaptureWriter", "read_lines"]

_READ_BYTES = 2**16
_TORN = "it ends inside"


class CaptureLine(msgspec.Struct, gc=False):
    """One frame.  Other fields may stand beside these."""

    t: int
    via: str
    url: str
    text: str


class CaptureWriter:
    """Appends frames to a capture.

    ``path`` ends in ``.jsonl`` or ``.jsonl.zst``; any other is a folder, in which a new compressed
    file is begun, named after the moment.  Compressed data is closed every
    ``limits.capture_frame_bytes_max`` of text or ``limits.capture_frame_seconds_max``, so that a
    sudden end costs no more than that.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        if path.suffix not in (".jsonl", ".zst"):
            moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
            path /= f"frames-{moment}-{time.time_ns() % 10**9:09d}.jsonl.zst"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: BinaryIO = path.open("ab")
        self._zstd = zstandard.ZstdCompressor(level=3) if path.suffix == ".zst" else None
        self._frame = self._zstd.compressobj() if self._zstd else None
        self._encode = msgspec.json.Encoder().encode
        self._bytes = 0
        self._closes_at = 0

    def write(self, t: int, via: str, url: str, text: bytes | str) -> None:
        """One frame: ns at receipt, "ws" or "rest", where from, the raw payload (UTF-8)."""
        payload = text if isinstance(text, str) else text.decode("utf-8", "replace")
        line = self._encode(CaptureLine(t, via, url, payload)) + b"\n"
        if self._frame is None:
            self._file.write(line)
        else:
            self._file.write(self._frame.compress(line))
        if self._bytes == 0:
            self._closes_at = t + limits.capture_frame_seconds_max * 10**9
        self._bytes += len(line)
        if self._bytes >= limits.capture_frame_bytes_max or t >= self._closes_at:
            self.flush()

    def flush(self) -> None:
        """What was written is a whole file up to here, and in the hands of the system."""
        if self._bytes and self._frame is not None and self._zstd is not None:
            self._file.write(self._frame.flush())
            self._frame = self._zstd.compressobj()
        self._bytes = 0
        self._file.flush()

    def close(self) -> None:
        if not self._file.closed:
            self.flush()
            self._file.close()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_lines(path: Path | str) -> Iterator[tuple[int, CaptureLine]]:
    """(line number from 1, frame).  Blank lines are passed over.

    Raises BadFile with the line, or the byte of compressed data, where it is no capture.
    """
    path = Path(path)
    decode = msgspec.json.Decoder(CaptureLine).decode
    try:
        with path.open("rb") as file:
            chunks = _decompressed(path, file) if path.suffix == ".zst" else _plain(file)
            for number, text in _split(path, chunks):
                if not text.strip():
                    continue
                try:
                    yield number, decode(text)
                except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                    raise BadFile(
                        path, f"line {number}", f"expected a frame of a capture, found {error}"
                    ) from None
    except OSError as error:
        raise BadFile(path, "before its first line", error.strerror or str(error)) from None


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_READ_BYTES):
        yield chunk


def _decompressed(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Frame by frame: the library's own reader takes a torn end for the end."""
    zstd = zstandard.ZstdDecompressor()
    frame = zstd.decompressobj()
    whole = at = 0
    begun = False
    while data := file.read(_READ_BYTES):
        at += len(data)
        while data:
            begun = True
            try:
                yield frame.decompress(data)
            except zstandard.ZstdError as error:
                raise BadFile(path, f"byte {whole}", f"damaged zstd data: {error}") from None
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                whole, begun = at - len(data), False
                frame = zstd.decompressobj()
    if begun:
        problem = f"{_TORN} zstd data that begins there; cut there, the rest can be read"
        raise BadFile(path, f"byte {whole}", problem)


def _split(path: Path, chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    rest = b""
    number = 0
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            yield number, line
        if len(rest) > limits.capture_line_bytes_max:
            problem = f"a line of over {limits.capture_line_bytes_max} bytes"
            raise BadFile(path, f"line {number + 1}", problem)
    if rest:
        yield number + 1, rest
