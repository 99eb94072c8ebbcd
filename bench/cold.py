"""``python -m bench.cold``: the cold archive beside the plain one.

Bytes an event in both, and events a second of processor time, best of some rounds, from a batch to
cold blocks and from these to a batch.  Of the simulator's tape of Bitfinex, of the same with UUIDs,
of LOBSTER's AAPL hour where the recordings are there, and of any tape that is named.  Each file is
compared with the plain one as it becomes cold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.archive import MESSAGES
from bench.demo_tape import DemoTape, write_archive
from bench.peers import Missing, Peers
from ordertape._engine import EventBatch, decode_cold_block, encode_cold_block
from ordertape.tape.archive import Archiver
from ordertape.tape.archive_files import list_files, load_codecs
from ordertape.tape.backup import back_up
from ordertape.tape.cold import Cooled, cool
from ordertape.tape.file_groups import group_spans, read_group
from ordertape.tape.folder import MarketFolder
from ordertape.tape.lobster import read_lobster

__all__ = ["Figure", "measure"]

INTEGERS_ASKED, UUIDS_ASKED, LOBSTER_ASKED = 10.0, 18.0, 6.0
DECODED_ASKED = 5_000_000.0


class Figure(NamedTuple):
    """Of one tape: bytes an event, and events a second of processor time."""

    tape: str
    events: int
    plain: float
    cold: float
    asked: float | None
    encoded: float
    decoded: float


def measure(tape: str, folder: MarketFolder, asked: float | None, rounds: int = 7) -> Figure:
    """Makes the files of an archive cold; all of them are compared on the way."""
    files: list[Cooled] = list(cool(folder, 2**62))
    events = sum(file.events for file in files)
    encoded = decoded = 0.0
    for batch in _groups(folder):
        scales = (batch.price_scale, batch.size_scale)
        codecs = (batch.codec, batch.trade_codec)
        times = []
        for _ in range(rounds):
            begun = time.process_time()
            block = encode_cold_block(batch)
            written = time.process_time()
            decode_cold_block(block, batch.first_seq, scales, *codecs)
            times.append((written - begun, time.process_time() - written))
        encoded += min(each[0] for each in times)
        decoded += min(each[1] for each in times)
    return Figure(
        tape,
        events,
        sum(file.plain_bytes for file in files) / events,
        sum(file.cold_bytes for file in files) / events,
        asked,
        events / encoded,
        events / decoded,
    )


def _groups(folder: MarketFolder) -> Iterator[EventBatch]:
    codecs = load_codecs(folder)
    for file in list_files(folder.archive):
        first, scales = file.first_seq, (file.info.price_scale, file.info.size_scale)
        for nth, span in enumerate(group_spans(file.path)):
            group = read_group(file.path, nth, first, scales, codecs)
            seq = np.arange(first, first + group.rows)
            yield group.batch(0, group.rows, seq, scales, codecs)
            first += span.rows


def _measured(work: Path, options: argparse.Namespace) -> Iterator[Figure | str]:
    demo = DemoTape.recorded(options.updates, work / "demo")
    yield measure("simulator, integer ids", demo.archived, INTEGERS_ASKED)
    yield measure("simulator, UUIDs", write_archive(work / "uuids", demo.with_uuids()), UUIDS_ASKED)
    try:
        messages = Peers().shared_file(MESSAGES)
    except Missing as reason:
        yield f"LOBSTER AAPL: {reason}"
    else:
        aapl = EventBatch.concat(list(read_lobster(messages)))
        yield measure("LOBSTER AAPL", write_archive(work / "lobster", aapl), LOBSTER_ASKED)
    if options.tape:
        data, exchange, symbol = options.tape
        back_up(Path(data), work / "tape")  # the tape itself stays as it is
        folder = MarketFolder(work / "tape", exchange, symbol)
        with closing(Archiver(folder)) as archiver:
            archiver.finish()
        yield measure(folder.market, folder, None)


def _table(figures: list[Figure]) -> Table:
    shown = Table(title="the cold archive", title_justify="left", pad_edge=False)
    for heading in ("tape", "events", "plain", "cold", "asked", "encode", "decode"):
        shown.add_column(heading, justify="left" if heading == "tape" else "right")
    for figure in figures:
        asked = "" if figure.asked is None else f"≤ {figure.asked:g} B/event"
        met = figure.asked is None or figure.cold <= figure.asked
        shown.add_row(
            figure.tape,
            f"{figure.events:,}",
            f"{figure.plain:.2f} B/event",
            f"{figure.cold:.2f} B/event",
            asked,
            f"{figure.encoded:,.0f}/s",
            f"{figure.decoded:,.0f}/s",
            style=None if met and figure.decoded >= DECODED_ASKED else "red",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cold", description=__doc__)
    parser.add_argument(
        "--updates", type=int, default=1_000_000, help="book updates of the simulator's tapes"
    )
    parser.add_argument(
        "--tape",
        nargs=3,
        metavar=("DATA", "EXCHANGE", "SYMBOL"),
        help="a recorded market, too: a copy of its tape is made cold",
    )
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        figures = []
        for found in _measured(Path(folder), options):
            if isinstance(found, Figure):
                figures.append(found)
            else:
                console.print(f"skipped: {found}")
        console.print(_table(figures))


if __name__ == "__main__":
    main()
