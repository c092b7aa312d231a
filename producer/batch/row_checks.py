"""Row checks: each row is checked as a single job would be, in about a hundredth of the time.

Most columns only set a value, as a seed or a text: it is converted to the type that the graph holds
and checked by the classes' rules. Values that decide what the graph needs (a model, a file, a link)
go through the whole intake, once for each combination of them that occurs (`plan_cache`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from producer.batch.plan_cache import CachedPlan, PlanCache
from producer.batch.row_shapes import RowShaper
from producer.batch.rows import Row as Row  # noqa: PLC0414 - where backends have found it
from producer.contract.batches import PackedRow, Places, RowShapes
from producer.contract.classes.files import FileInput
from producer.contract.classes.input_checks import Finding, Flaw, check_verdicts, flaw_of
from producer.contract.classes.input_rules import InputRule
from producer.contract.classes.save_names import check_kept_prefixes
from producer.contract.errors import InvalidInput
from producer.contract.graph.graph import Graph, GraphNode, literal
from producer.contract.graph.json_values import find_flaw
from producer.contract.jobs import InputFile
from producer.contract.metadata import check_metadata
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import check_count, check_size, resolve_params
from producer.contract.params.values import fit
from producer.contract.queues import Needs
from producer.intake.admission import Intake
from producer.intake.files import InputLike, cache_key, check_given, check_source
from producer.intake.request import Request

#: Values that a link cannot be.
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
#: Input files in the cache; beyond that it is emptied.
_REMEMBERED: Final = 10_000
#: Bad values whose error suggests similar names: that is slow, and a report never shows more.
_ADVISED: Final = 100


@dataclass(frozen=True)
class _Input:
    """A graph node's input that rows set.

    Args:
        own: its address with the graph node's id.
        present: the graph's own value.
        is_plain: whether its value cannot change who can run the graph, or which files it reads.
        names_file: whether its value must be a valid part of a file name.
        rules: the rule of each kind of node for it; empty where one kind accepts any value.
    """

    own: str
    name: str
    graph_node: GraphNode
    present: Any
    is_plain: bool
    names_file: bool
    rules: tuple[InputRule, ...]


class RowChecks:
    """Checks the rows of one batch.

    Args:
        request: what all rows share, as `resolved` returns it.
        places, shapes: needs and shapes of the rows that the batch has already.
        max_bytes: the limit on a row's params as JSON.
    """

    def __init__(
        self,
        intake: Intake,
        request: Request,
        graph: Graph,
        *,
        places: Places,
        shapes: RowShapes,
        max_bytes: int,
    ) -> None:
        self._intake = intake
        self._request = request
        self._graph = graph
        self._max_bytes = max_bytes
        self._addresses = Addresses(graph)
        self._inputs: dict[str, _Input] = {}
        self._advised = 0
        self._plans = PlanCache(intake, request, graph, self._addresses)
        self._files: dict[str, tuple[str, str]] = {}
        self._taken: dict[tuple[str, str | Path | bytes], InputFile] = {}
        self._places: dict[Needs, int] = {needs: number for number, needs in enumerate(places)}
        self._shaper = RowShaper(graph, self._addresses, self._shape_with, shapes)

    @property
    def places(self) -> Places:
        """The different needs of the rows checked so far; `PackedRow.place` is an index in it."""
        return tuple(self._places)

    @property
    def shapes(self) -> RowShapes:
        """The shapes of the rows checked so far."""
        return self._shaper.shapes

    def check(self, row: Row) -> PackedRow:
        """Return the row as it is stored.

        Raises:
            InvalidJob: it is no valid job; the field names its column.
            FleetUnreachable, StorageError: Redis, or S3 for input files, failed.
        """
        check_count(row.params)
        plain: dict[str, Any] = {}
        deciding: dict[str, Any] = {}
        flaws: dict[str, tuple[_Input, Flaw]] = {}
        for address, value in row.params.items():
            found = self._inputs.get(address) or self._find(address)
            if found.is_plain and type(value) in _SCALARS:
                plain[found.own] = fitted = self._fitted(found, address, value)
                if found.rules and (flaw := _flaw(found, fitted)):
                    flaws[address] = found, flaw
            elif find_flaw(value):
                resolve_params(self._graph, {address: value}, self._addresses)  # raises the error
            else:
                deciding[address] = value
        plan = self._plans.plan(deciding, row.inputs)
        if flaws or plan.refused:
            self._check_values(row, plain, plan, flaws)
        if len(plain) + len(plan.params) < len(row.params):
            resolve_params(
                self._graph, row.params, self._addresses
            )  # raises: two addresses name one input
        if row.metadata:
            check_metadata({**self._request.metadata, **row.metadata})
        params = {**plain, **plan.params} if deciding else plain
        check_size(params, self._max_bytes)
        self._shaper.add(params)
        return PackedRow(
            params=params,
            inputs=self._taken_for(plan, row),
            metadata=dict(row.metadata),
            place=self._places.setdefault(plan.needs, len(self._places)),
        )

    def _shape_with(self, params: Mapping[str, Any]) -> str:
        shared = self._request.params
        return self._intake.planner.shape(self._request, self._graph, {**shared, **params})

    def _find(self, address: str) -> _Input:
        graph_node, name = self._addresses.find(address)
        found = self._graph[graph_node]
        present = found["inputs"][name]
        is_bare = literal(present) is present
        self._inputs[address] = _Input(
            own=f"{graph_node}.{name}",
            name=name,
            graph_node=found,
            present=present,
            is_plain=is_bare and not self._intake.planner.decides(self._request, found, name),
            names_file=_names_file(found, name),
            rules=self._rules_at(found, name) if is_bare else (),
        )
        return self._inputs[address]

    def _rules_at(self, found: GraphNode, name: str) -> tuple[InputRule, ...]:
        return self._intake.planner.rules_at(self._request, found["class_type"], name)

    def _fitted(self, found: _Input, address: str, value: Any) -> Any:
        try:
            fitted = None if find_flaw(value) else fit(found.present, value)
        except ValueError:
            fitted = None
        if fitted is None:  # null, or a bad value, for which this raises
            fitted = resolve_params(self._graph, {address: value}, self._addresses)[found.own]
        if found.names_file:
            _check_name(found, address, fitted)
        return fitted

    def _check_values(
        self,
        row: Row,
        plain: Mapping[str, Any],
        plan: CachedPlan,
        flaws: Mapping[str, tuple[_Input, Flaw]],
    ) -> None:
        """Raise for a value that every node which could run the row's job would refuse."""
        for address, (found, flaw) in flaws.items():
            graph_node = found.own.removesuffix(f".{found.name}")
            if graph_node in plan.judged:
                finding = Finding(graph_node, found.name, flaw)
                self._advised += 1
                raise finding.error(
                    self._graph, field=f"params.{address}", advises=self._advised <= _ADVISED
                )
        # A bad value of the graph that only other rows replace is an error of the row, without a column.
        columns = {found.own: "" for found in self._inputs.values()}
        columns |= {self._inputs[address].own: address for address in row.params}
        check_verdicts(plan.refused, self._graph, columns, replaced=plain)

    def _taken_for(self, plan: CachedPlan, row: Row) -> dict[str, InputFile]:
        if not plan.files:
            return {}
        own = {self._place(address): value for address, value in row.inputs.items()}
        shared = {self._place(address): value for address, value in self._request.inputs.items()}
        taken = {}
        for file in plan.files:
            place = file.graph_node, file.input
            is_shared = place not in own
            value = shared[place] if is_shared else own[place]  # a row's own override
            self._check_source(file, value, plan, row, is_shared=is_shared)
            taken[file.address] = self._take(file, value)
        return taken

    def _check_source(
        self, file: FileInput, value: InputLike, plan: CachedPlan, row: Row, *, is_shared: bool
    ) -> None:
        """Raise for a param that names another file than the one that is handed in; one may override the batch's own."""

        def column(own: str) -> str:
            return next(address for address in row.params if self._inputs[address].own == own)

        if file.address in plan.params:
            check_source(file, value, self._graph, plan.params, column, is_shared=is_shared)
        elif is_shared:
            check_source(file, value, self._graph, self._request.params, str)

    def _take(self, file: FileInput, value: InputLike) -> InputFile:
        check_given(value, file, f"inputs.{file.address}")
        key = (file.address, cache_key(value))
        if key not in self._taken:
            if len(self._taken) >= _REMEMBERED:
                self._taken.clear()
            self._taken[key] = self._intake.take(file, value, self._request)
        return self._taken[key]

    def _place(self, address: str) -> tuple[str, str]:
        if address not in self._files:
            self._files[address] = self._addresses.find(address, among="inputs")
        return self._files[address]


def _flaw(found: _Input, value: Any) -> Flaw | None:
    """Return the first kind of node's flaw if every kind of node refuses the value, else None."""
    flaws = [flaw_of(value, rule) for rule in found.rules]
    return flaws[0] if all(flaws) else None


def resolved(request: Request, graph: Graph) -> Request:
    """Return *request* with its params addressed by graph node id, converted to the inputs' types.

    Raises:
        InvalidJob: a param that all rows share names no input, or its value does not fit there.
    """
    check_count(request.params)
    return replace(request, graph=graph, params=resolve_params(graph, request.params))


def _names_file(graph_node: GraphNode, name: str) -> bool:
    """Tell whether an input's value must be a valid part of a file name, by trying an invalid one."""
    try:
        check_kept_prefixes({"1": {**graph_node, "inputs": {name: "../up"}}})
    except InvalidInput:
        return True
    return False


def _check_name(found: _Input, address: str, value: Any) -> None:
    graph_node = found.own.removesuffix(f".{found.name}")
    try:
        check_kept_prefixes({graph_node: {**found.graph_node, "inputs": {found.name: value}}})
    except InvalidInput as exc:
        exc.field = f"params.{address}"
        raise
