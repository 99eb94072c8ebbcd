"""Print what pyproject.toml asks for, to build, to run and to develop, one requirement a line.

`scripts/setup` installs these before the engine exists, so it can't install the project itself.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
requirements = [
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *project["project"]["optional-dependencies"]["dev"],
]
sys.stdout.write("\n".join(requirements) + "\n")
