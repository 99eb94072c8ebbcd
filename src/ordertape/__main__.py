"""``python -m ordertape`` and the console script: the command line, whose imports take a moment."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line; Ctrl-C before it is there ends as quietly as later."""
    try:
        from ordertape import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
