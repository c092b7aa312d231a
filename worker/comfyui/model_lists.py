"""A digest of a node's lists of models, which cost little: `/object_info` may take half a minute."""

from __future__ import annotations

import hashlib
import time
from typing import Final
from urllib.parse import quote

from worker.comfyui.connection import Connection
from worker.foreign_data import read_as_expected, read_json

#: A ComfyUI 0.33.0 has 25 kinds; extensions add some.
_MOST_KINDS: Final = 200
#: All of them together take less, s, or are not worth it.
_WITHIN_S: Final = 60.0


def digest_of_models(http: Connection) -> str | None:
    """Return what changes with ComfyUI's version, its arguments, and any list of model files.

    As `GET /models` and `GET /models/{kind}` of ComfyUI 0.3.64 and 0.33.0 give them, which look at
    the folders' times alone. Classes change with a restart only.

    Returns:
        None where the node does not tell, or takes too long over it.

    Raises:
        NodeError: it does not answer.
    """
    deadline = time.monotonic() + _WITHIN_S
    system = http.get_object("/system_stats").get("system")
    response = http.send("GET", "/models")
    if not response.ok:
        return None
    with read_as_expected(http.node, "its list of kinds of models"):
        kinds = [str(kind) for kind in read_json(response.content)][:_MOST_KINDS]
    digest = hashlib.sha256()
    if isinstance(system, dict):
        digest.update(repr([system.get("comfyui_version"), system.get("argv")]).encode())
    for kind in kinds:
        if time.monotonic() > deadline:
            return None
        digest.update(kind.encode("utf-8", "replace") + b"\0")
        digest.update(http.send("GET", f"/models/{quote(kind, safe='')}").content)
    return digest.hexdigest()
