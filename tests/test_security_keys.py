"""API keys: shown once, kept as digests, good until revoked or over."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ordertape import cli, limits
from ordertape.api.security import keys
from ordertape.api.security.keys import KeyProblem, KeyRing, create_key, listed_keys, revoke_key
from ordertape.errors import SettingRefused


def shown(*arguments: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> tuple[str, str]:
    assert cli.run(list(arguments)) == status
    said = capsys.readouterr()
    return said.out, said.err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_key_is_256_random_bits_shown_once_and_kept_as_a_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = shown("keys", "create", "desk", "--scope", "control", capsys=capsys)
    text = out.strip()
    match = re.fullmatch(r"ot1_([0-9a-f]{8})_([A-Za-z0-9_-]{43})", text)
    assert match is not None
    assert len(base64.urlsafe_b64decode(match[2] + "=")) == 32
    assert "The key desk may control." in err
    assert text not in err

    kept = json.loads((tmp_path / "data" / "keys.json").read_text())["keys"]
    assert [key["sha256"] for key in kept] == [hashlib.sha256(text.encode()).hexdigest()]
    out, err = shown("keys", "list", capsys=capsys)
    listed = json.loads(shown("keys", "list", "--json", capsys=capsys)[0])["keys"]
    assert [(key["name"], key["scope"], key["expired"]) for key in listed] == [
        ("desk", "control", False)
    ]
    everywhere = out + err + json.dumps(listed)
    everywhere += "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "desk" in everywhere
    assert match[2] not in everywhere


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    made = [create_key(tmp_path, f"key{nth}", "read", None) for nth in range(50)]
    assert len(set(made)) == len({key.id for key in listed_keys(tmp_path)}) == 50


@pytest.mark.parametrize("name", ["keys.lock", "keys.json.{pid}", "keys.json"])
def test_a_link_that_lies_there_leads_to_no_file_of_whoever_makes_a_key(
    tmp_path: Path, name: str
) -> None:
    """`sudo ordertape keys create`: the folder's account may not have root change a file."""
    data, victim = tmp_path / "data", tmp_path / "victim"
    data.mkdir()
    victim.write_text("root's own")
    before = victim.stat()
    (data / name.format(pid=os.getpid())).symlink_to(victim)
    with suppress(OSError, SettingRefused):
        create_key(data, "reader", "read", None)
    assert victim.read_text() == "root's own"
    assert (victim.stat().st_uid, victim.stat().st_mode) == (before.st_uid, before.st_mode)


def test_the_file_is_its_owners_alone_and_one_that_is_not_lets_nobody_in(tmp_path: Path) -> None:
    text = create_key(tmp_path, "desk", "read", None)
    path, ring = tmp_path / "keys.json", KeyRing(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ring.key(text).name == "desk"
    path.chmod(0o644)
    with pytest.raises(KeyProblem):
        ring.key(text)
    assert ring.trouble == f"{path} is open to other accounts: `chmod 600 {path}` closes it"
    path.chmod(0o600)
    assert ring.key(text).name == "desk"
    assert ring.trouble is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "keys": []}',
        b'{"version": 1, "keys": [{"name": "a"}]}',
        b'{"version": 1, "keys": [], "more": 1}',
        b"\xff" * 100,
        b" " * (2**20 + 1),
    ],
)
def test_a_file_that_can_t_be_read_lets_nobody_in_and_is_not_written_over(
    tmp_path: Path, content: bytes
) -> None:
    text = create_key(tmp_path, "desk", "admin", None)
    ring = KeyRing(tmp_path)
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(KeyProblem):
        ring.key(text)
    assert ring.is_empty
    assert ring.trouble is not None
    assert ring.trouble.startswith(str(tmp_path / "keys.json"))
    with pytest.raises(SettingRefused, match=re.escape(ring.trouble)):
        create_key(tmp_path, "other", "read", None)
    assert (tmp_path / "keys.json").read_bytes() == content


def test_a_revoked_key_is_refused_by_the_next_question(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    assert ring.is_empty
    text = create_key(tmp_path, "desk", "read", None)
    other = create_key(tmp_path, "other", "read", None)
    key = ring.key(text)
    assert ring.stands(key)
    revoke_key(tmp_path, "desk")
    assert not ring.stands(key)
    with pytest.raises(KeyProblem, match="unknown: it is mistyped, or was revoked"):
        ring.key(text)
    assert ring.key(other).name == "other"
    again = create_key(tmp_path, "desk", "read", None)  # the name is free, the key another
    assert not ring.stands(key)
    assert ring.key(again).name == "desk"


def test_a_key_is_over_at_its_time(tmp_path: Path) -> None:
    text = create_key(tmp_path, "brief", "read", time.time_ns() + 50_000_000)
    ring = KeyRing(tmp_path)
    key = ring.key(text)
    while ring.stands(key):
        time.sleep(0.005)
    assert time.time_ns() >= (key.expires or 0)
    with pytest.raises(KeyProblem, match="has expired"):
        ring.key(text)
    assert ring.is_empty


@pytest.mark.parametrize("change", ["secret", "id", "case", "short", "long", "prefix", "nothing"])
def test_what_is_almost_a_key_is_none(tmp_path: Path, change: str) -> None:
    text = create_key(tmp_path, "desk", "read", None)
    last = "A" if text[-5] != "A" else "B"
    almost = {
        "secret": text[:-5] + last + text[-4:],
        "id": text[:4] + ("0" if text[4] != "0" else "1") + text[5:],
        "case": text.swapcase(),
        "short": text[:-1],
        "long": text + "A",
        "prefix": text[4:],
        "nothing": "",
    }[change]
    with pytest.raises(KeyProblem):
        KeyRing(tmp_path).key(almost)


def test_digests_are_compared_in_constant_time_also_where_there_is_no_such_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_key(tmp_path, "desk", "read", None)
    compared = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(
        keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )
    ring = KeyRing(tmp_path)
    for text in ("", f"ot1_00000000_{'A' * 43}", "a" * 10_000):
        with pytest.raises(KeyProblem):
            ring.key(text)
    assert len(compared) == 3
    assert {len(side) for pair in compared for side in pair} == {64}


def test_many_processes_make_keys_at_once_and_none_is_lost(tmp_path: Path) -> None:
    making = (
        "import sys; from pathlib import Path; from ordertape.api.security.keys import create_key\n"
        "for turn in '0123456789':\n"
        "    create_key(Path(sys.argv[1]), sys.argv[2] + turn, 'read', None)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", making, str(tmp_path), f"key-{nth}-"])
        for nth in range(3)
    ]
    assert [child.wait(60) for child in children] == [0] * 3
    assert len(listed_keys(tmp_path)) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.json", "keys.lock"]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    text = create_key(tmp_path, "desk", "read", None)
    ring, done = KeyRing(tmp_path), threading.Event()

    def change() -> None:
        for nth in range(60):
            create_key(tmp_path, f"key{nth}", "read", None)
        done.set()

    changing = threading.Thread(target=change)
    changing.start()
    while not done.is_set():
        assert ring.key(text).name == "desk"
    changing.join()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "a b"), "NAME is 'a b': expected at most 64 letters"),
        (("create", "../x"), "NAME is '../x'"),
        (("create", "x" * 65), "NAME is 'xxx"),
        (("create", "taken"), "there is a key named taken"),
        (("create", "new", "--expires", "soon"), "--expires: expected 30d, 12h, 90m or a time"),
        (("create", "new", "--expires", "2001-01-01"), "--expires: expected a time to come"),
        (("create", "new", "--scope", "root"), "--scope"),
        (("revoke", "nobody"), "no key is called 'nobody': there is taken"),
    ],
)
def test_what_can_t_be_made_or_revoked_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown("keys", "create", "taken", capsys=capsys)
    out, err = shown("keys", *arguments, capsys=capsys, status=2)
    assert (out, err.count("\n")) == ("", 1)
    assert sentence in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", "desk", "--data", "wrong"),
        ("--data", "wrong", "keys", "create", "desk"),
        ("keys", "revoke", "desk", "--data", "wrong"),
        ("keys", "revoke", "desk"),
    ],
)
def test_a_folder_that_is_not_there_is_named_and_not_made(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = shown(*arguments, capsys=capsys, status=2)
    folder = "wrong" if "wrong" in arguments else "data"
    assert f"there is no folder {folder}" in err
    assert err.count("\n") == 1
    assert not (tmp_path / folder).exists()


def test_there_are_only_so_many_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "keys_max", 2)
    for nth in range(2):
        create_key(tmp_path, f"key{nth}", "read", None)
    with pytest.raises(SettingRefused, match="there are 2 keys, the most there may be"):
        create_key(tmp_path, "more", "read", None)


def test_a_key_is_listed_with_its_end_and_revoked_by_name_or_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown("keys", "list", capsys=capsys)[0] == (
        "There is no key: only this machine may use the server.\n"
    )
    made = json.loads(
        shown("keys", "create", "brief", "--expires", "2h", "--json", capsys=capsys)[0]
    )
    shown("keys", "create", "other", capsys=capsys)
    lines = shown("keys", "list", capsys=capsys)[0].splitlines()
    assert f"expires {made['expires']}" in lines[0]
    assert "never expires" in lines[1]
    assert "is good no more" in shown("keys", "revoke", made["key"][4:12], capsys=capsys)[0]
    assert [key.name for key in listed_keys(tmp_path / "data")] == ["other"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes files for others")
def test_root_makes_the_file_for_the_account_whose_folder_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65_534, 65_534)
    create_key(data, "desk", "read", None)
    create_key(data, "other", "read", None)
    found = {path.name: path.stat() for path in data.iterdir()}
    assert {"keys.json", "keys.lock"} == found.keys()
    for status in found.values():
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65_534, 65_534, 0o600)
