"""``archive``: work on the files of the archive."""

from __future__ import annotations

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
)
from ordertape.commands.help import WordedCommand, WordedGroup
from ordertape.commands.progress import counting
from ordertape.errors import SettingRefused
from ordertape.numbers import counted
from ordertape.tape.cold import Cooled, cool, days_ago

__all__ = ["app"]

app = typer.Typer(cls=WordedGroup, no_args_is_help=True, help="Work on the files of the archive.")


@app.callback()
def group() -> None:
    """Work on the files of the archive."""  # keeps `cold` a word of its own while it is alone


@app.command(cls=WordedCommand)
def cold(
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    older_than: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=36_500,
            metavar="DAYS",
            help="Files whose last event is older than this; as ORDERTAPE_ARCHIVE_COLD_DAYS.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Write old files of the archive without what the book implies; every reader reads them.

    Interrupted at any moment, nothing is lost, and the next run goes on.
    """
    settings = prepare(data)
    days = settings.archive_cold_days if older_than is None else older_than
    if days is None:
        raise SettingRefused("expected --older-than DAYS or ORDERTAPE_ARCHIVE_COLD_DAYS")
    folder = market_on_tape(settings, exchange, symbol)
    done: list[Cooled] = []
    events = 0
    with counting("archive cold") as progress:
        for cooled in cool(folder, days_ago(days)):
            done.append(cooled)
            events += cooled.events
            progress(events)
    before, after = (sum(file.plain_bytes for file in done), sum(file.cold_bytes for file in done))
    if as_json:
        answer = {"files": len(done), "events": events, "plain_bytes": before, "cold_bytes": after}
        out_json({**answer, "paths": [str(file.path) for file in done]})
    elif not done:
        out(f"no file of {folder.market} is older than {counted(days, 'day')} and not cold yet")
    else:
        out(
            f"{counted(len(done), 'file')} with {counted(events, 'event')}: "
            f"{before / events:.2f} bytes an event before, {after / events:.2f} now"
        )
