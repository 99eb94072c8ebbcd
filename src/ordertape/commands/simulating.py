"""``simulate``: what the simulated exchange's order flow is like, beside real order flow."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from ordertape._engine import EventBatch
from ordertape.commands.common import DataOption, JsonOption, market_on_tape, out, out_json, prepare
from ordertape.commands.progress import waiting
from ordertape.errors import SettingRefused
from ordertape.simulator.statistics_check import (
    CHECKED,
    Verdict,
    check_session,
    check_tape,
    tick_of,
)
from ordertape.tape.reader import read_tape

__all__ = ["simulate"]


def simulate(
    check: Annotated[
        bool, typer.Option("--check", help="Hold the order flow against the bands of real ones.")
    ] = False,
    preset: Annotated[
        str, typer.Option(help="The kind of market: crypto or equity.", metavar="NAME")
    ] = "crypto",
    seed: Annotated[int, typer.Option(help="Same seed, same session.")] = 7,
    minutes: Annotated[
        int,
        typer.Option(
            min=1,
            max=600,
            help="Length of the session after its warm-up; the bands are made for 10.",
        ),
    ] = 10,
    tape: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="EXCHANGE SYMBOL",
            help="Measure this recorded market instead of a simulated session.",
            show_default=False,
        ),
    ] = None,
    tick: Annotated[
        str | None,
        typer.Option(
            metavar="PRICE",
            help="The step of the tape's prices. Default: what its first prices have in common.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Print each statistic of an order flow beside its band and a real market's value.

    Status 1 where the flow is not accepted.  The bands are those of docs/simulator.md.
    """
    if not check:
        raise SettingRefused(
            "expected --check; `python -m ordertape.simulator` starts a simulated venue"
        )
    if preset not in CHECKED:
        raise SettingRefused(f"expected a preset of {', '.join(CHECKED)}, found {preset!r}")
    if tape is None:
        with waiting(f"simulate {minutes} minutes"):
            verdict = check_session(preset, seed, minutes)
        what: dict[str, Any] = {"preset": preset, "seed": seed, "minutes": minutes}
    else:
        folder = market_on_tape(prepare(data), *tape)
        root, market = str(folder.data), (folder.exchange, folder.symbol)
        with waiting(f"measure {folder.market}"):
            step = _tick(tick, read_tape(root, *market))
            verdict = check_tape(read_tape(root, *market), preset, step)
        what = {"preset": preset, "exchange": market[0], "symbol": market[1], "tick": step}
    if as_json:
        out_json({**what, **_answer(verdict)})
    else:
        _print(verdict)
    if not verdict.accepted:
        raise typer.Exit(1)


def _tick(text: str | None, batches: Iterable[EventBatch]) -> Decimal:
    if text is None:
        return tick_of(batches)
    try:
        tick = Decimal(text)
    except InvalidOperation:
        tick = Decimal(0)
    if not (tick.is_finite() and tick > 0):
        raise SettingRefused(f"expected a tick above 0 such as 0.01, found {text!r}")
    return tick


def _answer(verdict: Verdict) -> dict[str, Any]:
    passed, count = verdict.hard
    return {
        "accepted": verdict.accepted,
        "hard_passed": passed,
        "hard": count,
        "passed": len(verdict.passed),
        "statistics": [
            {
                "name": gate.name,
                "hard": gate.hard,
                "low": _rounded(band.low),
                "high": _rounded(band.high),
                "real": _rounded(band.real),
                # NaN: the session held too little for it.
                "value": _rounded(value) if value == value else None,
                "passed": gate in verdict.passed,
            }
            for gate, band, value in verdict.rows
        ],
    }


def _rounded(value: float) -> Decimal:
    return Decimal(f"{value:.4g}")


def _shown(value: float) -> str:
    """As docs/simulator.md prints it; NaN as a dash."""
    return f"{_rounded(value):,f}" if value == value else "–"


def _print(verdict: Verdict) -> None:
    out(f"{'':6}{'statistic':52}{'value':>10}{'from':>10}{'to':>10}{'real':>10}")
    for gate, band, value in verdict.rows:
        mark = "" if gate in verdict.passed else "  missed"
        figures = "".join(f"{_shown(number):>10}" for number in (value, *band))
        out(f"{'hard' if gate.hard else 'soft':6}{gate.text:52}{figures}{mark}")
    passed, count = verdict.hard
    out(
        f"{verdict.preset}: {passed} of {count} hard gates, {verdict.share:.0%} of all: "
        f"{'accepted' if verdict.accepted else 'not accepted'}"
    )
