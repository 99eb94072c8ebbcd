"""What strangers make the server below say again and again is counted instead of written.

uvicorn logs a request that is none, and a handshake that fails, before anything of ours could hold
it against the rate of its client: a line each would roll everything else out of app.log.
"""

from __future__ import annotations

import logging
import time
from typing import Final, NamedTuple

from ordertape import limits

__all__ = ["quiet"]


class _Place(NamedTuple):
    """Where a line comes from: as many as there are in the code, whatever a client sends."""

    file: str
    line: int
    raised: tuple[str, int] | None
    """Of an exception told with it, where it was raised."""


class _Told:
    """When a place was heard last, and how often since."""

    __slots__ = ("at", "more")

    def __init__(self, at: float) -> None:
        self.at, self.more = at, 0


class Repeats(logging.Filter):
    """Lets one line of a place through, and the next one after ``limits.log_repeat_ms_min``."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[_Place, _Told] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        now = time.monotonic()
        told = self._told.setdefault(_place_of(record), _Told(float("-inf")))
        if now - told.at < limits.log_repeat_ms_min / 1000:
            told.more += 1
            return False
        if told.more:
            record.msg = f"{str(record.msg).rstrip()} ({told.more} more since the last such line)"
        told.at, told.more = now, 0
        return True


def _place_of(record: logging.LogRecord) -> _Place:
    raised = None
    step = record.exc_info[2] if record.exc_info else None
    while step is not None:
        raised = step.tb_frame.f_code.co_filename, step.tb_lineno
        step = step.tb_next
    return _Place(record.pathname, record.lineno, raised)


_REPEATS: Final = Repeats()


def quiet() -> None:
    """From here on uvicorn repeats itself no more often than that; asking twice is asking once."""
    logging.getLogger("uvicorn.error").addFilter(_REPEATS)
