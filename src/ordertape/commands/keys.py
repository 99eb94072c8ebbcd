"""``keys``: who may use a server that others reach."""

from __future__ import annotations

import re
import sys
import time
from typing import Annotated, Final

import typer

from ordertape.api.security.keys import Scope, create_key, listed_keys, revoke_key
from ordertape.commands.common import DataOption, JsonOption, chosen_data, out, out_json, prepare
from ordertape.commands.help import WordedCommand, WordedGroup
from ordertape.errors import SettingRefused
from ordertape.times import NS_PER_SECOND, iso_from_ns, parse_time

__all__ = ["app"]

app = typer.Typer(
    cls=WordedGroup,
    help="Make, list and revoke the API keys of a data folder's server.",
    no_args_is_help=True,
)
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Whose key it is: letters, digits and . _ -")
]


@app.command(cls=WordedCommand)
def create(
    name: NameArgument,
    scope: Annotated[
        Scope,
        typer.Option(
            help="read: every answer and live frame; control: also start and stop streams; "
            "admin: everything."
        ),
    ] = "read",
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="After so long (30d, 12h, 90m), or at a time (2027-01-01T00:00:00Z).",
            show_default="never",
        ),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Make a key and show it, once: what is kept lets nobody in."""
    settings = prepare(data)
    # The first key of a new server comes before its folder; a folder that is named is there.
    if (data or chosen_data()) is not None and not settings.data.is_dir():
        raise SettingRefused(
            f"--data: there is no folder {settings.data}: name the server's, or make it first"
        )
    end = None if expires is None else _end(expires)
    text = create_key(settings.data, name, scope, end)
    if json:
        out_json({"name": name, "scope": scope, "key": text, "expires": _shown(end)})
        return
    out(text)
    until = "" if end is None else f" until {_shown(end)}"
    sys.stderr.write(
        f"The key {name} may {scope}{until}. It is not shown again; whoever has it is let in: "
        "`Authorization: Bearer KEY`.\n"
    )


@app.command("list", cls=WordedCommand)
def list_keys(json: JsonOption = False, data: DataOption = None) -> None:
    """Show every key's name, scope and times, the oldest first; no key itself."""
    keys = listed_keys(prepare(data).data)
    if json:
        fields = [
            {
                "name": key.name,
                "id": key.id,
                "scope": key.scope,
                "created": _shown(key.created),
                "expires": _shown(key.expires),
                "expired": key.is_over,
            }
            for key in keys
        ]
        out_json({"keys": fields})
        return
    if not keys:
        out("There is no key: only this machine may use the server.")
    width = max((len(key.name) for key in keys), default=0)
    for key in keys:
        end = "never expires" if key.expires is None else f"expires {_shown(key.expires)}"
        over = " (expired)" if key.is_over else ""
        made = _shown(key.created)
        out(f"{key.name:<{width}}  {key.scope:<7}  ot1_{key.id}_…  made {made}  {end}{over}")


@app.command(cls=WordedCommand)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its eight digits.")],
    data: DataOption = None,
) -> None:
    """End a key: it is refused at once, and its open WebSockets close within a second."""
    key = revoke_key(prepare(data).data, name)
    out(f"The key {key.name} (ot1_{key.id}_…) is good no more.")


def _end(text: str) -> int:
    """ns since 1970 UTC.  Raises SettingRefused."""
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is not None:
        return time.time_ns() + int(match[1]) * _SECONDS[match[2]] * NS_PER_SECOND
    try:
        return parse_time(text)
    except SettingRefused as error:
        raise SettingRefused(f"--expires: expected 30d, 12h, 90m or a time; {error}") from None


def _shown(ns: int | None) -> str | None:
    return None if ns is None else iso_from_ns(ns)
