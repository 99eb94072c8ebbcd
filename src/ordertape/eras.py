"""The era of a market as a logger binds it once: each line shows the one of its own moment."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["EraNow"]


class EraNow:
    """Shows as the number that ``ask`` answers whenever it is shown.

    Not a callable for a processor to call: a process that set up no logs has none that does.
    """

    __slots__ = ("_ask",)

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask

    def __repr__(self) -> str:
        return str(self._ask())
