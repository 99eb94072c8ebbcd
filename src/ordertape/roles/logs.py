"""Logs: warnings on the console, everything in ``logs/app.log``.

Several processes write the same file: each line is one append, and who finds the file full
rotates it under a lock while the others notice the new file and go on there.  Event names begin
with ``L3_``, and a line about a market says ``market`` and the ``era`` it is in then.  Settings
hold addresses and folders only, so no secret can reach a line.
"""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import structlog

from ordertape import limits
from ordertape.eras import EraNow
from ordertape.printable import visible

__all__ = ["configure_logs", "into_log_file", "logger", "market_logger"]


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room, such as ``collector``."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"ordertape.{room}")
    return bound


def market_logger(room: str, market: str, era: Callable[[], int]) -> structlog.stdlib.BoundLogger:
    """The logger of a room about one market (``bitfinex BTC/USD``); ``era`` is asked at each line.

    Lower floors bind the same two names to a logger of structlog's own.
    """
    return logger(room).bind(market=market, era=EraNow(era))


def _seen(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What came from outside is text in a line, wherever that is shown."""
    return {
        name: visible(value) if isinstance(value, str) else value for name, value in event.items()
    }


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _seen,
]


class SharedLogFile(logging.handlers.WatchedFileHandler):
    """A rotated log file that several processes append to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._full():
                self._rotate()
            super().emit(record)
        except OSError:
            # A log that can't be written must not stop what it tells about.
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        """Says it once on the console instead of a traceback for every line."""
        if not getattr(self, "_complained", False):
            self._complained = True
            error = sys.exc_info()[1]
            sys.stderr.write(f"ordertape: {self._path} can't be written ({error})\n")

    def _full(self) -> bool:
        try:
            return self._path.stat().st_size >= limits.log_file_bytes_max
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._full():  # another process rotated while this one waited
                return
            for number in range(limits.log_files_kept - 1, 0, -1):
                older = self._path.with_name(f"{self._path.name}.{number}")
                if older.exists():
                    os.replace(older, self._path.with_name(f"{self._path.name}.{number + 1}"))
            os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))


class Console(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that moment: a live view replaces it while it draws."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        """The base class sets it once; what it sets does not count."""


def configure_logs(folder: Path, *, console: bool = True) -> None:
    """Sends every room's log to ``folder``/app.log and, with ``console``, warnings to stderr."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger("ordertape")
    root.setLevel(logging.INFO)
    root.propagate = False
    logging.getLogger("ordertape.socket").setLevel(logging.WARNING)  # picows tells each connect
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    into_file = SharedLogFile(folder / "app.log")
    into_file.setFormatter(
        _formatter(
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event", "logger", "market", "era"],
                drop_missing=True,
            )
        )
    )
    root.addHandler(into_file)
    if console:
        to_console = Console()
        to_console.setLevel(logging.WARNING)
        to_console.setFormatter(_formatter(_console_line))
        root.addHandler(to_console)


def into_log_file(library: str) -> None:
    """Sends what a library logs from WARNING on to app.log, and none of it to the console."""
    handlers = logging.getLogger("ordertape").handlers
    log = logging.getLogger(library)
    log.handlers = [handler for handler in handlers if isinstance(handler, SharedLogFile)]
    log.propagate = False
    log.setLevel(logging.WARNING)


def _formatter(renderer: structlog.typing.Processor) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_named, *_SHARED],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _named(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What a library logs gets a name of ours; its own words become the detail."""
    event["detail"], event["event"] = event["event"], "L3_library"
    return event


def _console_line(_logger: object, _name: str, event: structlog.typing.EventDict) -> str:
    """``warning L3_stream_stale market=… reason=…``: no traceback ever reaches the console."""
    if "sentence" in event:  # what a person at the prompt can do something about
        return f"ordertape: {event['sentence']}"
    hidden = {"event", "level", "timestamp", "logger", "exception", "stack"}
    fields = " ".join(f"{key}={value}" for key, value in event.items() if key not in hidden)
    return f"{event['level']} {event['event']} {fields}".rstrip()
