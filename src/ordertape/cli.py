"""``ordertape``: the door of the command line.  It turns every end into one sentence and a status.

0: done. 1: it could not be done, or ``verify`` found a difference. 2: the command line or a setting
can't be used, whatever there is on the disk and at the venues. 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ordertape.commands import (
    archiving,
    backup,
    collecting,
    common,
    database,
    evaluating,
    exporting,
    importing,
    keys,
    reading,
    replaying,
    serving,
    simulating,
    status,
)
from ordertape.commands.common import DataOption
from ordertape.commands.help import MARKUP, WordedCommand, WordedGroup
from ordertape.errors import NameRefused, OrdertapeError, SettingRefused
from ordertape.printable import visible
from ordertape.resources import require_files
from ordertape.roles.logs import configure_logs, logger

__all__ = ["app", "main", "run"]

app = typer.Typer(
    name="ordertape",
    cls=WordedGroup,
    rich_markup_mode=MARKUP,
    help="Records, rebuilds and reads level-3 order books: every order of a market, exactly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command(cls=WordedCommand)(collecting.collect)
app.add_typer(importing.app, name="import")
app.command(cls=WordedCommand)(reading.book)
app.command(cls=WordedCommand)(reading.watch)
app.command(cls=WordedCommand)(replaying.replay)
app.command(cls=WordedCommand)(reading.verify)
app.command(cls=WordedCommand)(exporting.export)
app.add_typer(archiving.app, name="archive")
app.command(cls=WordedCommand)(serving.serve)
app.command(cls=WordedCommand)(serving.demo)
app.command(cls=WordedCommand)(simulating.simulate)
app.add_typer(evaluating.app, name="evaluate")
app.command(cls=WordedCommand)(reading.venues)
app.command(cls=WordedCommand)(status.status)
app.command(cls=WordedCommand)(backup.backup)
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")


_MANY_FILES = ("collect", "demo", "serve")
"""Commands that hold sockets, journals and a database; the others get by with a few."""


def _print_version(wanted: bool) -> None:
    if wanted:
        common.out(version("ordertape"))
        raise typer.Exit


@app.callback()
def everywhere(
    context: typer.Context,
    data: DataOption = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    common.choose_data(data)
    if context.invoked_subcommand in _MANY_FILES:
        require_files()


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; its exit status.  No traceback leaves this function."""
    configure_logs(Path("logs"))  # until the settings say where
    try:
        status = app(list(arguments), prog_name="ordertape", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except typer.TyperException as error:
        return _end(error.exit_code, _wrong_line(error))
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of our output left; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (NameRefused, SettingRefused) as error:
        return _end(2, str(error))
    except OrdertapeError as error:
        return _end(1, str(error))
    except MemoryError:
        return _end(1, "there is not enough memory for this (see ulimit -v)")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _end(1, f"{where}{error.strerror or error}")
    except Exception as error:  # nobody above could say it better than one sentence and the log
        logger("cli").exception("L3_unexpected_error", arguments=" ".join(arguments))
        return _end(
            1, f"unexpected {type(error).__name__}: {error}; details are in the log (app.log)"
        )


def _wrong_line(error: typer.TyperException) -> str:
    """What is wrong with a command line: the option, what was found, what was expected."""
    parameter, cause = getattr(error, "param", None), error.__cause__
    if parameter is None or not isinstance(cause, ValidationError):
        return error.format_message()
    first = cause.errors(include_url=False)[0]
    option = next((text for text in parameter.opts if text.startswith("-")), None)
    name = option or parameter.metavar or parameter.name
    problem = str(first["msg"]).removeprefix("Value error, ")
    return f"{name} is {str(first['input'])!r}: {problem[:1].lower()}{problem[1:]}"


def _end(status: int, sentence: str) -> int:
    if sentence:
        sys.stderr.write(f"ordertape: {visible(' '.join(sentence.split()))}\n")
    return status


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
