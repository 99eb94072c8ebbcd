"""Where another process listens, so that a sentence can say which server it is."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

__all__ = ["listening_addresses"]

_LISTEN = "0A"
"""TCP_LISTEN in include/net/tcp_states.h, as /proc/net/tcp shows it."""


def listening_addresses(pid: int) -> list[str]:
    """``http://host:port`` of every TCP socket on which a process listens; none where it ended,
    belongs to somebody else, or its account can't be looked into."""
    inodes = _socket_inodes(pid)
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in inodes:
                found.append(f"http://{_shown(fields[1], family)}")
    return sorted(found)


def _socket_inodes(pid: int) -> set[str]:
    inodes = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return set()
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    return inodes


def _shown(address: str, family: socket.AddressFamily) -> str:
    """``host:port`` of the kernel's form: 32-bit words in the machine's order, in hex."""
    words, port = address.split(":")
    raw = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    host = socket.inet_ntop(family, raw)
    if host in ("0.0.0.0", "::"):  # noqa: S104 - shown, not bound
        host = "127.0.0.1" if family is socket.AF_INET else "::1"
    return f"[{host}]:{int(port, 16)}" if ":" in host else f"{host}:{int(port, 16)}"
