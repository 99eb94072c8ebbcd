"""``python -m ordertape`` and the console script: the command line, whose imports take a moment."""

from __future__ import annotations

import sys

from ordertape.errors import ResourcesLacking
from ordertape.resources import require_memory

__all__ = ["main"]


def main() -> None:
    """Runs the command line; Ctrl-C before it is there ends as quietly as later."""
    try:
        require_memory()
        from ordertape import cli
    except ResourcesLacking as error:
        sys.exit(f"ordertape: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
