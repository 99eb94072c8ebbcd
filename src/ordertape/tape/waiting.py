"""What waits for its place in a file of the archive: little in memory, the rest without a name.

Files without a name are seen by nobody else, and no crash leaves them behind.  Everything in them
is on the journal, too, as long as it waits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec, decode_frame
from ordertape.tape.archive_files import ArchivedMark
from ordertape.tape.joined import joined

__all__ = ["WaitingMarks", "WaitingRows"]

_EVENTS = 1


class _Unnamed:
    """A temporary file below a folder, there while something is in it.  Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0

    def lay(self, data: bytes) -> tuple[int, int]:
        """Writes it behind the rest; its place."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - open while something waits in it
                dir=self._folder, buffering=0
            )
        place, left = (self._end, len(data)), memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self._end += len(data)
        return place

    def read(self, place: tuple[int, int]) -> bytes:
        """What was written there."""
        assert self._file is not None
        offset, length = place
        self._file.seek(offset)
        data = self._file.read(length)
        self._file.seek(self._end)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._end = None, 0


class _Laid(NamedTuple):
    """Where rows are, and what their ids mean."""

    place: tuple[int, int]
    codec: IdCodec
    trade_codec: IdCodec


class WaitingRows:
    """Rows in order, all at the same scales and with ids in one market's keys.

    A row group is a hundred thousand rows, and a batch of a row or two takes as much memory as
    ten: beyond so many batches or rows in memory (``limits.archive_waiting_batches_max``,
    ``archive_waiting_rows_max``) they are laid into a file below ``folder``, as large as what the
    journal has of them.  Raises OSError.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _Unnamed(folder)
        self._laid: list[_Laid] = []
        self._near: list[EventBatch] = []
        self._near_rows = 0
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def scales(self) -> tuple[int, int]:
        """Digits of prices and of sizes; only where rows wait."""
        return self._near[-1].price_scale, self._near[-1].size_scale

    @property
    def last_ts_recv(self) -> int:
        """Of the last row; only where rows wait."""
        return self._near[-1].last_ts_recv

    def append(self, rows: EventBatch) -> None:
        """Takes the next rows, whose columns are filled already."""
        batches, most = limits.archive_waiting_batches_max, limits.archive_waiting_rows_max
        if len(self._near) >= batches or self._near_rows >= most:
            for many in joined(self._near):
                place = self._file.lay(many.encode_frame(_EVENTS, 0))
                self._laid.append(_Laid(place, many.codec, many.trade_codec))
            self._near.clear()
            self._near_rows = 0
        self._near.append(rows)
        self._near_rows += len(rows)
        self._rows += len(rows)

    def take(self) -> list[EventBatch]:
        """All of them; none wait any more."""
        taken = [*map(self._read, self._laid), *self._near]
        self.forget()
        return taken

    def _read(self, laid: _Laid) -> EventBatch:
        found = decode_frame(self._file.read(laid.place), 0, laid.codec, laid.trade_codec)
        if found is None or not isinstance(found[3], EventBatch):
            raise OSError("what waited for a row group is not what was laid down")
        return found[3]

    def forget(self) -> None:
        """Lets go of all of them."""
        self._file.close()
        self._laid.clear()
        self._near.clear()
        self._near_rows = self._rows = 0


class WaitingMarks:
    """Marks in order, of which a file of the archive has thousands; ``folder`` as for rows."""

    def __init__(self, folder: Path) -> None:
        self._file = _Unnamed(folder)
        self._laid: list[tuple[int, int]] = []
        self._near: list[ArchivedMark] = []

    def append(self, mark: ArchivedMark) -> None:
        if len(self._near) >= limits.archive_waiting_marks_max:
            self._laid.append(self._file.lay(msgspec.json.encode(self._near)))
            self._near.clear()
        self._near.append(mark)

    def take(self, last: int) -> list[ArchivedMark]:
        """Those behind events up to ``last``; the others go on waiting."""
        laid = [self._file.read(place) for place in self._laid]
        marks = [
            mark for text in laid for mark in msgspec.json.decode(text, type=list[ArchivedMark])
        ]
        marks += self._near
        self.forget()
        for mark in marks:
            if mark.after > last:
                self.append(mark)
        return [mark for mark in marks if mark.after <= last]

    def forget(self) -> None:
        """Lets go of all of them."""
        self._file.close()
        self._laid.clear()
        self._near.clear()
