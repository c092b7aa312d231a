"""What rows decide about their graph, each combination of it planned once.

Rows by the thousand choose among a few models, or the same link. What such a choice comes to is
remembered: not the whole plan, whose files may be pictures, nor an error with its traceback, which
would keep the row that met it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from producer.contract.classes.files import FileInput
from producer.contract.classes.input_checks import Verdicts
from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import Graph
from producer.contract.params.addresses import Addresses
from producer.contract.queues import Needs
from producer.intake.admission import Intake
from producer.intake.files import InputLike
from producer.intake.request import Request

#: What is remembered at most, as a number of combinations and as characters of what they set;
#: beyond either we begin anew.
_REMEMBERED: Final = 10_000
_REMEMBERED_CHARS: Final = 4 << 20


@dataclass(frozen=True)
class Combination:
    """What a combination of deciding values comes to.

    Args:
        params: these values by id, as the inputs take them.
        files: what the graph reads.
        refused, judged: as of `Plan`, with the graph's own values where rows set others.
    """

    params: Mapping[str, Any]
    needs: Needs
    files: tuple[FileInput, ...]
    refused: Verdicts = ()
    judged: frozenset[str] = frozenset()


class Combinations:
    """Plans the combinations that occur in the rows of one batch.

    Args:
        request: what all rows share; its params by id, as the inputs take them.
    """

    def __init__(
        self, intake: Intake, request: Request, graph: Graph, addresses: Addresses
    ) -> None:
        self._intake = intake
        self._request = request
        self._graph = graph
        self._addresses = addresses
        self._known: dict[str, Combination | InvalidJob] = {}
        self._chars = 0

    def plan(self, deciding: Mapping[str, Any], inputs: Mapping[str, InputLike]) -> Combination:
        """Return what *deciding*, by address, comes to with files at the addresses of *inputs*.

        Raises:
            InvalidJob: no job can have it; the field names a column where one is at fault.
        """
        key = repr((deciding, *inputs)) if deciding or inputs else ""
        known = self._known.get(key)
        if known is None:
            known = self._planned(deciding, inputs)
            self._remember(key, known)
        if isinstance(known, InvalidJob):
            raise copy.copy(known)
        return known

    def _remember(self, key: str, found: Combination | InvalidJob) -> None:
        if len(self._known) >= _REMEMBERED or self._chars + len(key) > _REMEMBERED_CHARS:
            self._known.clear()
            self._chars = 0
        self._known[key] = found
        self._chars += len(key)

    def _planned(
        self, deciding: Mapping[str, Any], inputs: Mapping[str, InputLike]
    ) -> Combination | InvalidJob:
        own = dict.fromkeys(".".join(self._addresses.find(address)) for address in deciding)
        shared = {name: value for name, value in self._request.params.items() if name not in own}
        try:
            plan = self._intake.plan(
                replace(
                    self._request,
                    params={**shared, **deciding},
                    inputs={**self._request.inputs, **inputs},
                ),
                self._graph,
                self._addresses,
            )
        except InvalidJob as exc:
            if exc.field == "graph":
                self._blame(exc, deciding)
            return copy.copy(exc)
        return Combination(
            params={address: plan.params[address] for address in own},
            needs=plan.needs,
            files=tuple(file for file, _ in plan.files),
            refused=plan.refused,
            judged=plan.judged,
        )

    def _blame(self, error: InvalidJob, deciding: Mapping[str, Any]) -> None:
        """Name the row's column where the graph is at fault only with what the row sets."""
        for address in deciding:
            graph_node, _ = self._addresses.find(address)
            if graph_node == error.graph_node:
                error.field = f"params.{address}"
