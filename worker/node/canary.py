"""A tiny prompt that shows whether a node executes anything: answering HTTP proves nothing."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Event
from typing import Any, Final

from producer.contract.classes.catalog import Catalog
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.history import Outcome, OutputFile
from worker.errors import NodeFault, PromptStalled

_POLL_S: Final = 0.1
#: By this in its `extra_data` one canary knows another.
_MARK: Final = "comfyfleet_canary"


class Canary:
    """Sends canaries to one node.

    Args:
        timeout_s: how long one may take on an idle node.
        stopped: ends the wait early.
        watched: returns job and attempt of each prompt that the worker waits for.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        *,
        node: str,
        timeout_s: float,
        stopped: Event,
        watched: Callable[[], Collection[tuple[str, int]]] = tuple,
    ) -> None:
        self._comfyui = comfyui
        self._node = node
        self._timeout_s = timeout_s
        self._stopped = stopped
        self._watched = watched
        self._abandoned: set[str] = set()  # what ran before the last canary, for nobody

    def run(self, catalog: Catalog) -> bool:
        """Return whether the node executed it.

        False, which says nothing against the node: others' prompts kept it waiting, or the
        worker leaves. A prompt of ours for which nobody waits any more may do so once.

        A node without the two core classes cannot be tested so; that it answers must do.

        Raises:
            NodeError: the node did not execute it, or does not answer.
        """
        graph = _graph(uses_card=catalog.is_core(_ON_THE_CARD))
        if not catalog.can_run(graph):
            return True
        prompt_id = str(uuid.uuid4())
        # A client id nobody listens under: without one, every socket would hear of it.
        self._comfyui.queue_prompt(
            graph,
            prompt_id=prompt_id,
            client_id=str(uuid.uuid4()),
            extra_data={_MARK: True},
        )
        try:
            return self._has_succeeded(prompt_id)
        finally:
            self._comfyui.cancel(prompt_id)
            self._comfyui.delete_history(prompt_id)

    def _has_succeeded(self, prompt_id: str) -> bool:
        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline and not self._stopped.wait(_POLL_S):
            entry = self._comfyui.history(prompt_id)
            if entry is None:
                continue
            if entry.outcome is Outcome.SUCCEEDED:
                self._abandoned.clear()
                self._check_written(entry.outputs)
                return True
            why = f": {entry.error.message}" if entry.error else ""
            raise NodeFault(self._node, f"a canary prompt {entry.outcome}{why}")
        if self._stopped.is_set():
            return False
        if self._comfyui.find_prompt(prompt_id) is PromptPlace.QUEUED:
            running = self._comfyui.running()
            self._check_not_stuck(running)
            if running:
                return False
        raise PromptStalled(self._node, f"a canary prompt did not end in {self._timeout_s:g} s")

    def _check_written(self, outputs: Iterable[OutputFile]) -> None:
        # The companion writes pictures after their prompt has ended.
        for output in outputs:
            with self._comfyui.view(output):
                pass

    def _check_not_stuck(self, running: Mapping[str, Mapping[str, Any]]) -> None:
        """Give up if what kept the last canary waiting, and for which nobody waits, still does.

        A person's own prompt may take as long as it likes.
        """
        before = self._abandoned
        self._abandoned = {prompt for prompt, extra in running.items() if self._is_abandoned(extra)}
        if stuck := before & self._abandoned:
            raise PromptStalled(
                self._node,
                f"prompt {min(stuck)} neither ends nor can be stopped; only a restart of ComfyUI helps",
            )

    def _is_abandoned(self, extra_data: Mapping[str, Any]) -> bool:
        attempt = (extra_data.get("job_id"), extra_data.get("job_attempt"))
        is_ours = attempt[0] is not None or _MARK in extra_data
        return is_ours and attempt not in self._watched()


#: It computes on the card (0.3.64 and 0.33.0, `comfy_extras/nodes_post_processing.py`); to make an
#: empty picture and to save it needs none.
_ON_THE_CARD: Final = "ImageBlur"


def _graph(*, uses_card: bool) -> dict[str, Any]:
    # A colour of its own each time: a cached graph is not executed.
    blur = {"image": ["1", 0], "blur_radius": 1, "sigma": 1.0}
    colour = random.randrange(1 << 24)  # noqa: S311 - no secret
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": colour},
        },
        **({"2": {"class_type": _ON_THE_CARD, "inputs": blur}} if uses_card else {}),
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2" if uses_card else "1", 0]}},
    }
