"""What watches a fleet's Redis while it is hurt, and writes down what it finds."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import redis


class Recorder(ABC):
    """Looks again and again, from entering the block to leaving it, and once after that.

    Args:
        path: gets a line of JSON for each thing that is found.
        every_s: pause between two looks, s.
    """

    def __init__(self, url: str, path: Path, *, every_s: float) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)
        self._path = path
        self._every_s = every_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._redis.close()

    @abstractmethod
    def _look(self) -> Iterator[dict[str, Any]]:
        """Yield what there is to be written down now; an error of Redis ends this look."""

    def _run(self) -> None:
        with self._path.open("w", encoding="utf-8") as file:
            is_last = False
            while not is_last:
                is_last = self._ending.wait(self._every_s)
                try:
                    for found in self._look():
                        file.write(json.dumps(found) + "\n")
                except redis.RedisError:
                    pass  # Redis is being hurt; what is there waits
                file.flush()
