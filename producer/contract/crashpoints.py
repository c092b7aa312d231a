"""Crash points: named places in the code where a test may kill the process, as a power cut would.

`COMFYFLEET_CRASHPOINT=NAME`, or `NAME:N` for the N-th passing, ends the process there at once.
Without the variable a crash point does nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from threading import Lock
from typing import Final

#: Every crash point, with what has been done there and what has not.
CRASHPOINTS: Final = {
    "submit.recorded": "the job has its record and its message, nobody was told",
    "claim.done": "the job is ours, nothing was done for it",
    "inputs.brought": "its input files are at the node, no prompt was posted",
    "prompt.posted": "the prompt is queued, nobody waits for it",
    "render.ended": "the prompt has ended, nothing was fetched",
    "output.fetched": "an output is on our disk, not in S3",
    "artifact.stored": "an artifact is in S3, its manifest perhaps, the record does not know",
    "manifest.stored": "the manifest is in S3, its last artifact perhaps, the record does not know",
    "commit.done": "the job has succeeded, the node still remembers its prompt",
    "requeue.done": "the job waits for its next attempt, no message was sent",
    "upkeep.interrupted": "a lapsed attempt's prompt was stopped, its job not requeued",
    "upkeep.requeued": "a lapsed job waits for its next attempt, no message was sent",
    "batch.added": "some rows of a batch are stored, it is not sealed",
    "batch.fed": "rows of a batch have their records, no message was sent",
    "action.begun": "a turn of an action is written down, nothing was done with its jobs",
    "action.done": "the jobs of a turn are as it wants them, nobody has noted that",
    "webhook.recorded": "an end has left the outbox and is a delivery, nothing was sent",
    "webhook.sent": "its receiver has a message, nobody has noted that",
    "jobs.taken_back": "a predecessor's jobs are ours, nobody works on them",
}

#: The exit status that a shell reports for a process killed by SIGKILL.
_KILLED: Final = 137

_wanted, _, _passing = os.environ.get("COMFYFLEET_CRASHPOINT", "").partition(":")
_passed: Counter[str] = Counter()
_lock = Lock()


def crashpoint(name: str) -> None:
    """End the process if the variable names this crash point and passing."""
    if name != _wanted:
        return
    with _lock:
        _passed[name] += 1
        if _passed[name] == int(_passing or 1):
            os._exit(_KILLED)
