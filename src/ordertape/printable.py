"""Texts from outside as a terminal and a log may have them: seen, never obeyed."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["visible", "visible_line"]

_OBEYED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters (ECMA-48's C0 and C1, tab and line feed apart), with which a text moves the
cursor, sets colours or the title; and Unicode's bidirectional marks, which change the order that
a line is read in (Trojan Source, CVE-2021-42574)."""


def visible(text: str) -> str:
    """The same with such characters as JSON, too, writes them: ``\\u001b``."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_line(text: str) -> str:
    """The same of a text that must not become several lines, or columns."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")
