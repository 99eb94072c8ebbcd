"""The commands of ``ordertape``, by noun."""

from __future__ import annotations

__all__: list[str] = []
