"""What runs in which process: the collector, the keeper and the children they are started as."""

from __future__ import annotations

import sys

__all__: list[str] = []


def _load_structlog() -> None:
    """Without rich, which it looks for to draw tracebacks that no log of ours shows: loading it
    would take a seventh of a collector's start."""
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # as if there were none
    try:
        import structlog  # noqa: F401 - loaded, not used
    finally:
        del sys.modules["rich"]


_load_structlog()
