"""GPU of a stand-in: simulates computing time, and keeps the loaded model and cached results."""

from __future__ import annotations

import threading
import time

from infra.standin.cache import ResultCache
from infra.standin.catalog import Catalog
from infra.standin.options import StandinOptions
from infra.standin.storage import Storage


class Stopped(BaseException):
    """The stand-in is stopping: the running prompt ends without messages, as in a killed process."""


class PageCache:
    """Which models were read since the start, or are being read. Thread-safe."""

    def __init__(self, cold_seconds: float) -> None:
        self._cold_seconds = cold_seconds
        self._read_at: dict[str, float] = {}

    def read(self, name: str) -> None:
        """Begin to read the model *name*, unless that was done."""
        self._read_at.setdefault(name, time.monotonic() + self._cold_seconds)

    def wait_s(self, name: str) -> float:
        """Return how long it takes until the model *name* is read."""
        self.read(name)
        return max(0.0, self._read_at[name] - time.monotonic())

    def is_reading(self) -> bool:
        """Tell whether any model is being read."""
        return max(self._read_at.values(), default=0.0) > time.monotonic()


class Gpu:
    """The one GPU of a stand-in, with one loaded model and the result cache."""

    def __init__(self, options: StandinOptions, catalog: Catalog, storage: Storage) -> None:
        self.options = options
        self.catalog = catalog
        self.storage = storage
        self.cache = ResultCache()
        self.page_cache = PageCache(options.cold_seconds)
        self.stopped = threading.Event()
        self._warm_model: str | None = None
        self._to_free: set[str] = set()

    def work(self, seconds: float) -> None:
        """Sleep for *seconds*, as if computing.

        Raises:
            Stopped: the stand-in is stopping.
        """
        if self.stopped.wait(seconds):
            raise Stopped

    def load_model(self, name: str) -> bool:
        """Load the model *name* unless it is loaded; return whether it was loaded now."""
        if self._warm_model == name:
            return False
        self.work(self.page_cache.wait_s(name) + self.options.load_seconds)
        self._warm_model = name
        return True

    def free_later(self, *whats: str) -> None:
        """Note a request for ``unload_models`` or ``free_memory`` (`POST /free`)."""
        self._to_free.update(whats)

    def free(self) -> None:
        """Carry out noted requests; called between prompts, as in ComfyUI."""
        if self._to_free:
            self._warm_model = None
        if "free_memory" in self._to_free:
            self.cache.clear()
        self._to_free.clear()
