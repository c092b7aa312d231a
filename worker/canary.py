"""A tiny prompt that shows whether a node executes anything: answering HTTP proves nothing."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
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
        is_watching: tells whether this worker waits for a prompt.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        *,
        node: str,
        patience_s: float,
        stopped: Event,
        is_watching: Callable[[str], bool],
    ) -> None:
        self._comfyui = comfyui
        self._node = node
        self._patience_s = patience_s
        self._stopped = stopped
        self._is_watching = is_watching
        self._in_the_way: set[str] = set()

    def fly(self, catalog: Catalog) -> bool:
        """Return whether the node executed it.

        False, which says nothing against the node: others' prompts kept it waiting, or the
        worker leaves.

        A node without the two core classes cannot be tested so; that it answers must do.

        Raises:
            NodeError: the node did not execute it, or does not answer.
        """
        graph = _graph(on_card=True)
        if not catalog.can_run(graph):
            graph = _graph(on_card=False)
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
            self._check_in_the_way()
            return False
        raise PromptStalled(self._node, f"a canary prompt did not end in {self._patience_s:g} s")

    def _check_in_the_way(self) -> None:
        """Judge what keeps a canary waiting: a person's prompt may take its time, ours may not.

        Raises:
            PromptStalled: a prompt of the fleet's, for which nobody waits any more, was there the
                last time as well. It was interrupted when it was given up.
        """
        ours = {p for p in self._comfyui.running_job_prompts() if not self._is_watching(p)}
        stuck, self._in_the_way = ours & self._in_the_way, ours
        if stuck:
            raise PromptStalled(self._node, f"prompt {min(stuck)} was given up, and does not end")


def _graph(*, on_card: bool) -> dict[str, Any]:
    """Return a tiny graph; EmptyImage is made by the CPU, ImageBlur works on the card.

    ComfyUI 0.3.64 and 0.33.0, `comfy_extras/nodes_post_processing.py`.
    """
    # A colour of its own each time: a cached graph is not executed.
    colour = random.randrange(1 << 24)  # noqa: S311 - no secret
    blur = {"image": ["1", 0], "blur_radius": 1, "sigma": 1.0}
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": colour},
        },
        **({"3": {"class_type": "ImageBlur", "inputs": blur}} if on_card else {}),
        "2": {
            "class_type": "PreviewImage",
            "inputs": {"images": ["3" if on_card else "1", 0]},
        },
    }
