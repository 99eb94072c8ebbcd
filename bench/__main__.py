"""``python -m bench``: measures, prints a table of ratios, writes ``bench/results.json``."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import (
    archive,
    bitfinex_path,
    coinbase_path,
    engine,
    journal,
    memory,
    one_event,
    plain_book,
    rebuild,
)
from bench.context import FULL, QUICK, Bench, Benchmark
from bench.peers import TOP, WORK, Peers
from bench.report import (
    BenchmarkFailed,
    Row,
    Skipped,
    machine,
    merged,
    read_results,
    renewed_page,
    table,
    write_results,
)
from ordertape.errors import OrdertapeError

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS: dict[str, Benchmark] = {
    "engine": engine.run,
    "one_event": one_event.run,
    "plain_book": plain_book.run,
    "bitfinex_path": bitfinex_path.run,
    "coinbase_path": coinbase_path.run,
    "journal": journal.run,
    "archive": archive.run,
    "rebuild": rebuild.run,
    "memory": memory.run,
}
RESULTS = TOP / "bench" / "results.json"
PAGE = TOP / "docs" / "benchmarks.md"
QUICK_RESULTS = WORK / "results-quick.json"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m bench",
        description="Measures ordertape beside its peers. Peers are built and installed on demand "
        "in bench/.work; what can't be had is skipped with the reason.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller and fewer rounds: a look, not a result"
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="ours alone; installs and compiles nothing"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where the rows go (default: bench/results.json and the table of docs/benchmarks.md; "
        "with --quick or --no-peers: bench/.work/results-quick.json)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what was named; the exit status: 1 where a benchmark's own check failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    names = list(dict.fromkeys(options.names)) or list(BENCHMARKS)
    look = options.quick or options.no_peers
    sizes = QUICK if options.quick else FULL
    WORK.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=WORK))
    try:
        bench = Bench(sizes, Peers(not options.no_peers), folder)
        rows, skipped = _run(names, bench)
    except (BenchmarkFailed, OrdertapeError, OSError, subprocess.SubprocessError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: interrupted, nothing was written\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Console(width=None if sys.stdout.isatty() else 200).print(table(rows, skipped))
    asked = [row.met for row in rows if row.met is not None]
    print(f"{sum(asked)} of {len(asked)} figures met, {len(skipped)} comparisons skipped")
    try:
        _write(rows, options.out or (QUICK_RESULTS if look else RESULTS), whole=not options.names)
    except (BenchmarkFailed, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


def _run(names: Sequence[str], bench: Bench) -> tuple[list[Row], list[Skipped]]:
    here = machine()
    rows: list[Row] = []
    skipped: list[Skipped] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # No thread of the bar's own: it would measure along.
    console = Console(stderr=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:

            def tell(text: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {text}", refresh=True)

            tell("preparing")
            bench.tell = tell
            for found in BENCHMARKS[name](bench):
                if isinstance(found, Row):
                    rows.append(replace(found, machine=here))
                else:
                    skipped.append(found)
            progress.advance(task)
        progress.update(task, description="done", refresh=True)
    return rows, skipped


def _write(rows: Sequence[Row], path: Path, *, whole: bool) -> None:
    """``whole``: what stands in the file from earlier runs is replaced, else only rows of the same
    names are."""
    kept = list(rows) if whole else merged(read_results(path), rows)
    if path == RESULTS:
        # Made before anything is written: page and results are renewed together or not at all.
        page = renewed_page(PAGE.read_text(encoding="utf-8"), kept)
        PAGE.write_text(page, encoding="utf-8")
    write_results(path, kept)
    print(f"written to {path.relative_to(TOP) if path.is_relative_to(TOP) else path}")


if __name__ == "__main__":
    sys.exit(main())
