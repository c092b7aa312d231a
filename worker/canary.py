"""A tiny prompt that shows whether a node executes anything: answering HTTP proves nothing."""

from __future__ import annotations

import random
import time
import uuid
from threading import Event
from typing import Any, Final

from producer.contract.catalog import Catalog
from producer.contract.errors import NodeFault, PromptStalled
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.history import Outcome

_POLL_S: Final = 0.1


class Canary:
    """Sends canaries to one node.

    Args:
        patience_s: how long one may take on an idle node.
        stopped: ends the wait early.
    """

    def __init__(self, comfyui: ComfyUI, *, node: str, patience_s: float, stopped: Event) -> None:
        self._comfyui = comfyui
        self._node = node
        self._patience_s = patience_s
        self._stopped = stopped

    def fly(self, catalog: Catalog) -> bool:
        """Return whether the node executed it.

        False, which says nothing against the node: others' prompts kept it waiting, or the
        worker leaves.

        A node without the two core classes cannot be tested so; that it answers must do.

        Raises:
            NodeError: the node did not execute it, or does not answer.
        """
        graph = _graph()
        if not catalog.can_run(graph):
            return True
        prompt_id = str(uuid.uuid4())
        # A client id nobody listens under: without one, every socket would hear of it.
        self._comfyui.queue_prompt(graph, prompt_id=prompt_id, client_id=str(uuid.uuid4()))
        try:
            return self._has_ended_well(prompt_id)
        finally:
            self._comfyui.cancel(prompt_id)
            self._comfyui.forget(prompt_id)

    def _has_ended_well(self, prompt_id: str) -> bool:
        deadline = time.monotonic() + self._patience_s
        while time.monotonic() < deadline and not self._stopped.wait(_POLL_S):
            entry = self._comfyui.history(prompt_id)
            if entry is None:
                continue
            if entry.outcome is Outcome.SUCCEEDED:
                return True
            raise NodeFault(self._node, f"a canary prompt {entry.outcome}")
        if self._stopped.is_set():
            return False
        if self._comfyui.find_prompt(prompt_id) is PromptPlace.QUEUED and self._comfyui.is_busy():
            return False
        raise PromptStalled(self._node, f"a canary prompt did not end in {self._patience_s:g} s")


def _graph() -> dict[str, Any]:
    # A colour of its own each time: a cached graph is not executed.
    colour = random.randrange(1 << 24)  # noqa: S311 - no secret
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": colour},
        },
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
