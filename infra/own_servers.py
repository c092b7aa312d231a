"""Servers that the user brings along: looked at before anything is started.

Every error says which server, at which address, and what to try; none shows a password.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

import requests

from producer.contract.errors import FleetError
from producer.contract.settings import load_settings, without_password
from producer.storage.object_store import ObjectStore
from producer.store.connection import connect, translated

_TIMEOUT_S: Final = 5.0


class ComfyUnusable(FleetError):
    """No ComfyUI serves at the address that the user named."""


def check_redis(url: str) -> None:
    """Check that a Redis answers at *url*.

    Raises:
        InvalidSettings: *url* is none.
        FleetUnreachable: nobody answers, or we are refused.
    """
    client = connect(load_settings(redis_url=url))
    with closing(client), translated(client):
        client.ping()


def check_s3(endpoint_url: str, bucket: str) -> dict[str, str]:
    """Check that *bucket* is there and takes a write; credentials come by boto3's own chain.

    Returns:
        Every S3 setting in force, so that they can be handed on in one settings file.

    Raises:
        InvalidSettings: *endpoint_url* or another S3 setting makes no sense.
        StorageError: it does not; the class says whether store, bucket or right is missing.
    """
    settings = load_settings(s3_endpoint_url=endpoint_url, s3_bucket=bucket)
    with closing(ObjectStore(settings)) as store:
        store.probe()
    in_force = settings.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in in_force.items() if name.startswith("s3_")}


def check_comfyui(url: str) -> None:
    """Check that a ComfyUI answers at *url* (``GET /system_stats``).

    Raises:
        ComfyUnusable: nobody answers, or something else does.
    """
    shown = f"ComfyUI at {without_password(url)}"
    try:
        with requests.Session() as session:
            session.trust_env = False  # a node is never behind a proxy
            response = session.get(f"{url.rstrip('/')}/system_stats", timeout=_TIMEOUT_S)
            response.raise_for_status()
            if "devices" not in response.json():
                raise ComfyUnusable(f"{shown} is something else", advice="is the port its own?")
    except (requests.HTTPError, requests.JSONDecodeError) as exc:
        raise ComfyUnusable(
            f"{shown} is something else: {exc}", advice="is the port its own?"
        ) from exc
    except requests.RequestException as exc:
        raise ComfyUnusable(
            f"{shown} does not answer ({type(exc).__name__})",
            advice="does the URL begin with http://, is ComfyUI running, and with --listen if it is on"
            " another machine?",
        ) from exc
