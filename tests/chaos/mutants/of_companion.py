"""Seeded bugs of how a worker deals with pictures that are still to be encoded."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

OF_COMPANION: Final = (
    mutant(
        "charge a job for pictures that went with their node",
        "killed_with_pictures",
        "I11",
        (
            "worker/attempt/kept_outputs.py",
            'raise PromptLost(self._node, f"it was restarted, and no longer has {output}")',
            'raise RuntimeError(f"it was restarted, and no longer has {output}")',
        ),
    ),
    mutant(
        "charge a job for the full disk on which its picture was to lie",
        "full_disk",
        "I11",
        (
            "worker/attempt/error_signs.py",
            '            r"No space left on device|Errno 28\\b",\n',
            "",
        ),
    ),
    mutant(
        "wait for ever for a picture that does not come",
        "never_comes",
        "I2",
        (
            "worker/attempt/kept_outputs.py",
            "return now - self._written_at < _WRITES_WITHIN_S",
            "return True",
        ),
    ),
    mutant(
        "wait for a picture of a job that was cancelled",
        "cancelled_with_pictures",
        "I2",
        (
            "worker/attempt/lease.py",
            "        if self.cancel.is_set():\n            raise JobCancelled\n",
            "",
        ),
    ),
)
