"""Catalog age: when a node has to be asked again what it can run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from worker.comfyui.client import ComfyUI

#: How long nothing is asked: a model that was put on the node's disk is known to the fleet after it, s.
_FRESH_S: Final = 300.0
#: After this the catalog is read although no list of models has changed: choices of extensions may come
#: from files that no such list shows, s.
_EXPIRES_S: Final = 3600.0


class CatalogAge:
    """The age of a node's catalog, and whether the node would give the same one now."""

    def __init__(self, comfyui: ComfyUI, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._comfyui = comfyui
        self._clock = clock
        self._read_at: float | None = None
        self._checked_at = 0.0
        self._models: str | None = None

    @property
    def seconds(self) -> float | None:
        """Since it was read or found unchanged, s; None if it has to be read again."""
        return None if self._read_at is None else self._clock() - self._checked_at

    def forget(self) -> None:
        """Have the catalog read at the next check."""
        self._read_at = None

    def must_read(self) -> bool:
        """Tell whether the catalog has to be read; asks for the lists of models where it is time to.

        Raises:
            NodeError: it does not answer.
        """
        if self._read_at is None:
            return True
        now = self._clock()
        if now - self._checked_at <= _FRESH_S:
            return False
        if now - self._read_at > _EXPIRES_S or self._models is None:
            return True
        if self._comfyui.digest_of_models() != self._models:
            return True
        self._checked_at = now
        return False

    def on_reading(self) -> None:
        """Note what models there are before the catalog is read: changes meanwhile are seen next time."""
        self._models = self._comfyui.digest_of_models()

    def on_read(self) -> None:
        """Start the age anew: the catalog has been read."""
        self._read_at = self._checked_at = self._clock()
