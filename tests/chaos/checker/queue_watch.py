"""Watches the queues while a fleet is hurt: a job that stands in two of them at one moment is written down."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, Final, Self

import redis

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
_EVERY_S: Final = 0.5


class QueueWatch:
    """Looks twice a second, from entering the block to leaving it."""

    def __init__(self, url: str, path: Path) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)
        self._path = path
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        with self._path.open("w", encoding="utf-8") as file:
            while not self._ending.wait(_EVERY_S):
                for found in self._look():
                    file.write(json.dumps({"at": time.time(), **found}) + "\n")
                    file.flush()

    def _look(self) -> list[dict[str, Any]]:
        try:
            told = json.loads(str(self._redis.eval(_DOUBLE, 0)))
        except redis.RedisError:
            return []  # Redis is being hurt
        return list(told) if isinstance(told, list) else []
