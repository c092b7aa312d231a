"""Faults of a prompt while it runs, and when it ends."""

from __future__ import annotations

import errno
import os
import random
import time
import uuid
from threading import Event
from typing import Any, Final

from infra.standin.faults import Fault, FaultRule, Faults
from infra.standin.gpu import Gpu
from infra.standin.graph_nodes.class_declaration import OutOfMemory
from infra.standin.prompt_queue import Item

_TICK_S: Final = 0.02
_EXIT_CODE: Final = 1


class Forgotten(BaseException):
    """The running prompt is to be dropped: no further message, no history entry."""


class RunFaults:
    """Applies the rules for one prompt while it runs."""

    def __init__(self, faults: Faults, item: Item, *, gpu: Gpu, interrupted: Event) -> None:
        self._faults = faults
        self._gpu = gpu
        self._interrupted = interrupted
        self._names = names_of(item)

    def suffer(self, place: str) -> None:
        """Apply the rule for *place*, if one is due: hang, raise, interrupt, or end the process.

        Raises:
            Forgotten: the prompt is to be dropped.
            RuntimeError, OutOfMemory, OSError: as the graph node is to raise.
        """
        rule = self._faults.strike(place, *self._names)
        match rule:
            case FaultRule(do=Fault.HANG):
                self._hang(rule)
            case FaultRule(do=Fault.INTERRUPT):
                self._interrupted.set()
            case FaultRule(do=Fault.EXIT):
                os._exit(_EXIT_CODE)
            case FaultRule(do=Fault.FORGET):
                raise Forgotten
            case FaultRule(do=Fault.RAISE):
                raise RuntimeError(rule.body)
            case FaultRule(do=Fault.OOM):
                raise OutOfMemory("Allocation on device")
            case FaultRule(do=Fault.DISK_FULL):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def recorded(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Return the ended prompt's history entry after faults; None if it gets none."""
        rule = self._faults.strike("end", *self._names)
        match rule:
            case FaultRule(do=Fault.LOSE):
                return None
            case FaultRule(do=Fault.LATE):
                self._gpu.work(rule.seconds)
            case FaultRule(do=Fault.SHORT) if entry["outputs"]:
                lacking = list(entry["outputs"])[-1]
                del entry["outputs"][lacking]
        return entry

    def _hang(self, rule: FaultRule) -> None:
        deadline = time.monotonic() + (rule.seconds or float("inf"))
        while self._faults.holds(rule) and time.monotonic() < deadline:
            if self._interrupted.is_set() and not rule.deaf:
                return
            self._gpu.work(_TICK_S)


def names_of(item: Item) -> tuple[str, str]:
    """Return the names by which rules match a prompt: its id, and its job's or ""."""
    _, prompt_id, _, extra_data, _ = item
    # 0.3.64 accepts an `extra_data` of null.
    return prompt_id, str((extra_data or {}).get("job_id", ""))


def foreign_prompt(number: float, seconds: float) -> Item:
    """Return a prompt of another client, as if posted by hand, to run just before *number*."""
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0x336699},
        },
        "2": {
            "class_type": "ComfyFleetSleep",
            "inputs": {
                "image": ["1", 0],
                "seconds": seconds,
                "steps": 10,
                "preview": False,
                "nonce": random.randrange(2**31),
            },
        },
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "by hand"},
        },
    }
    return (number - 0.5, str(uuid.uuid4()), graph, {"client_id": uuid.uuid4().hex}, ["3"])
