"""Gives the next submission of each thread what the library does not let one choose in every version."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any


class _Presets:
    """Stands before a part of the producer; fields are set for the calling thread until they are set anew."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self._wanted = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def preset(self, **fields: Any) -> None:
        """Have the next submissions of this thread get these fields."""
        self._wanted.fields = fields

    @property
    def fields(self) -> dict[str, Any]:
        """What this thread has preset."""
        return getattr(self._wanted, "fields", {})


class PresetIntake(_Presets):
    """Of a single job: its id, its batch and its hook."""

    def check(self, request: Any) -> Any:
        submission, template = self._part.check(request)
        return replace(submission, **self.fields), template


class PresetBatches(_Presets):
    """Of a batch: its hook."""

    def open(self, batch: Any, spec: Any, **how: Any) -> Any:
        return self._part.open(batch, replace(spec, **self.fields), **how)
