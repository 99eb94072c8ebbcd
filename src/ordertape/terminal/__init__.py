"""The live book in the terminal, read by tailing the tape."""

from __future__ import annotations

__all__: list[str] = []
