"""``export``: a tape's events as files of other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ordertape.commands.common import (
    DataOption,
    ExchangeArgument,
    JsonOption,
    SymbolArgument,
    market_on_tape,
    out,
    out_json,
    prepare,
    until_interrupted,
)
from ordertape.commands.progress import counting
from ordertape.errors import SettingRefused
from ordertape.tape.exports import (
    Progress,
    Range,
    export_csv,
    export_hftbacktest,
    export_lobster,
    export_parquet,
)
from ordertape.times import parse_time

__all__ = ["export"]


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    LOBSTER = "lobster"
    HFTBACKTEST = "hftbacktest"


EXPORTS: dict[Format, Callable[[Range, Path, Progress], list[Path]]] = {
    Format.PARQUET: export_parquet,
    Format.CSV: export_csv,
    Format.LOBSTER: export_lobster,
    Format.HFTBACKTEST: export_hftbacktest,
}


class _Interrupted(Exception):
    """Ctrl-C.  A KeyboardInterrupt could be raised anywhere, and some libraries swallow it."""


def export(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="What to write.")],
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the files.", show_default=False)
    ],
    start: Annotated[
        str | None,
        typer.Option(help="From this moment on, ISO 8601.", show_default="the tape's begin"),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(help="Up to this moment, exclusive.", show_default="the tape's end"),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Write a market's events as files of another program; prints their names."""
    settings = prepare(data)
    market = market_on_tape(settings, exchange, symbol)
    first, behind = (None if text is None else parse_time(text) for text in (start, end))
    if first is not None and behind is not None and first >= behind:
        raise SettingRefused(f"--start is {start!r}: expected a moment before --end {end!r}")
    with until_interrupted() as stop:

        def check() -> None:
            if stop.is_set():
                raise _Interrupted

        span = Range(settings.data, market.exchange, market.symbol, first, behind, check)
        try:
            with counting(f"export {form.value}") as done:
                paths = EXPORTS[form](span, folder, done)
        except _Interrupted:
            sys.stderr.write("ordertape: interrupted: nothing was written\n")
            raise typer.Exit(130) from None
    if as_json:
        out_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        out(str(path))
    if not paths:
        out(f"no events of {market.market} in that span: nothing was written")
