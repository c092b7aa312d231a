"""The one GPU of a stand-in: it takes up time, and keeps the warm model and results between prompts."""

from __future__ import annotations

import threading

from infra.standin.cache import ResultCache
from infra.standin.catalog import Catalog
from infra.standin.options import StandinOptions
from infra.standin.storage import Storage


class Stopped(BaseException):
    """The stand-in itself is ending; like a killed process, nothing is told about it."""


class Gpu:
    """The one GPU of a stand-in. It takes up time and remembers which model it holds."""

    def __init__(self, options: StandinOptions, catalog: Catalog, storage: Storage) -> None:
        self.options = options
        self.catalog = catalog
        self.storage = storage
        self.cache = ResultCache()
        self.stopped = threading.Event()
        self._warm_model: str | None = None
        self._to_free: set[str] = set()

    def work(self, seconds: float) -> None:
        """Take up time.

        Raises:
            Stopped: the stand-in is ending.
        """
        if self.stopped.wait(seconds):
            raise Stopped

    def load_model(self, name: str) -> bool:
        """Make *name* the warm model; say whether it had to be loaded."""
        if self._warm_model == name:
            return False
        self.work(self.options.load_seconds)
        self._warm_model = name
        return True

    def free_later(self, *whats: str) -> None:
        """Note that ``unload_models`` or ``free_memory`` was asked for."""
        self._to_free.update(whats)

    def free(self) -> None:
        """Do what was asked; ComfyUI does it between prompts."""
        if self._to_free:
            self._warm_model = None
        if "free_memory" in self._to_free:
            self.cache.clear()
        self._to_free.clear()
