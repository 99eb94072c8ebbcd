"""``--help`` in words: what an option takes is text, a number or nothing, not a type of Python."""

from __future__ import annotations

import os
from typing import Any, Final, Literal

from typer.core import TyperCommand, TyperGroup

__all__ = ["MARKUP", "WordedCommand", "WordedGroup"]

MARKUP: Final[Literal["rich"] | None] = (
    None if os.environ.get("TERM", "") in ("dumb", "unknown") else "rich"
)
"""How ``--help`` is drawn: without boxes where the terminal can only do text."""

_WORDS: Final = {
    "<bool>": "",
    "<float range>": "number",
    "<float>": "number",
    "<int range>": "number",
    "<int>": "number",
    "<list[str]>": "text",
    "<path>": "file",
    "<str>": "text",
}


class WordedCommand(TyperCommand):
    """A command whose parameters are described so."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _in_words(super().get_params(ctx), ctx)


class WordedGroup(TyperGroup):
    """A group of commands, the same."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _in_words(super().get_params(ctx), ctx)


def _in_words(parameters: list[Any], ctx: Any) -> list[Any]:
    for parameter in parameters:
        shown = parameter.display_type(ctx)
        word = _WORDS.get(shown, shown)
        parameter.display_type = lambda ctx, word=word: word  # noqa: ARG005 - its signature
    return parameters
