"""What the account may use (``ulimit``), told in a sentence before too little of it runs out; and
how a role that runs for months keeps its memory small.

Loads nothing but the standard library: with little memory the libraries themselves can't be loaded,
and some of them end the process without a word of Python.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
import time
from functools import cache

from ordertape import limits
from ordertape.errors import ResourcesLacking

__all__ = ["keep_memory_small", "require_files", "require_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of ``mallopt``, malloc.h of glibc."""


@cache
def keep_memory_small() -> None:
    """What is freed goes back to the machine, whichever thread freed it.

    For roles, before they begin a thread.  As it comes, glibc keeps a heap for each thread (up to
    eight a processor), takes ever larger pieces from these heaps once such pieces were freed, and
    gives little of it back; Arrow's own allocator keeps what each of its threads freed.  A server
    grew by 5 % an hour so, though it held no more.  Where another library allocates, its ways stay.
    """
    # Read as Arrow is loaded and as our children begin, whose libraries begin threads of their own
    # before they come here; where Arrow is loaded already it must be told.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("MALLOC_ARENA_MAX", str(limits.heaps_max))
    if (arrow := sys.modules.get("pyarrow")) is not None:
        arrow.set_memory_pool(arrow.system_memory_pool())
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        return
    library.mallopt(_ARENA_MAX, limits.heaps_max)
    library.mallopt(_MMAP_THRESHOLD, limits.heap_piece_bytes_max)
    library.mallopt(_TRIM_THRESHOLD, limits.heap_unused_bytes_max)
    threading.Thread(target=_trim, args=(library,), name="heap", daemon=True).start()


def _trim(library: ctypes.CDLL) -> None:
    """Gives back what is free between what is used: a few milliseconds for a hundred megabytes."""
    while True:
        time.sleep(limits.heap_trim_ms / 1000)
        library.malloc_trim(0)


def require_memory() -> None:
    """Raises ResourcesLacking where the address space is limited below what loading takes."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < limits.address_space_bytes_min:
        raise ResourcesLacking(
            f"this account may use {allowed // 1024:,} KiB of address space (ulimit -v), expected "
            f"{limits.address_space_bytes_min // 1024:,} or more"
        )


def require_files(needed: int = limits.open_files_min) -> None:
    """Takes as many open files as are allowed; ResourcesLacking where that is less than needed."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != most:
        # A shell's soft limit is for programs that count files in bit sets; ours do not.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < needed:
        raise ResourcesLacking(
            f"this account may open {most} files (ulimit -n), expected {needed} or more"
        )
