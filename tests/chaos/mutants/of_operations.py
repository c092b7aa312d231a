"""Seeded bugs of what persons want of nodes, and of copies of what jobs make."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.mutation import mutant

OF_OPERATIONS: Final = (
    mutant(
        "let a drained node take work",
        "drained",
        "I28",
        (
            "worker/node/agent.py",
            "self._gate.set_takes(takes=self._wishes.is_none)",
            "self._gate.set_takes(takes=True)",
        ),
    ),
    mutant(
        "tell a worker nothing of its pool",
        "pool_paused",
        "I28",
        (
            "worker/node/wishes.py",
            "wanted = (self._wanted.quarantine, self._wanted.own, self._wanted.pool)",
            "wanted = (self._wanted.quarantine, self._wanted.own, None)",
        ),
    ),
    mutant(
        "forget the copies of a job that has succeeded",
        "copied",
        "I29",
        (
            "producer/store/lua/_endings.lua",
            "    if has_copies then\n        list_copies(id)\n    end\n",
            "",
        ),
    ),
    mutant(
        "note a copy as done that was not put",
        "copied",
        "I29",
        (
            "worker/copies/copying.py",
            "            self._put(made, copy.bucket, key, metadata=_said(job, deliver, artifact))\n",
            "",
        ),
    ),
)
