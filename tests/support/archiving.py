"""``python -m support.archiving DATA``: an archiver of many small files, until SIGTERM.

A keeper closes a file at a million events or the end of a day; a test has neither.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

from ordertape import limits
from ordertape.errors import OrdertapeError
from ordertape.roles.children import handler_of
from ordertape.tape.archive import Archiver
from ordertape.tape.cold import cool
from ordertape.tape.folder import MarketFolder
from support.cold import EVER

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="support.archiving")
    parser.add_argument("data", type=Path)
    parser.add_argument("exchange")
    parser.add_argument("symbol")
    parser.add_argument("--file-rows", type=int, default=150)
    parser.add_argument("--cold", action="store_true", help="make every file cold as it closes")
    options = parser.parse_args(arguments)
    # Small row groups wait in memory for nothing: here they are laid down, as large ones are.
    vars(limits).update(archive_waiting_batches_max=5, archive_waiting_marks_max=2)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, handler_of(stop.set))
    folder = MarketFolder(options.data, options.exchange, options.symbol)
    rows = options.file_rows
    failed = False
    with closing(
        Archiver(folder, file_rows_max=rows, row_group_rows=max(1, rows // 3))
    ) as archiver:
        ending = False
        while not ending:
            ending = stop.wait(0.05)
            try:
                archiver.step()
                if options.cold:
                    next(cool(folder, EVER), None)
                failed = False
            except OrdertapeError as error:  # as a keeper: told, and tried again
                sys.stderr.write(f"archiving: {error}\n")
                sys.stderr.flush()
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
