"""What ``uvicorn app.main:app`` serves."""

from __future__ import annotations

import sys

from ordertape.errors import ResourcesLacking, SettingRefused
from ordertape.resources import require_files, require_memory

try:
    # Before what needs them: with too little memory the libraries can't even be loaded.
    require_memory()
    require_files()
except ResourcesLacking as error:
    sys.exit(f"ordertape: {error}")

from ordertape.api.app import create_app
from ordertape.roles.logs import configure_logs
from ordertape.roles.server import running_server
from ordertape.settings import load_settings

__all__ = ["app"]

try:
    settings = load_settings()
    configure_logs(settings.logs)
except SettingRefused as error:
    sys.exit(f"ordertape: {error}")

app = create_app(settings, running_server)
