"""Companion node: copies it into the `custom_nodes` of a ComfyUI on this machine."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from producer.own_modules import HOME

if TYPE_CHECKING:
    from producer.contract.nodes import Node

#: In the same wheel. By path, not by import: in a backend, `infra` may be another package.
_SOURCE: Final = HOME / "infra" / "companion_node"
_FOLDER: Final = "comfyfleet_companion"


class NoComfyUI(Exception):
    """The folder is no ComfyUI, or cannot be written; the message says why."""


def install_companion(comfyui_dir: Path) -> Path:
    """Copy the companion into *comfyui_dir*, replacing an older one; return its folder.

    ComfyUI loads it at its next start.

    Raises:
        NoComfyUI: there is no folder `custom_nodes`, or it cannot be written.
    """
    custom_nodes = comfyui_dir / "custom_nodes"
    if not custom_nodes.is_dir():
        raise NoComfyUI(f"{comfyui_dir} is no ComfyUI: it has no folder custom_nodes")
    target = custom_nodes / _FOLDER
    # ComfyUI ignores folders that end in .disabled, should it start in between.
    fresh = custom_nodes / f"{_FOLDER}.new.disabled"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(_SOURCE, fresh, ignore=shutil.ignore_patterns("__pycache__"))
        if target.is_symlink():
            target.unlink()
        elif target.exists():
            shutil.rmtree(target)
        fresh.rename(target)
    except OSError as exc:
        raise NoComfyUI(f"{custom_nodes} cannot be written: {exc.strerror or exc}") from exc
    return target


def gains_here() -> Iterator[str]:
    """Yield what the companions of this machine's nodes gained so far; nothing without a fleet."""
    from producer.client import Producer
    from producer.contract.config.settings import load_settings
    from producer.contract.errors import FleetError

    try:
        with Producer(load_settings()) as fleet:
            nodes = fleet.nodes()
    except FleetError:
        return
    here = f"{socket.gethostname()}:"
    for node in nodes:
        if node.host.startswith(here) and node.is_living and node.companion is not None:
            yield gain_of(node)


def gain_of(node: Node) -> str:
    """Return in words what the companion of *node* gained."""
    if not node.companion:
        return f"{node.name} has had none so far"
    if not node.companion_gained_s:
        return f"{node.name} has one, which has encoded less than 10 s beside renders so far"
    return (
        f"{node.name} has one: {node.companion_gained_s} s of encoding that no render waited for,"
        " since its ComfyUI began"
    )
