"""Errors of nodes and of attempts on them; the tree is drawn in `producer.contract.errors`."""

from __future__ import annotations

from typing import Any, Final

from producer.contract.errors import FleetError, tidied

#: Most characters of a node's own message, which may be all that is known of a fault.
_LONGEST: Final = 2_000


class RunDeadlinePassed(FleetError):
    """The attempt took longer than the job's run_within."""

    def __init__(self, run_within_s: float) -> None:
        super().__init__(
            f"the attempt took longer than its {run_within_s:g} s",
            advice="submit it again with a longer run_within",
        )


class DeliveryFailed(FleetError):
    """The prompt rendered, and the worker failed to fetch or store it by a bug of its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"it was rendered, but the worker failed to store it: {reason[:200]}",
            advice="this is a bug of the worker; its log has the whole of it",
        )


class CopyFailed(FleetError):
    """A copy of an artifact cannot be made as it was asked for.

    Args:
        is_final: whether another try would meet the same.
    """

    def __init__(self, message: str, *, is_final: bool = True) -> None:
        super().__init__(message)
        self.is_final = is_final


class NodeError(FleetError):
    """Something is wrong with a node, or with how it ran our prompt.

    `detail` is the message without the node's name.
    """

    def __init__(self, node: str, message: str, *, advice: str | None = None) -> None:
        # On one line, so that a node cannot forge log lines.
        message = tidied(" ".join(message.splitlines()), longest=_LONGEST)
        super().__init__(f"node {node}: {message}", advice=advice)
        self.node = node
        self.detail = message


class NodeUnreachable(NodeError):
    """Nobody answers at the node's address."""


class NodeTimeout(NodeError):
    """The node took the connection, then was silent for too long."""


class NodeFault(NodeError):
    """The node answered, but not as ComfyUI does."""


class SpoolFault(NodeFault):
    """The disk of the node's worker cannot be written to."""


class RequestTooLarge(NodeError):
    """An input file or a graph is larger than the node, or a proxy before it, accepts.

    Another node may accept it: each has a limit of its own.

    Args:
        graph_node: the id of the one that reads the file; None for a whole graph.
    """

    def __init__(self, node: str, what: str, *, graph_node: str | None = None) -> None:
        super().__init__(
            node,
            f"{what} is larger than it takes, or than a proxy before it takes (413)",
            advice="raise the limit: ComfyUI's --max-upload-size (MB), or the proxy's, as nginx'"
            " client_max_body_size",
        )
        self.graph_node = graph_node


class PromptRejected(NodeError):
    """ComfyUI refused the graph, or dropped a part of it.

    Args:
        node_errors: ComfyUI's own list, `{graph_node_id: {"class_type": str, "errors": [...]}}`.
    """

    def __init__(self, node: str, message: str, node_errors: dict[str, Any]) -> None:
        super().__init__(node, message)
        self.node_errors = node_errors


class NodeLacks(NodeError):
    """ComfyUI refused the graph for a class or model that it lacks and another node has."""


class InputRefused(NodeLacks):
    """ComfyUI refused the graph for nothing but input files that its worker had just uploaded."""


class PromptFailed(NodeError):
    """A graph node raised while it ran.

    Args:
        graph_node: its id.
        exception_type: the Python class ComfyUI names, as `torch.OutOfMemoryError`.
        class_type: the graph node's class, where it is known.
    """

    def __init__(
        self,
        node: str,
        message: str,
        *,
        graph_node: str | None,
        exception_type: str,
        class_type: str | None = None,
    ) -> None:
        super().__init__(node, message)
        self.graph_node = tidied(graph_node) if graph_node else graph_node
        self.exception_type = exception_type
        self.class_type = class_type


class OutputUnwritten(PromptFailed):
    """The prompt succeeded, but the companion could not write a file that it had promised."""


class PromptIncomplete(NodeError):
    """The prompt succeeded, but a graph node that saves files lists none."""

    def __init__(self, node: str, graph_node: str) -> None:
        super().__init__(node, f"graph node {graph_node} saved nothing, yet the prompt succeeded")
        self.graph_node = graph_node


class PromptInterrupted(NodeError):
    """The prompt was interrupted at the node, and not by its own attempt."""


class PromptLost(NodeError):
    """The node knows the prompt neither as queued nor as finished: it restarted, or forgot."""


class PromptStalled(NodeError):
    """The prompt is at the node, but has shown no progress for too long."""


class ExecutorEnded(PromptStalled):
    """The thread of ComfyUI that executes has ended while the prompt ran, as the companion says."""


class HandedBack(NodeError):
    """The prompt waited in its node's queue while another node was free; it was withdrawn."""


class NodeLeaves(NodeError):
    """The node is taken out of the fleet while it runs the job."""


class LeaseLapsed(NodeError):
    """The node's worker fell silent for longer than a lease; another attempt takes over."""


class WorkerDied(NodeError):
    """Workers of the node died of one attempt so often that nobody takes it up once more."""

    def __init__(self, node: str, deaths: int) -> None:
        super().__init__(
            node,
            f"its worker died {deaths} times while it handled this attempt",
            advice="look at the worker's log, and at its memory: is an output too large for it?",
        )


class OutputDamaged(NodeError):
    """A file the node promised came truncated, empty, undecodable or not at all."""


class OutputMissing(OutputDamaged):
    """A file the node promised is not there."""


class OutputPending(NodeFault):
    """The companion has not written a file yet.

    Args:
        written: how many files it has written so far; None if it does not say.
    """

    def __init__(self, node: str, message: str, *, written: str | None) -> None:
        super().__init__(node, message)
        self.written = written
