"""Whether nodes and pools are there, and whether nodes can be taken out, or restarted; else a refusal that names the mend."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.near_names import near_names
from producer.contract.nodes import Node, NodeState
from producer.intake.request import check_place


def check_known(names: Sequence[str], known: Sequence[str], *, what: str) -> None:
    """Raise InvalidJob if one of *names* is none of the *known* ones; *what* they are of: `node` or `pool`."""
    for name in names:
        if name not in known:
            near = near_names(name, known)
            hint = f"did you mean {near[0]}?" if near else f"`comfyfleet {what} list` has all"
            raise InvalidJob(
                f"there is no {what} {printable(name)}",
                field=what,
                allowed=known,
                advice=hint,
            )


def node_named(name: str, nodes: Sequence[Node]) -> Node:
    """Return the node of a name.

    Raises:
        InvalidJob: there is none.
    """
    try:
        check_place(nodes, pool=None, pin=checked(name, str, field="node"))
    except InvalidJob as exc:
        exc.field = "node"
        raise
    for node in nodes:
        if node.name == name:
            return node
    raise InvalidJob(f"there is no node {name!r}: the fleet has none yet", field="node")


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
