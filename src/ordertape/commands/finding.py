"""``findings``: what the detectors find on a tape, without a server or a database."""

from __future__ import annotations

from typing import Annotated, Any

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
from ordertape.commands.progress import waiting
from ordertape.errors import SettingRefused
from ordertape.findings.finding import FINDING_KINDS, Finding
from ordertape.findings.walk import read_findings
from ordertape.numbers import counted, plain
from ordertape.times import iso_from_ns

__all__ = ["findings"]

Moment = Annotated[
    str | None,
    typer.Option(help="ISO 8601, UTC unless it says otherwise.", show_default=False),
]


def findings(
    exchange: ExchangeArgument,
    symbol: SymbolArgument,
    start: Moment = None,
    end: Moment = None,
    kind: Annotated[
        str | None,
        typer.Option(help=f"Of this kind alone: {', '.join(FINDING_KINDS)}.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Look through a market's tape for patterns of orders; nobody can see who meant what."""
    if kind is not None and kind not in FINDING_KINDS:
        raise SettingRefused(f"--kind: expected {', '.join(FINDING_KINDS)}, found {kind!r}")
    folder = market_on_tape(prepare(data), exchange, symbol)
    newest: dict[str, Finding] = {}
    with waiting(f"look through {folder.market}"):
        for finding in read_findings(folder.data, folder.exchange, folder.symbol, start, end):
            if kind in (None, finding.kind):
                earlier = newest.get(finding.id)
                newest[finding.id] = finding if earlier is None else finding.after(earlier)
    if as_json:
        out_json({"exchange": folder.exchange, "symbol": folder.symbol, "findings": _json(newest)})
        return
    out(f"{folder.market}: {counted(len(newest), 'finding')}")
    for finding in newest.values():
        out(_line(finding))


def _json(newest: dict[str, Finding]) -> list[dict[str, Any]]:
    return [finding.as_json() for finding in newest.values()]


def _line(finding: Finding) -> str:
    prices = plain(finding.price_low)
    if finding.price_high != finding.price_low:
        prices += f" to {plain(finding.price_high)}"
    against = ", ".join(name for name, part in finding.against.items() if part >= 0.5)
    return (
        f"{iso_from_ns(finding.told)}  {finding.kind:<18} {finding.side.name.lower()}  "
        f"{plain(finding.size)} at {prices}  score {finding.score:.2f}  {finding.phase}, "
        f"{counted(finding.orders, 'order')}" + (f"; against it: {against}" if against else "")
    )
