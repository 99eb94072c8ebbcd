"""``backup``: a copy of the tapes, beside whoever writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ordertape.commands.common import DataOption, JsonOption, out, out_json, prepare
from ordertape.commands.progress import waiting
from ordertape.tape.backup import back_up

__all__ = ["backup"]


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="Becomes a data folder; renewed where it is one.")
    ],
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Copy every tape, lists of streams and bookmarks, digests of keys; PostgreSQL stays out."""
    settings = prepare(data)
    with waiting("backup"):
        copied = back_up(settings.data, target)
    if as_json:
        out_json({"tapes": [tape._asdict() for tape in copied]})
        return
    for tape in copied:
        out(
            f"{tape.exchange} {tape.symbol}  up to sequence {tape.sequence}  "
            f"{tape.copied_bytes:,} bytes copied"
        )
