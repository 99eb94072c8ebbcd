"""Small numbers for orders, so that a frame need not carry their ids."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from ordertape import limits

__all__ = ["Handles", "Keeping"]


class Handles:
    """One number an id, from 1; the least used is forgotten beyond ``limits.page_handles_max``."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, int] = OrderedDict()
        self._by_handle: dict[int, str] = {}
        self.given = 0
        """The newest number."""

    def of(self, order_id: str) -> int:
        handle = self._by_id.get(order_id)
        if handle is not None:
            self._by_id.move_to_end(order_id)
            return handle
        self.given = handle = self.given + 1
        self._by_id[order_id], self._by_handle[handle] = handle, order_id
        if len(self._by_id) > limits.page_handles_max:
            _, oldest = self._by_id.popitem(last=False)
            del self._by_handle[oldest]
        return handle

    def order_id(self, handle: int) -> str | None:
        return self._by_handle.get(handle)

    def keep(self, handle: int) -> None:
        """As if it had been asked for just now."""
        if (order_id := self._by_handle.get(handle)) is not None:
            self._by_id.move_to_end(order_id)


class Keeping:
    """What is shown for long keeps its number, however many come and go beside it."""

    def __init__(self, handles: Handles, shown: Callable[[], Iterable[int]]) -> None:
        self._handles, self._shown = handles, shown
        self._given = handles.given

    def look(self) -> None:
        """To be called often; it does something once a quarter of all numbers was given anew."""
        if self._handles.given - self._given < limits.page_handles_max // 4:
            return
        self._given = self._handles.given
        for handle in self._shown():
            self._handles.keep(handle)
