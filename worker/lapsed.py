"""What a worker does about attempts of others whose lease has run out; upkeep asks."""

from __future__ import annotations

import logging
from typing import Final

from producer.contract.errors import LeaseLapsed, NodeError
from producer.contract.jobs import Job
from producer.store.node_store import NodeStore
from worker.comfyui.client import ComfyUI
from worker.retry import Decision, decide

_log = logging.getLogger(__name__)

#: How long a node may take to answer, s: the others wait meanwhile.
_READ_S: Final = 5.0


def interrupt(job: Job, nodes: NodeStore) -> None:
    """Stop a lapsed attempt's prompt on its node, if that still answers."""
    node = next((node for node in nodes.nodes() if node.name == job.node), None)
    if node is None or job.prompt_id is None:
        return
    try:
        with ComfyUI(node.url, node=node.name, read_s=_READ_S) as comfyui:
            comfyui.cancel(job.prompt_id)
    except NodeError as exc:
        _log.info("job %s: its old prompt was not interrupted: %s", job.id, exc)


def judge(job: Job) -> Decision:
    """Decide what becomes of a job whose lease has run out."""
    error = LeaseLapsed(str(job.node), "its worker fell silent for longer than a lease")
    return decide(error, job, node=job.node)
