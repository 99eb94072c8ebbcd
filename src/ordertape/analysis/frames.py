"""At a notebook's prompt: metrics and fits of a tape as polars frames, and one call for a plot."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ordertape.analysis.fits import Fitted, fit_period
from ordertape.analysis.measure import period_of, whole
from ordertape.errors import SettingRefused
from ordertape.tape.folder import MarketFolder
from ordertape.tape.lookup import TapeLookup
from ordertape.times import Time

if TYPE_CHECKING:
    import polars as pl

__all__ = ["fit_analysis", "frame_of", "plot_analysis", "read_analysis"]


def read_analysis(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    *,
    step: int = 60,
    metrics: Iterable[str] | None = None,
) -> pl.DataFrame:
    """Metrics of a tape in windows of ``step`` seconds, from ``start`` to before ``end`` (our
    clock, whole seconds), as far as the tape goes where they are not given.

    A row a window: ``begin`` (UTC), ``gap_seconds``, and the columns of ``metrics`` (all where none
    are named), null where more than a twentieth of the window is not known.
    Raises UnknownMarket, TapeCorrupt, SettingRefused; ModuleNotFoundError without polars.
    """
    columns = whole(data, exchange, symbol, start, end, step, metrics)
    return frame_of({"begin": columns.pop("begin"), **columns})


def fit_analysis(
    data: str | os.PathLike[str],
    exchange: str,
    symbol: str,
    name: str,
    start: Time | None = None,
    end: Time | None = None,
    **options: int,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """What is fitted to a period of a tape under a name of ``ordertape.analysis.fits.FITS``: its
    summary and its table.  Raises as ``read_analysis``."""
    folder = MarketFolder(data, exchange, symbol)
    folder.require()
    lookup = TapeLookup(folder)
    fitted: Fitted = fit_period(lookup, period_of(lookup, start, end), name, options)
    summary = fitted.summary | ({"caption": fitted.caption} if fitted.caption else {})
    return summary, frame_of(fitted.table)


def frame_of(columns: dict[str, Any]) -> pl.DataFrame:
    """Columns as a frame: NaN is null, ``begin`` a time."""
    polars: Any = _needed("polars")
    frame: pl.DataFrame = polars.DataFrame(columns).with_columns(
        polars.col(polars.Float64).fill_nan(None)
    )
    if "begin" in columns:
        begin = polars.from_epoch(polars.col("begin"), time_unit="ns")
        frame = frame.with_columns(begin.dt.replace_time_zone("UTC"))
    return frame


def plot_analysis(frame: pl.DataFrame, *columns: str) -> Any:
    """Columns of a frame of ``read_analysis`` over time, one below the other; a figure of
    matplotlib, which a notebook shows.

    Raises SettingRefused where a column is not there; ModuleNotFoundError without matplotlib.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing or not columns:
        raise SettingRefused(
            f"expected columns of the frame, found {repr(missing[0]) if missing else 'none'}"
        )
    figures: Any = _needed("matplotlib.figure")
    figure = figures.Figure(figsize=(9, 1.2 + 1.6 * len(columns)), layout="constrained")
    axes = figure.subplots(len(columns), sharex=True, squeeze=False)[:, 0]
    begins = frame["begin"].dt.replace_time_zone(None).to_numpy()
    for axis, name in zip(axes, columns, strict=True):
        values = frame[name].cast(float).fill_null(np.nan).to_numpy()
        # A window without a value is a break in the line, never a bridge over what is not known.
        axis.plot(begins, values, linewidth=1, marker="." if len(values) < 100 else None)
        axis.set_ylabel(name, fontsize=8)
        axis.grid(visible=True, alpha=0.3)
    axes[-1].set_xlabel("UTC")
    return figure


def _needed(name: str) -> Any:
    """A package that only notebooks need.  Raises ModuleNotFoundError, which says how to get it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise ModuleNotFoundError(
            f"expected the package {package}, which the server does without, found none: "
            "pip install 'ordertape[analysis]'",
            name=package,
        ) from error
