"""Plan cache: rows that set the same models, files and links in their graph are planned once.

Thousands of rows may choose among a few models. A cached plan holds needs, files and verdicts only:
not the whole plan, whose files may be pictures, nor an error's traceback, which would keep the row
that caused it in memory.
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

#: Bounds of the cache: entries, and characters of their keys. Beyond either it is emptied.
_REMEMBERED: Final = 10_000
_REMEMBERED_CHARS: Final = 4 << 20


@dataclass(frozen=True)
class CachedPlan:
    """The plan for one combination of deciding values: those that decide who can run the graph.

    Args:
        params: these values by address with the graph node's id, converted to the inputs' types.
        files: the inputs of the graph that name files.
        refused, judged: as of `Plan`, computed with the graph's own values where rows set others.
    """

    params: Mapping[str, Any]
    needs: Needs
    files: tuple[FileInput, ...]
    refused: Verdicts = ()
    judged: frozenset[str] = frozenset()


class PlanCache:
    """Plans each combination of deciding values that occurs in the rows of one batch.

    Args:
        request: what all rows share, as `resolved` returns it.
    """

    def __init__(
        self, intake: Intake, request: Request, graph: Graph, addresses: Addresses
    ) -> None:
        self._intake = intake
        self._request = request
        self._graph = graph
        self._addresses = addresses
        self._known: dict[str, CachedPlan | InvalidJob] = {}
        self._chars = 0

    def plan(self, deciding: Mapping[str, Any], inputs: Mapping[str, InputLike]) -> CachedPlan:
        """Return the plan for the values *deciding*, by address, with files at the addresses of *inputs*.

        Raises:
            InvalidJob: no node can run it; the field names the column at fault, if there is one.
        """
        key = repr((deciding, *inputs)) if deciding or inputs else ""
        known = self._known.get(key)
        if known is None:
            known = self._planned(deciding, inputs)
            self._remember(key, known)
        if isinstance(known, InvalidJob):
            raise copy.copy(known)
        return known

    def _remember(self, key: str, found: CachedPlan | InvalidJob) -> None:
        if len(self._known) >= _REMEMBERED or self._chars + len(key) > _REMEMBERED_CHARS:
            self._known.clear()
            self._chars = 0
        self._known[key] = found
        self._chars += len(key)

    def _planned(
        self, deciding: Mapping[str, Any], inputs: Mapping[str, InputLike]
    ) -> CachedPlan | InvalidJob:
        own = dict.fromkeys(".".join(self._addresses.find(address)) for address in deciding)
        shared = {name: value for name, value in self._request.params.items() if name not in own}
        try:
            plan = self._intake.planner.plan(
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
        return CachedPlan(
            params={address: plan.params[address] for address in own},
            needs=plan.needs,
            files=tuple(file for file, _ in plan.files),
            refused=plan.refused,
            judged=plan.judged,
        )

    def _blame(self, error: InvalidJob, deciding: Mapping[str, Any]) -> None:
        """Set the error's field to the row's column if the row sets a value in the graph node at fault."""
        for address in deciding:
            graph_node, _ = self._addresses.find(address)
            if graph_node == error.graph_node:
                error.field = f"params.{address}"
