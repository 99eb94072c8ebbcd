"""A tape's events as files of other programs."""

from __future__ import annotations

from ordertape.tape.exports.box import Box
from ordertape.tape.exports.hftbacktest import export_hftbacktest
from ordertape.tape.exports.lobster import export_lobster
from ordertape.tape.exports.span import Progress, Range
from ordertape.tape.exports.tables import export_csv, export_parquet

__all__ = [
    "Box",
    "Progress",
    "Range",
    "export_csv",
    "export_hftbacktest",
    "export_lobster",
    "export_parquet",
]
