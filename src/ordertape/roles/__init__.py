"""What runs in which process: the collector, the keeper and the children they are started as."""

from __future__ import annotations

__all__: list[str] = []
