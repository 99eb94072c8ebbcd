"""Whom the embedded server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from ordertape.errors import DatabaseError

__all__ = ["Account", "server_account"]

_OURS = "ordertape"
_LAST_RESORT = "nobody"


class Account(NamedTuple):
    name: str
    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """Of ``subprocess``: run as this account, with no other group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    @classmethod
    def named(cls, name: str) -> Account | None:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(found.pw_name, found.pw_uid, found.pw_gid)

    @classmethod
    def numbered(cls, uid: int) -> Account | None:
        try:
            found = pwd.getpwuid(uid)
        except KeyError:
            return None
        return cls(found.pw_name, found.pw_uid, found.pw_gid)


def server_account(cluster: Path) -> Account | None:
    """The account for a cluster's server; None: our own.  Raises DatabaseError.

    Root hands over to the cluster's owner, for a new one to the account ``ordertape``, which is
    made where that is possible, else ``nobody``.
    """
    owner = cluster.stat().st_uid if cluster.exists() else None
    ours = os.geteuid()
    if ours != 0:
        if owner not in (None, ours):
            raise DatabaseError(
                f"{cluster} belongs to {_shown(owner)}, expected {_shown(ours)}: run as that "
                "account, or set ORDERTAPE_DATA to a folder of your own"
            )
        return None
    if owner:
        account = Account.numbered(owner)
        if account is None:
            raise DatabaseError(f"{cluster} belongs to account {owner}, which has no name here")
        return account
    account = Account.named(_OURS) or _made() or Account.named(_LAST_RESORT)
    if account is None:
        raise DatabaseError(
            f"PostgreSQL can't run as root, and there is neither an account {_OURS} nor "
            f"{_LAST_RESORT}: make one, or set DATABASE_URL"
        )
    return account


def _made() -> Account | None:
    """A new account without home, shell or password; None where that is not possible here."""
    program = shutil.which("useradd")
    if program is None:
        return None
    command = [program, "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    subprocess.run(  # noqa: S603 - a fixed command line
        [*command, "--shell", "/usr/sbin/nologin", _OURS],
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    return Account.named(_OURS)


def _shown(uid: int | None) -> str:
    account = Account.numbered(uid) if uid is not None else None
    return account.name if account is not None else f"account {uid}"
