"""Children can't outlive their parent, and say why they ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ordertape.errors import ChildFailed
from ordertape.roles.children import Child, Children


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the children's path; ``write(name, text)`` puts modules into it."""
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [inherited])]))
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return name


READY_AND_WAITING = """
    import signal, sys, threading
    from ordertape.roles.children import when_parent_leaves
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    when_parent_leaves(leave.set)
    print("ready", flush=True)
    leave.wait()
"""


def gone(pid: int, seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_a_child_says_its_first_line_and_leaves_when_asked(module: Path) -> None:
    child = Child("waiter", write(module, "waiter", READY_AND_WAITING))
    assert child.first_line() == "ready"
    assert child.status is None
    assert child.stop() == 0
    assert gone(child.pid, 0.1)


def test_a_child_that_ignores_the_wish_is_ended(module: Path) -> None:
    child = Child(
        "deaf",
        write(
            module,
            "deaf",
            """
            import signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", flush=True)
            time.sleep(60)
            """,
        ),
    )
    child.first_line()
    assert child.stop(timeout_ms=100) == -signal.SIGKILL


def test_a_child_that_can_not_start_is_explained_by_its_last_words(module: Path) -> None:
    child = Child("sorry", write(module, "sorry", "import sys; sys.exit('the port is taken')"))
    said = "it ended with status 1; the last it said: the port is taken"
    with pytest.raises(ChildFailed, match=f"^sorry could not start: {said}$"):
        child.first_line()
    assert child.stop() == 1


def test_children_leave_when_their_parent_is_killed(module: Path) -> None:
    name = write(module, "orphan", READY_AND_WAITING)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from ordertape.roles.children import Child; c = Child('orphan', {name!r});"
            "c.first_line(); print(c.pid, flush=True); import time; time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)


def test_all_children_end_with_their_block_even_after_an_error(module: Path) -> None:
    name = write(module, "waiter", READY_AND_WAITING)
    pids = []

    def fail_with_two_children() -> None:
        with Children() as children:
            for _ in range(2):
                child = children.start("waiter", name)
                child.first_line()
                pids.append(child.pid)
            assert children.ended() is None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_with_two_children()
    assert len(pids) == 2
    assert all(gone(pid, 0.1) for pid in pids)


def test_a_child_that_ended_on_its_own_is_found(module: Path) -> None:
    with Children() as children:
        child = children.start("brief", write(module, "brief", "import sys; sys.exit('enough')"))
        assert gone(child.pid)
        assert children.ended() is child
    assert child.ending() == "it ended with status 1; the last it said: enough"


def test_a_child_that_was_killed_is_not_explained_by_an_older_warning(module: Path) -> None:
    warns = """
        import sys, time
        sys.stderr.write("warning L3_connect_failed\\n")
        print("ready", flush=True)
        time.sleep(60)
    """
    child = Child("warned", write(module, "warned", warns))
    child.first_line()
    child.kill()
    assert child.stop() == -signal.SIGKILL
    assert child.ending() == "it ended with signal 9; the last it said: warning L3_connect_failed"


def test_a_child_that_says_nothing_is_explained_by_its_signal(module: Path) -> None:
    child = Child("mute", write(module, "mute", READY_AND_WAITING))
    child.first_line()
    child.kill()
    assert child.stop() == -signal.SIGKILL
    assert child.ending() == "it ended with signal 9"


def test_a_beat_is_heard_and_never_waits_for_a_parent_that_does_not_read(module: Path) -> None:
    name = write(
        module,
        "beater",
        """
        import sys
        from ordertape.roles.children import beat
        for _ in range(100_000):  # more than the pipe holds
            beat()
        sys.stderr.write("all of them")
        """,
    )
    child = Child("beater", name)
    child.wait()
    child.stop()
    assert child.lines > 0
    unread = subprocess.Popen(
        [sys.executable, "-m", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with unread:
        assert unread.stderr is not None
        assert unread.stderr.read() == "all of them"


def test_work_whose_round_takes_too_long_beats_no_more_and_again_with_the_next(
    module: Path,
) -> None:
    name = write(
        module,
        "rounds",
        """
        import sys
        from ordertape import limits
        limits.role_beat_ms = 10
        from ordertape.roles.children import Progress, keep_beating
        progress = Progress(300)
        keep_beating(progress, to_parent=True)
        for _ in sys.stdin:
            progress.next_round()
        """,
    )
    child = subprocess.Popen(
        [sys.executable, "-m", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.read(1) == b"\n"  # what waits for its first round goes on
        for _ in range(2):
            child.stdin.write(b"a round\n")
            until = time.monotonic() + 60
            while select.select([child.stdout], [], [], 2)[0]:
                assert child.stdout.read(1) == b"\n"
                assert time.monotonic() < until, "it beats on, however long its round takes"
        child.stdin.write(b"a round\n")
        assert select.select([child.stdout], [], [], 60)[0]
        child.stdin.close()


HAMMERED = """
import signal, sys, threading, time
from ordertape.roles.children import handler_of

stop, met = threading.Event(), 0
told = handler_of(stop.set) if sys.argv[1] == "ours" else lambda *_: stop.set()

def handler(*_):
    global met
    met += 1
    told()

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
until = time.monotonic() + 3
while time.monotonic() < until:
    stop.wait(0)
signal.setitimer(signal.ITIMER_REAL, 0)
print(met > 1_000 and stop.wait(5))
"""


def test_a_signal_that_comes_while_its_event_is_waited_for_locks_nothing() -> None:
    """A handler that sets the event itself waits for its lock before long, for ever."""
    told = subprocess.run(
        [sys.executable, "-c", HAMMERED, "ours"], capture_output=True, text=True, timeout=60
    )
    assert told.stdout == "True\n"
