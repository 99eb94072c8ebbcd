"""``evaluate``: how often the detectors are right, on labelled flow that tuned nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Annotated

import typer

from ordertape.commands.common import JsonOption, out, out_json
from ordertape.commands.help import WordedCommand, WordedGroup
from ordertape.commands.progress import counting
from ordertape.errors import SettingRefused
from ordertape.evaluation.page import page_of
from ordertape.evaluation.plan import known_kinds, plan_clean, plan_kinds, read_seeds
from ordertape.evaluation.real import judge_real, recordings_in
from ordertape.evaluation.running import judge_tapes, workers_at_most
from ordertape.evaluation.sheet import Sheet
from ordertape.evaluation.walking import detectors_of

__all__ = ["app"]

_COMMAND = (
    "ordertape evaluate detectors --keep build/detectors --recordings ../shared "
    "--page docs/detectors.md"
)

app = typer.Typer(
    cls=WordedGroup, no_args_is_help=True, help="Judge the detectors on flow whose truth is known."
)


@app.callback()
def evaluate() -> None:
    """A group also where it has one command."""


@app.command(cls=WordedCommand)
def detectors(
    episodes: Annotated[
        int, typer.Option(min=1, max=100_000, help="Counted episodes of each kind.")
    ] = 400,
    clean_hours: Annotated[
        float, typer.Option(min=0, max=1_000, help="Market hours of flow without episodes.")
    ] = 24,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="Such as 1001-1005 or 1001,1007.",
            show_default="1001-1005, with --tune 1-5",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Use seeds of tuning, and list what is missed and false."),
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Only this kind; may be given more than once."),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Another threshold; may be given more than once."),
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Judge the common rules as well.")
    ] = True,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the made tapes here, and go on with those that are there.",
            show_default="a temporary folder",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes.", show_default="one a processor")
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="ORDERTAPE_SHARED",
            show_envvar=False,
            help="Folder of real recordings: the detectors run over those as well.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write docs/detectors.md here.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make labelled tapes with the simulator, run the detectors over them, print the score sheet.

    Thresholds that ship were chosen on seeds 1 to 20; seeds from 1001 on judge.
    """
    if tune and page is not None:
        raise SettingRefused("expected --page without --tune: the page is of seeds that judge")
    chosen = read_seeds(seeds or ("1-5" if tune else "1001-1005"), tuning=tune)
    kinds = known_kinds(kind or [])
    changed = dict(_parameter(text) for text in parameters or [])
    detectors_of(changed)
    recorded = [] if recordings is None else recordings_in(recordings)
    plans = [*plan_kinds(kinds, chosen, episodes), *plan_clean(chosen, clean_hours)]
    with _folder(keep) as folder, counting("judge", unit="tapes") as done:
        judged = judge_tapes(
            *(plans, folder, changed),
            workers=workers or workers_at_most(),
            progress=done,
            baselines=baselines,
        )
    sheet = Sheet(judged)
    real = [judge_real(one, changed) for one in recorded]
    if page is not None:
        _write(page, page_of(sheet, real, _COMMAND))
    if as_json:
        out_json(sheet.as_dict() | {"real": [one.as_dict() for one in real]})
        return
    for line in sheet.lines():
        out(line)
    for one in real:
        out(one.line())
    if tune:
        for line in sheet.wrong_lines(kinds):
            out(line)


def _write(page: Path, text: str) -> None:
    half = page.with_name(f".{page.name}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(page)


def _parameter(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise SettingRefused(f"expected --parameters NAME=NUMBER, found {text!r}")
    return name.strip(), number


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="ordertape-evaluate-") as place:
        yield Path(place)
