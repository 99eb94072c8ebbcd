"""Threads of one work: what ends one of them as nothing should ends all of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Worker"]


class Worker(threading.Thread):
    """Does ``work``, which returns once the event it is handed is set.

    Whatever ``work`` raises sets that event, so that nobody goes on as if the thread still lived.
    """

    def __init__(
        self, work: Callable[[threading.Event], None], stop: threading.Event, name: str
    ) -> None:
        super().__init__(name=name)
        self._work, self._ends = work, stop
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._work(self._ends)
        except BaseException as error:  # kept for whoever finishes it, and nobody else goes on
            self._failure = error
            self._ends.set()

    def finish(self) -> None:
        """Waits until it has ended, and raises what ended it."""
        self.join()
        if self._failure is not None:
            raise self._failure
