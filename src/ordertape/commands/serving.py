"""``serve`` and ``demo``: what the server is to be like."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from ordertape.commands.common import DataOption, chosen_data, command_name, out, prepare
from ordertape.errors import SettingRefused
from ordertape.roles.demonstration import Demonstration

__all__ = ["demo", "serve"]

PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="Port of the server; 0: any free one.")
]


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            help="Address to listen on, as ORDERTAPE_HOST; others than loopback need an API key.",
            show_default="127.0.0.1",
        ),
    ] = None,
    port: PortOption = 8000,
    data: DataOption = None,
) -> None:
    """Start the server in the foreground; Ctrl-C ends it and everything it started."""
    settings = prepare(data)
    # Here: all other commands start without the web framework, which takes longer than they do.
    from ordertape.api.security.transport import require_key_for
    from ordertape.commands.foreground import run_server

    address = _address(settings.host if host is None else host, host)
    require_key_for(address, settings, _said(host))
    run_server(settings, address, port, lambda: None)


def demo(
    port: PortOption = 8000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 7,
    rate: Annotated[
        int, typer.Option(min=1, max=5_000, help="Orders, cancels and amendments a second.")
    ] = 200,
    seconds: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many seconds.", show_default="until Ctrl-C"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", help="Folder of the simulated tapes.", show_default="data-demo"
        ),
    ] = None,
) -> None:
    """Start a server with simulated markets, in a data folder of its own."""
    demonstration = Demonstration(seed=seed, rate=rate)
    settings = demonstration.settings(prepare(data or chosen_data() or Path("data-demo")))

    def introduce() -> None:
        shown = [f"{exchange} {symbol}" for exchange, symbol in demonstration.markets]
        out(
            f"One simulated exchange as {' and '.join(shown)}, collected into {settings.data}. "
            "Ctrl-C ends it, another run goes on with it.\n"
            f"In another terminal:  {command_name()} watch {shown[0]} --data {settings.data}"
        )

    # Here, as in `serve`.
    from ordertape.commands.foreground import run_server

    run_server(settings, "127.0.0.1", port, introduce, demonstration, seconds)


def _address(host: str, given: str | None) -> str:
    """The address to listen on.  Raises SettingRefused."""
    name = "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        raise SettingRefused(
            f"{_said(given)} is {host!r}: expected an address of this machine, such as 127.0.0.1, "
            "::1 or 0.0.0.0"
        ) from None
    return name


def _said(given: str | None) -> str:
    return "ORDERTAPE_HOST" if given is None else "--host"
