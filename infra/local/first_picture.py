"""The one command that renders a first picture on a stack that is up."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

#: A stand-in has every model that this graph names; a ComfyUI of the user's need not have any.
_OF_STANDINS: Final = "text_to_image.json"
_OF_ANY_COMFYUI: Final = "sunset.json"


def first_picture_command(
    environment: Mapping[str, str], *, own_nodes: bool, pool: str = "default"
) -> str:
    """Return a line for any shell in any folder: what it needs of paths is in it.

    Args:
        environment: what a process needs to know the stack.
        own_nodes: whether its nodes are ComfyUIs of the user's.
    """
    graph = resources.files("infra.samples") / (_OF_ANY_COMFYUI if own_nodes else _OF_STANDINS)
    words = [_command(), "submit", str(graph), "--output", "pictures"]
    if pool != "default":
        words += ["--pool", pool]
    known = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*known, shlex.join(words)])


def _command() -> str:
    script = Path(sys.executable).with_name("comfyfleet")
    return str(script) if script.is_file() else "comfyfleet"
