"""A peer in a process of its own, which waits between its rounds."""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager

from bench.report import BenchmarkFailed

__all__ = ["Driver"]


class Driver(AbstractContextManager["Driver"]):
    """Each line to the command asks for one round; its answer is a line of JSON: ``ns`` of CPU
    time, ``best`` prices as text and the number of ``orders`` that it ends with."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self.state: tuple[list[str], int] = ([], 0)
        """Best prices and orders of the last round."""

    def __enter__(self) -> Driver:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def timed(self, which: str) -> float:
        """CPU ns of one round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{which}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkFailed("cryptofeed's driver ended without an answer")
        found = json.loads(line)
        self.state = (found["best"], found["orders"])
        return float(found["ns"])
