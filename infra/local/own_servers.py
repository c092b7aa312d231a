"""Own servers of the user (Redis, S3, ComfyUI): checked before anything is started.

Every error says which server, at which address, and what to try; none shows a password.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

from producer.contract.config.node_address import NodeAddress
from producer.contract.config.node_credentials import credentials_of
from producer.contract.config.settings import load_settings
from producer.contract.errors import FleetError
from producer.storage.object_store import ObjectStore
from producer.store.connection import connect, translated
from worker.comfyui.client import ComfyUI
from worker.errors import NodeError, NodeTimeout, NodeUnreachable

_TIMEOUT_S: Final = 5.0
_ITS_OWN: Final = "is the port its own?"


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
    """Check that a ComfyUI answers at *url* (``GET /system_stats``), asked as its worker will.

    Raises:
        InvalidSettings: *url* is no address, or the settings' headers cannot be sent.
        ComfyUnusable: nobody answers, or something else does.
    """
    address = NodeAddress.parse(url, credentials_of(load_settings()))
    shown = f"ComfyUI at {address}"
    try:
        with ComfyUI(address, node=address.host, read_s=_TIMEOUT_S) as comfyui:
            stats = comfyui.system_stats()
    except (NodeUnreachable, NodeTimeout) as exc:
        raise ComfyUnusable(f"{shown} does not answer: {exc.detail}", advice=exc.advice) from exc
    except NodeError as exc:
        raise ComfyUnusable(f"{shown} is something else: {exc.detail}", advice=_ITS_OWN) from exc
    if "devices" not in stats:
        raise ComfyUnusable(f"{shown} is something else", advice=_ITS_OWN)
