"""What our code is measured against: built and installed on demand, all of it in ``bench/.work``.

The C++ core and its stream come from the folder of recordings beside the repository and are used
from where they stand; cryptofeed lives in a virtual environment of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CRYPTOFEED", "CRYPTOFEED_COINBASE", "WORK", "Missing", "Peers"]

TOP = Path(__file__).resolve().parent.parent
WORK = TOP / "bench" / ".work"

CRYPTOFEED = ("cryptofeed==2.4.1", "order_book==0.6.1", "yapic.json==1.9.5")
"""Its handler, the book it keeps and the parser it uses."""
CRYPTOFEED_COINBASE = (
    "cryptofeed==2.3.2",
    "order_book==0.6.1",
    "yapic.json==1.9.5",
    "aiohttp==3.8.4",
)
"""The last that follows Coinbase's full channel: later ones have its aggregated levels alone."""
GENERATOR = ("numba==0.68.1", "numpy==2.2.6")
CORE_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fno-exceptions")


class Missing(Exception):
    """A peer that can't be had here; the text is the reason."""


class Peers:
    """``wanted``: False lets every peer be missing, for runs that may not install anything."""

    def __init__(self, wanted: bool = True, work: Path = WORK) -> None:
        self.wanted = wanted
        self.work = work

    @property
    def shared(self) -> Path:
        """The folder of recordings: ORDERTAPE_SHARED, else ``shared`` beside the repository."""
        return Path(os.environ.get("ORDERTAPE_SHARED") or TOP.parent / "shared").resolve()

    def shared_file(self, name: str) -> Path:
        path = self.shared / name
        if not path.is_file():
            raise Missing(f"no {name} in {self.shared}: ORDERTAPE_SHARED names its folder")
        return path

    def core_bench(self) -> Path:
        """The compiled C++ core."""
        source = self.shared_file("bench/native/core_bench.cpp")
        header = self.shared_file("bench/native/core.hpp")
        return self._built("core_bench", "g++", CORE_FLAGS, source, [header])

    def empty_call(self) -> Path:
        """The folder of ``bench_empty_call``, an extension type whose one method does nothing."""
        include = sysconfig.get_paths()["include"]
        if not (Path(include) / "Python.h").is_file():
            raise Missing("no Python.h here")
        name = f"bench_empty_call{sysconfig.get_config_var('EXT_SUFFIX')}"
        flags = ("-O2", "-shared", "-fPIC", f"-I{include}")
        return self._built(name, "cc", flags, TOP / "bench" / "empty_call.c", []).parent

    def _built(
        self, name: str, compiler: str, flags: Sequence[str], source: Path, others: list[Path]
    ) -> Path:
        if not self.wanted:
            raise Missing("peers are left out")
        if shutil.which(compiler) is None:
            raise Missing(f"no {compiler} here")
        parts = [" ".join((compiler, *flags)).encode()]
        parts += [path.read_bytes() for path in (source, *others)]
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        target = self.work / "built" / digest / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            half = target.with_name(f"{name}.half")
            self._run([compiler, *flags, str(source), "-o", str(half)], f"compile {source.name}")
            half.rename(target)
        return target

    def python(self, name: str, packages: Sequence[str]) -> Path:
        """The interpreter of an environment that has these packages."""
        if not self.wanted:
            raise Missing("peers are left out")
        folder = self.work / name
        python, stamp = folder / "bin" / "python", folder / "packages.txt"
        wanted = "\n".join((sys.version, *packages))
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return python
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        self._run([*pip, *packages], f"install {packages[0]}")
        stamp.write_text(wanted, encoding="utf-8")
        return python

    def _run(self, command: list[str], what: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no reason given"]
            raise Missing(f"could not {what}: {said[-1]}")
