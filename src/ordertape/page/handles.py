"""Small numbers for orders, so that a frame need not carry their ids."""

from __future__ import annotations

from collections import OrderedDict

from ordertape import limits

__all__ = ["Handles"]


class Handles:
    """One number an id, from 1; the least used is forgotten beyond ``limits.page_handles_max``."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, int] = OrderedDict()
        self._by_handle: dict[int, str] = {}
        self._next = 1

    def of(self, order_id: str) -> int:
        handle = self._by_id.get(order_id)
        if handle is not None:
            self._by_id.move_to_end(order_id)
            return handle
        handle, self._next = self._next, self._next + 1
        self._by_id[order_id], self._by_handle[handle] = handle, order_id
        if len(self._by_id) > limits.page_handles_max:
            _, oldest = self._by_id.popitem(last=False)
            del self._by_handle[oldest]
        return handle

    def order_id(self, handle: int) -> str | None:
        return self._by_handle.get(handle)
