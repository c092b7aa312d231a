"""What a node has on its disk, told at little cost: `/object_info` may take half a minute."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import quote

from worker.comfyui.connection import Connection
from worker.foreign_data import read_as_expected, read_json

#: A ComfyUI 0.33.0 has 25 kinds; extensions add some.
_MOST_KINDS: Final = 200


def digest_of_models(http: Connection) -> str | None:
    """Return what changes with ComfyUI's version, its arguments, and any list of model files.

    As `GET /models` and `GET /models/{kind}` of ComfyUI 0.3.64 and 0.33.0 give them, which look at
    the folders' times alone. Classes change with a restart only.

    Returns:
        None where the node does not tell.

    Raises:
        NodeError: it does not answer.
    """
    system = http.get_object("/system_stats").get("system")
    response = http.send("GET", "/models")
    if not response.ok:
        return None
    with read_as_expected(http.node, "its list of kinds of models"):
        kinds = [str(kind) for kind in read_json(response.content)][:_MOST_KINDS]
    told = hashlib.sha256()
    if isinstance(system, dict):
        told.update(repr([system.get("comfyui_version"), system.get("argv")]).encode())
    for kind in kinds:
        told.update(kind.encode("utf-8", "replace") + b"\0")
        told.update(http.send("GET", f"/models/{quote(kind, safe='')}").content)
    return told.hexdigest()
