"""API keys: 256 random bits each, shown once, kept as digests in a file of the data folder.

The file works without a database.  It is replaced as a whole and looked at whenever it matters: a
key that was revoked is refused by the next request.  A fast digest suffices because nobody guesses
256 random bits; a password would need a slow one (OWASP, Password Storage Cheat Sheet).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from ordertape import limits
from ordertape.errors import SettingRefused

__all__ = [
    "KEY_FILE",
    "Key",
    "KeyProblem",
    "KeyRing",
    "Scope",
    "create_key",
    "listed_keys",
    "revoke_key",
]

Scope: TypeAlias = Literal["read", "control", "admin"]
"""What a key may do; each may do what the ones before it may."""

KEY_FILE: Final = "keys.json"
_VERSION: Final = 1
_OWN: Final = os.O_CLOEXEC | os.O_NOFOLLOW
"""A link may lead to a file of whoever runs this: to root's, from an account's folder."""
_FORM: Final = re.compile(r"ot1_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
"""What a key whose id is unknown is compared with, so that it takes as long as one that is."""


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as it is kept: without what would let anybody in."""

    name: str
    id: str
    """The eight digits behind ``ot1_``: which key it is, not whether it is it."""
    scope: Scope
    sha256: str
    """Of the whole text of the key, in hex."""
    created: int
    expires: int | None
    """ns since 1970 UTC, both; None: never."""

    def allows(self, scope: Scope) -> bool:
        order = get_args(Scope)
        return order.index(self.scope) >= order.index(scope)

    @property
    def is_over(self) -> bool:
        return self.expires is not None and time.time_ns() >= self.expires


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    keys: list[Key]


class KeyProblem(Exception):
    """Why a key is not good, in a sentence for who showed it."""


class KeyRing:
    """The keys of a data folder as they stand at each question."""

    def __init__(self, data: Path) -> None:
        self.path = data / KEY_FILE
        self._seen: object = None
        self._keys: dict[str, Key] = {}
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the file can't be used, in a sentence for who runs the server; no key is good."""
        self._look()
        return self._trouble

    @property
    def is_empty(self) -> bool:
        """Whether no key is good for anything."""
        self._look()
        return all(key.is_over for key in self._keys.values())

    def key(self, shown: str) -> Key:
        """The key whose text that is.  Raises KeyProblem."""
        self._look()
        match = _FORM.fullmatch(shown)
        found = None if match is None else self._keys.get(match[1])
        digest = hashlib.sha256(shown.encode("utf-8", "replace")).hexdigest()
        same = hmac.compare_digest(digest, _NOBODY if found is None else found.sha256)
        if found is None or not same:
            raise KeyProblem("this API key is unknown: it is mistyped, or was revoked")
        if found.is_over:
            raise KeyProblem("this API key has expired: `ordertape keys create` makes another")
        return found

    def stands(self, key: Key) -> bool:
        """Whether a key that was good still is."""
        self._look()
        return self._keys.get(key.id) == key and not key.is_over

    def _look(self) -> None:
        """Reads the file where it is another than last time."""
        try:
            stat = self.path.stat()
            seen: object = (stat.st_mtime_ns, stat.st_ino, stat.st_size, stat.st_mode)
        except OSError as error:
            seen = error.errno
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys, self._trouble = {key.id: key for key in _read(self.path)}, None
        except SettingRefused as error:
            self._keys, self._trouble = {}, str(error)


# What the commands do ----------------------------------------------------------------------------


def create_key(data: Path, name: str, scope: Scope, expires: int | None) -> str:
    """The text of a new key, which nothing keeps.  Raises SettingRefused."""
    if _NAME.fullmatch(name) is None:
        raise SettingRefused(
            f"NAME is {name[: limits.name_text_max]!r}: expected at most 64 letters, digits and "
            "any of . _ -, a letter or digit first"
        )
    if expires is not None and expires <= time.time_ns():
        raise SettingRefused("--expires: expected a time to come")
    data.mkdir(parents=True, exist_ok=True)
    with _changing(data) as keys:
        if any(key.name == name for key in keys):
            raise SettingRefused(f"there is a key named {name}: choose another name, or revoke it")
        if len(keys) >= limits.keys_max:
            raise SettingRefused(f"there are {len(keys)} keys, the most there may be: revoke some")
        taken = {key.id for key in keys}
        while (own := secrets.token_hex(4)) in taken:
            pass
        text = f"ot1_{own}_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        keys.append(Key(name, own, scope, digest, time.time_ns(), expires))
    return text


def revoke_key(data: Path, name: str) -> Key:
    """The key that is good no more.  ``name``: its own, or its id.  Raises SettingRefused."""
    if not data.is_dir():
        raise SettingRefused(f"there is no folder {data}, so no key either")
    with _changing(data) as keys:
        found = [key for key in keys if name in (key.name, key.id)]
        if not found:
            there = ", ".join(key.name for key in keys) or "none at all"
            raise SettingRefused(
                f"no key is called {name[: limits.name_text_max]!r}: there is {there}"
            )
        keys.remove(found[0])
    return found[0]


def listed_keys(data: Path) -> list[Key]:
    """All of them, the oldest first.  Raises SettingRefused."""
    return _read(data / KEY_FILE)


@contextlib.contextmanager
def _changing(data: Path) -> Iterator[list[Key]]:
    """The keys, written back at the end; one process at a time."""
    lock = os.open(data / "keys.lock", os.O_RDWR | os.O_CREAT | _OWN, 0o600)
    try:
        _give(lock, data)
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = _read(data / KEY_FILE)
        yield keys
        _write(data / KEY_FILE, keys)
    finally:
        os.close(lock)


def _give(descriptor: int, folder: Path) -> None:
    """Root makes a file for the account whose folder it is: the server there has to read it.

    A file that has another name, too, may be none of that account's.
    """
    made = os.fstat(descriptor)
    if os.geteuid() == 0 and stat.S_ISREG(made.st_mode) and made.st_nlink == 1:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _read(path: Path) -> list[Key]:
    """The keys of a file; none where there is no file.  Raises SettingRefused."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OWN), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = b"" if not stat.S_ISREG(mode) else file.read(limits.keys_file_bytes_max + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingRefused(f"{path} can't be read: {error.strerror}") from None
    if mode & 0o077:
        raise SettingRefused(f"{path} is open to other accounts: `chmod 600 {path}` closes it")
    if len(text) > limits.keys_file_bytes_max:
        raise SettingRefused(f"{path} is larger than {limits.keys_file_bytes_max} bytes")
    try:
        found = msgspec.json.decode(text, type=_File)
    except msgspec.MsgspecError as error:
        raise SettingRefused(f"{path} is no file of keys: {error}") from None
    if found.version != _VERSION:
        raise SettingRefused(f"{path} is of version {found.version}, expected {_VERSION}")
    return found.keys


def _write(path: Path, keys: list[Key]) -> None:
    """In the place of what was there, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that was killed under the same number
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OWN, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        _give(descriptor, path.parent)
        file.write(msgspec.json.format(msgspec.json.encode(_File(_VERSION, keys))) + b"\n")
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
