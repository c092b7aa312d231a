"""The HTTP API of an embedded stack: its process, and a key for whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import requests

from infra.local.supervisor import NotReady, Service
from producer.access_keys import AccessKeys
from producer.contract.access import Scope
from producer.contract.config.settings import load_settings
from producer.own_modules import started
from producer.store.access_keys import AccessKeyRecords
from producer.store.actions import Actions
from producer.store.connection import connect

#: The name of the key, and the owner of what is handed in with it.
KEY_NAME: Final = "up"
OWNER: Final = "local"
_THIS_MACHINE: Final = "http://localhost:*,http://127.0.0.1:*,http://[::1]:*"
_GRACE: Final = timedelta(seconds=15)


def is_installed() -> bool:
    """Tell whether the extra `api` is."""
    return all(find_spec(module) is not None for module in ("fastapi", "uvicorn", "httptools"))


def api_service(port: int, directory: Path, environment: Mapping[str, str]) -> Service:
    """Return what to run for the API at a port of this machine alone."""
    return Service(
        name="api",
        argv=started("producer.http", "--host", "127.0.0.1", "--port", str(port)),
        environment=environment,
        directory=directory,
        probe=partial(_probe, f"http://127.0.0.1:{port}/livez"),
        stop_within=_GRACE,
    )


def allowed_origins() -> dict[str, str]:
    """Return the setting of the origins whose pages may use the API: the user's own, else those of this machine.

    That opens nothing: a page elsewhere gets no answer to read, and one here needs the key, which no browser sends
    by itself and which lies in a file of its user's alone.
    """
    return {"api_allowed_origins": load_settings().api_allowed_origins or _THIS_MACHINE}


def new_key(settings: Mapping[str, str]) -> str:
    """Return a key that opens everything, in place of that of the last start."""
    redis = connect(load_settings(**settings))
    try:
        keys = AccessKeys(AccessKeyRecords(redis), Actions(redis))
        keys.revoke(KEY_NAME)
        return keys.create(KEY_NAME, owner=OWNER, scopes=[Scope.ADMIN]).secret
    finally:
        redis.close()


def _probe(url: str) -> None:
    try:
        requests.get(url, timeout=1).raise_for_status()
    except requests.RequestException as exc:
        # Its own text names objects and their addresses in memory.
        raise NotReady("it does not answer yet") from exc
