"""A node that lives in Redis alone, with the catalog of a stand-in."""

from __future__ import annotations

from pathlib import Path

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from producer.client import Producer
from producer.contract.classes.catalog import Catalog
from worker.comfyui.client import ComfyUI

NODE = "gpu-01"


def living_node(fleet: Producer, folder: Path) -> Catalog:
    """Register a node that can run what a stand-in can; return what that is."""
    with (
        standin_thread(StandinOptions(directory=folder)) as node,
        ComfyUI(node.url, node=NODE) as comfyui,
    ):
        catalog = Catalog.from_object_info(comfyui.object_info())
    fields = {
        "pool": "default",
        "url": node.url,
        "state": "ready",
        "host": "here",
        "catalog": catalog.to_text(),
        "catalog_sha": catalog.sha,
    }
    fleet._nodes.register(NODE, worker="nobody", fields={**fields, "reason": ""})
    return catalog
