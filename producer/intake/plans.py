"""Plans: what a request comes to, once it was checked against graph and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from producer.contract.classes.files import FileInput
from producer.contract.classes.input_checks import Verdicts
from producer.contract.graph.graph import Graph
from producer.contract.queues import Needs
from producer.intake.files import InputLike


@dataclass(frozen=True)
class Plan:
    """A request that was checked, except for the content of its input files.

    Args:
        graph: of the request, before the params are set.
        params: value by resolved address, `6.text`, of the type of its input.
        files: each input that is a file, with the file that the request gives for it.
        refused: the values that every able kind of node refuses, by kind; empty if one accepts them.
        judged: ids of the graph nodes whose values every able kind of node checks.
        shape: of the graph with the params set, cut to the graph nodes that its outputs need.
        needed: ids of these graph nodes.
        able: the nodes that can run it.
    """

    graph: Graph
    params: dict[str, Any]
    needs: Needs
    files: list[tuple[FileInput, InputLike]]
    refused: Verdicts = ()
    judged: frozenset[str] = frozenset()
    shape: str = ""
    needed: frozenset[str] = frozenset()
    able: Sequence[str] = ()
