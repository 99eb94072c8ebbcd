"""Progress bars on stderr, for what takes longer than two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from ordertape import limits

__all__ = ["Counting", "counting", "waiting"]


class Counting(Protocol):
    """Told how much is done so far, and of how much where that is known."""

    def __call__(self, count: int, total: int | None = None, /) -> None: ...


@contextmanager
def counting(what: str, unit: str = "events") -> Iterator[Counting]:
    """Yields a function to be called with how much is done so far.

    Nothing is drawn in a pipe or before ``limits.progress_after_ms``.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} " + unit),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        auto_refresh=False,
    )
    task = bar.add_task(what, total=None)
    began = last = time.monotonic()
    started = False

    def done(count: int, total: int | None = None, /) -> None:
        nonlocal last, started
        now = time.monotonic()
        if now - last < limits.progress_picture_ms / 1000:
            return
        last = now
        if not console.is_terminal or now - began < limits.progress_after_ms / 1000:
            return
        if not started:
            bar.start()
            started = True
        bar.update(task, completed=count, total=total, refresh=True)

    try:
        yield done
    finally:
        if started:
            bar.stop()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A sign of life for work that can't say how far it is; the same rules."""
    console = Console(stderr=True)
    sign = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    sign.add_task(what, total=None)
    late = threading.Timer(limits.progress_after_ms / 1000, sign.start)
    late.daemon = True
    if not console.is_terminal:
        yield
        return
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()
        if sign.live.is_started:
            sign.stop()
