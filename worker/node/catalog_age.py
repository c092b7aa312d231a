"""When a node is asked again what it can run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from worker.comfyui.client import ComfyUI

#: A model that was put on the node's disk is known to the fleet after so long, s.
_FRESH_S: Final = 300.0
#: Choices of extensions may come from files that no list of models shows, s.
_OLD_S: Final = 3600.0


class CatalogAge:
    """How old that is which the node has said, and whether it would say the same again."""

    def __init__(self, comfyui: ComfyUI, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._comfyui = comfyui
        self._clock = clock
        self._asked_at: float | None = None
        self._looked_at = 0.0
        self._models: str | None = None

    @property
    def seconds(self) -> float | None:
        """Since it was asked or found to be the same, s; None if it has to be asked again."""
        return None if self._asked_at is None else self._clock() - self._looked_at

    def forget(self) -> None:
        """Have it asked again at the next look."""
        self._asked_at = None

    def is_over(self) -> bool:
        """Tell whether the node has to be asked.

        Raises:
            NodeError: it does not answer.
        """
        if self._asked_at is None:
            return True
        now = self._clock()
        if now - self._looked_at <= _FRESH_S:
            return False
        if now - self._asked_at > _OLD_S or self._models is None:
            return True
        if self._comfyui.digest_of_models() != self._models:
            return True
        self._looked_at = now
        return False

    def begins(self) -> None:
        """Hear that the node is about to be asked: what changes meanwhile is seen at the next look."""
        self._models = self._comfyui.digest_of_models()

    def asked(self) -> None:
        """Hear that it has been asked."""
        self._asked_at = self._looked_at = self._clock()
