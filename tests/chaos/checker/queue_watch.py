"""Watches the queues while a fleet is hurt: a job that stands in two of them at one moment is written down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.chaos.checker.recorder import Recorder

#: In one step, as nobody could tell later: each job that more than one queue lists, with these.
_DOUBLE: Final = """
local seen, double = {}, {}
for _, key in ipairs(redis.call('KEYS', 'comfyfleet:queued:*')) do
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        seen[id] = seen[id] or {}
        table.insert(seen[id], key)
    end
end
for id, keys in pairs(seen) do
    if #keys > 1 then table.insert(double, {job = id, queues = keys}) end
end
return cjson.encode(double)
"""


class QueueWatch(Recorder):
    """Looks twice a second."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url, path, every_s=0.5)

    def _look(self) -> Iterator[dict[str, Any]]:
        for found in json.loads(str(self._redis.eval(_DOUBLE, 0))):  # of none Lua makes {}
            yield {"at": time.time(), **found}
