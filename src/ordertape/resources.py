"""What the account may use (``ulimit``), told in a sentence before too little of it runs out.

Loads nothing but the standard library: with little memory the libraries themselves can't be loaded,
and some of them end the process without a word of Python.
"""

from __future__ import annotations

import resource

from ordertape import limits
from ordertape.errors import ResourcesLacking

__all__ = ["require_files", "require_memory"]


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
