"""What ``uvicorn app.main:app`` serves."""

from __future__ import annotations

import sys

from ordertape.errors import ResourcesLacking, SettingRefused
from ordertape.resources import keep_memory_small, require_files, require_memory

try:
    # Before what needs them: with too little memory the libraries can't even be loaded.
    require_memory()
    require_files()
    keep_memory_small()
except ResourcesLacking as error:
    sys.exit(f"ordertape: {error}")

from ordertape.api.app import create_app
from ordertape.api.security.transport import loading_configuration, require_key_for, secure
from ordertape.roles.logs import configure_logs
from ordertape.roles.server import running_server
from ordertape.settings import load_settings

__all__ = ["app"]

try:
    settings = load_settings()
    configure_logs(settings.logs)
    # uvicorn's own, where it is what loads this: it says neither where it listens nor how.
    if (configuration := loading_configuration()) is not None:
        secure(configuration)
        if configuration.uds is None and configuration.fd is None:
            require_key_for(configuration.host, settings, "--host")
except SettingRefused as error:
    sys.exit(f"ordertape: {error}")

app = create_app(settings, running_server)
