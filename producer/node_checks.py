"""Whether nodes can be taken out, or restarted; else a refusal that names the mend."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.errors import InvalidJob
from producer.contract.nodes import Node, NodeState


def check_can_restart(node: Node) -> None:
    """Raise InvalidJob if nobody can restart the node's ComfyUI from here."""
    if not node.is_living:
        raise InvalidJob(
            f"the ComfyUI of node {node.name} cannot be restarted from here: no worker serves the node",
            field="node",
            advice=f"start one: comfyfleet worker --comfyui URL --name {node.name} --restart-command COMMAND",
        )
    if not node.can_restart:
        raise InvalidJob(
            f"the ComfyUI of node {node.name} cannot be restarted from here: its worker has no restart command",
            field="node",
            advice="start its worker with --restart-command 'systemctl restart comfyui', or what restarts it there",
        )


def check_last(nodes: Sequence[Node], names: set[str], *, confirmed: str) -> None:
    """Raise InvalidJob if a pool that has ready nodes would have none, unless that is meant."""
    ready = [node for node in nodes if node.state is NodeState.READY]
    left = {node.pool for node in ready if node.name not in names}
    for node in ready:
        if node.name in names and node.pool not in {*left, confirmed}:
            raise InvalidJob(
                f"no ready node of pool {node.pool} would be left without {node.name}",
                field="last_of",
                allowed=[node.pool],
                advice=f"name the pool to confirm it: {node.pool}",
            )
