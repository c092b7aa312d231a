"""Who runs a command, for the log of actions."""

from __future__ import annotations

import getpass
import socket
from typing import TypedDict


class Whoever(TypedDict):
    """A person, and the machine that the command runs on."""

    actor: str
    origin: str


def whoever() -> Whoever:
    """Return who runs this command."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = "somebody"
    return {"actor": name, "origin": f"cli@{socket.gethostname()}"}
