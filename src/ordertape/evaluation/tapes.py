"""Made tapes on disk: compressed journal frames, and what happened as JSON beside them.

A tape belongs to the code that made it: its folder is named after the digest of the simulator and
of the rooms that draw, so a changed script never meets an old tape.  A file is written beside its
place and moved there when it is whole; one whose labels are missing is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, Final

import zstandard

from ordertape._engine import EventBatch, IdCodec, decode_frame
from ordertape.errors import BadFile
from ordertape.evaluation.making import Making
from ordertape.evaluation.plan import TapePlan
from ordertape.evaluation.truth import Truth

__all__ = ["MadeTape", "made", "remove_halves"]

_EVENTS: Final = 1
_LENGTH: Final = struct.Struct("<I")
_FORMAT: Final = b"1"
"""Another number where the files are written another way."""
_MAKERS: Final = ("draws", "labels", "making", "plan", "truth", "witness")


@dataclass(frozen=True, slots=True)
class MadeTape:
    """A tape of a folder; ``truths`` in the order they began."""

    plan: TapePlan
    path: Path
    truths: list[Truth]
    seconds: float
    """Of the market's time, the warm-up left out."""

    def batches(self) -> Iterator[EventBatch]:
        """Its events, the ids of all batches of one codec."""
        codec, trades = IdCodec("int"), IdCodec("int")
        with self.path.open("rb") as file:
            while head := file.read(_LENGTH.size):
                frame = _unpacked(head, file)
                found = None if frame is None else decode_frame(frame, 0, codec, trades)
                if found is None or not isinstance(found[3], EventBatch):
                    place = f"byte {file.tell()}"
                    raise BadFile(
                        self.path, place, "damaged; remove the file, to have it made again"
                    )
                yield found[3]


def _unpacked(head: bytes, file: IO[bytes]) -> bytes | None:
    """The frame behind its length; None where it is damaged."""
    if len(head) < _LENGTH.size:
        return None
    try:
        return zstandard.ZstdDecompressor().decompress(file.read(_LENGTH.unpack(head)[0]))
    except zstandard.ZstdError:
        return None


def made(plan: TapePlan, folder: Path, progress: Callable[[float], None]) -> MadeTape:
    """The tape of a plan, from the folder where it is there; ``progress`` is told the share that is
    done."""
    place = folder / _digest()
    labels = place / f"{plan.name}.json"
    if not labels.exists():
        place.mkdir(parents=True, exist_ok=True)
        _make(plan, place, progress)
    told = json.loads(labels.read_text(encoding="utf-8"))
    truths = [Truth(**one) for one in told["truths"]]
    return MadeTape(plan, place / f"{plan.name}.tape", truths, told["seconds"])


def remove_halves(folder: Path, process: int | None) -> None:
    """What a process that ended left of the tape that it was making."""
    for half in (folder / _digest()).glob(f"*.{process}.part"):
        half.unlink(missing_ok=True)


def _make(plan: TapePlan, place: Path, progress: Callable[[float], None]) -> None:
    making = Making(plan)
    pack = zstandard.ZstdCompressor(level=1).compress
    half = place / f"{plan.name}.{os.getpid()}.part"
    try:
        with half.open("wb") as file:
            for batch in making.batches():
                frame = pack(batch.encode_frame(_EVENTS, 0))
                file.write(_LENGTH.pack(len(frame)))
                file.write(frame)
                progress(making.share)
        os.replace(half, place / f"{plan.name}.tape")
        told = {"seconds": making.seconds, "truths": [one.as_dict() for one in making.truths]}
        half.write_text(json.dumps(told), encoding="utf-8")
        os.replace(half, place / f"{plan.name}.json")
    finally:
        half.unlink(missing_ok=True)


@cache
def _digest() -> str:
    """Of the code that decides what is on a tape."""
    own = hashlib.blake2b(_FORMAT, digest_size=6)
    rooms = {"simulator": None, "evaluation": _MAKERS}
    for room, names in rooms.items():
        files = sorted(resources.files(f"ordertape.{room}").iterdir(), key=lambda file: file.name)
        for file in files:
            stem, _, suffix = file.name.partition(".")
            if suffix == "py" and (names is None or stem in names):
                own.update(file.read_bytes())
    return own.hexdigest()
