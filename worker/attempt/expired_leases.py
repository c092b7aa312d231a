"""Expired leases of other workers' attempts, for upkeep: interrupts the prompt, decides about the job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from producer.contract.config.node_address import NodeAddress
from producer.contract.errors import InvalidSettings
from producer.contract.jobs import Job
from producer.store.node_store import NodeStore
from worker.attempt.retry import Decision, decide
from worker.comfyui.client import ComfyUI
from worker.errors import LeaseLapsed, NodeError, NodeUnreachable

_log = logging.getLogger(__name__)

#: How long a node may take to answer, s: the others wait meanwhile.
_READ_S: Final = 5.0
#: What takes longer was silence; a host that is there refuses a connection at once, s.
_SILENCE_S: Final = 1.0
#: How long the silent are not asked again: a host that dies leaves many attempts to one sweep, s.
_LEFT_ALONE_S: Final = 15.0


class PromptInterrupter:
    """Stops prompts of lapsed attempts on their nodes, as far as those still answer.

    One that is silent costs its timeout once in a while, not once an attempt: the whole fleet
    waits for upkeep. What is not interrupted renders to its end, and can commit nothing.

    Args:
        own: the worker's own node. A node behind a proxy of another host has credentials that this
            worker does not know, and is not interrupted.
    """

    def __init__(
        self,
        nodes: NodeStore,
        *,
        own: NodeAddress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._own = own
        self._clock = clock
        self._silent: dict[str, float] = {}  # host, or URL of one ComfyUI; since when

    def __call__(self, job: Job) -> None:
        """Stop a lapsed attempt's prompt; never raises NodeError."""
        node = next((node for node in self._nodes.nodes() if node.name == job.node), None)
        if node is None or job.prompt_id is None or self._is_silent(node.url):
            return
        began = self._clock()
        try:
            where = self._own.other(node.url)
            with ComfyUI(where, node=node.name, read_s=_READ_S) as comfyui:
                comfyui.cancel(job.prompt_id)
        except (NodeError, InvalidSettings) as exc:
            _log.info("job %s: its old prompt was not interrupted: %s", job.id, exc)
            if self._clock() - began > _SILENCE_S:
                # One that takes connections and is silent then says nothing of other ComfyUIs on its host.
                away = _host(node.url) if isinstance(exc, NodeUnreachable) else node.url
                self._silent[away] = self._clock()

    def _is_silent(self, url: str) -> bool:
        since = max(self._silent.get(where, float("-inf")) for where in (url, _host(url)))
        return self._clock() - since < _LEFT_ALONE_S


def decide_expired(job: Job) -> Decision:
    """Decide what becomes of a job whose lease has run out."""
    error = LeaseLapsed(str(job.node), "its worker fell silent for longer than a lease")
    return decide(error, job, node=job.node)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or url
    except ValueError:  # no URL at all: it was written by another version, or by hand
        return url
