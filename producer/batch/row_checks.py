"""From a row to what its job sets: checked as a single job would be, at a hundredth of the price.

Most columns only fill in a value: a seed, a text. Such a value is fitted to what the graph holds, and
no more. Those that decide what the graph needs (a model, a file, a link) go through the whole
intake, once for each combination of them that occurs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

from producer.batch.combinations import Combination, Combinations
from producer.contract.batches import PackedRow, Places
from producer.contract.classes.files import FileInput
from producer.contract.classes.input_checks import Finding, Flaw, check_verdicts, flaw_of
from producer.contract.classes.input_rules import InputRule
from producer.contract.classes.save_names import check_kept_prefixes
from producer.contract.errors import InvalidInput, InvalidJob
from producer.contract.graph.graph import Graph, GraphNode, literal
from producer.contract.graph.json_values import find_flaw
from producer.contract.jobs import InputFile
from producer.contract.metadata import check_metadata
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import check_count, check_size, resolve_params
from producer.contract.params.values import fit
from producer.contract.queues import Needs
from producer.intake.admission import Intake
from producer.intake.files import InputLike, check_given
from producer.intake.request import Request

#: Values that a link cannot be.
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
#: Files that are remembered; beyond that we begin anew.
_REMEMBERED: Final = 10_000
#: Bad values for which something is looked for that is like them: more are never shown.
_ADVISED: Final = 100


@dataclass(frozen=True)
class Row:
    """What one job of a batch has for itself; a bare mapping stands for its params.

    Args:
        params: values by address, as of `Producer.submit`; they go before those that all rows share.
        inputs: files by address.
        metadata: text that stays with the job.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputLike] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


#: A row, its params alone, or why it could not be read.
RowLike = Row | Mapping[str, Any] | InvalidJob


def as_row(given: object) -> Row:
    """Return a row in full; a bare mapping is its params.

    Raises:
        InvalidJob: it is neither.
    """
    if isinstance(given, Mapping):
        return Row(params=given)
    if not isinstance(given, Row):
        raise _no_row(f"a row must be a mapping or a Row, not {type(given).__name__}")
    for name in ("params", "inputs", "metadata"):
        if not isinstance(part := getattr(given, name), Mapping):
            raise _no_row(f"the {name} of a row must be a mapping, not {type(part).__name__}")
    return given


def _no_row(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")


@dataclass(frozen=True)
class _Input:
    """An input that rows set.

    Args:
        own: its address by the graph node's id.
        present: what the graph holds there.
        is_plain: whether its value decides nothing but itself.
        names_file: whether its value must be good for the name of a file.
        rules: what each kind of node takes there; empty where one takes anything.
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
        request: what all rows share; its params by id, as the inputs take them.
        places: those that the batch has already.
        max_bytes: so much may the params of a row come to.
    """

    def __init__(
        self, intake: Intake, request: Request, graph: Graph, *, places: Places, max_bytes: int
    ) -> None:
        self._intake = intake
        self._request = request
        self._graph = graph
        self._max_bytes = max_bytes
        self._addresses = Addresses(graph)
        self._inputs: dict[str, _Input] = {}
        self._advised = 0
        self._combinations = Combinations(intake, request, graph, self._addresses)
        self._files: dict[str, tuple[str, str]] = {}
        self._taken: dict[tuple[str, InputLike], InputFile] = {}
        self._places: dict[Needs, int] = {needs: number for number, needs in enumerate(places)}

    @property
    def places(self) -> Places:
        """What the rows need of a node, so far."""
        return tuple(self._places)

    def check(self, row: Row) -> PackedRow:
        """Return the row as it is stored.

        Raises:
            InvalidJob: it cannot become a job; the field names its column.
            FleetUnreachable, StorageError: Redis, or S3 when there are input files.
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
                resolve_params(self._graph, {address: value}, self._addresses)  # says it in words
            else:
                deciding[address] = value
        plan = self._combinations.plan(deciding, row.inputs)
        if flaws or plan.refused:
            self._check_values(row, plain, plan, flaws)
        if len(plain) + len(plan.params) < len(row.params):
            resolve_params(
                self._graph, row.params, self._addresses
            )  # names the two addresses of one input
        if row.metadata:
            check_metadata({**self._request.metadata, **row.metadata})
        params = {**plain, **plan.params} if deciding else plain
        check_size(params, self._max_bytes)
        return PackedRow(
            params=params,
            inputs=self._taken_for(plan.files, row),
            metadata=dict(row.metadata),
            place=self._places.setdefault(plan.needs, len(self._places)),
        )

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
            is_plain=is_bare and not self._intake.decides(self._request, found, name),
            names_file=_names_file(found, name),
            rules=self._rules_at(found, name) if is_bare else (),
        )
        return self._inputs[address]

    def _rules_at(self, found: GraphNode, name: str) -> tuple[InputRule, ...]:
        return self._intake.rules_at(self._request, found["class_type"], name)

    def _fitted(self, found: _Input, address: str, value: Any) -> Any:
        try:
            fitted = None if find_flaw(value) else fit(found.present, value)
        except ValueError:
            fitted = None
        if fitted is None:  # null, or something wrong, which this says in words
            fitted = resolve_params(self._graph, {address: value}, self._addresses)[found.own]
        if found.names_file:
            _check_name(found, address, fitted)
        return fitted

    def _check_values(
        self,
        row: Row,
        plain: Mapping[str, Any],
        plan: Combination,
        flaws: Mapping[str, tuple[_Input, Flaw]],
    ) -> None:
        """Refuse what every node would refuse that could run the row's job."""
        for address, (found, flaw) in flaws.items():
            graph_node = found.own.removesuffix(f".{found.name}")
            if graph_node in plan.judged:
                finding = Finding(graph_node, found.name, flaw)
                self._advised += 1
                raise finding.error(
                    self._graph, field=f"params.{address}", advises=self._advised <= _ADVISED
                )
        # What other rows replace is this row's own fault, as a whole: a field of no column.
        columns = {found.own: "" for found in self._inputs.values()}
        columns |= {self._inputs[address].own: address for address in row.params}
        check_verdicts(plan.refused, self._graph, columns, replaced=plain)

    def _taken_for(self, files: Sequence[FileInput], row: Row) -> dict[str, InputFile]:
        if not files:
            return {}
        given: dict[tuple[str, str], InputLike] = {}
        for inputs in (self._request.inputs, row.inputs):  # a row's own go first
            given |= {self._place(address): value for address, value in inputs.items()}
        return {
            file.address: self._take(file, given[file.graph_node, file.input]) for file in files
        }

    def _take(self, file: FileInput, value: InputLike) -> InputFile:
        check_given(value, file, f"inputs.{file.address}")
        # A picture is remembered by its hash, not with all of its bytes.
        key = (file.address, sha256(value).digest() if isinstance(value, bytes) else value)
        if key not in self._taken:
            if len(self._taken) >= _REMEMBERED:
                self._taken.clear()
            self._taken[key] = self._intake.take(file, value)
        return self._taken[key]

    def _place(self, address: str) -> tuple[str, str]:
        if address not in self._files:
            self._files[address] = self._addresses.find(address, among="inputs")
        return self._files[address]


def _flaw(found: _Input, value: Any) -> Flaw | None:
    """Return what every kind of node has against a value, in the words of the first."""
    flaws = [flaw_of(value, rule) for rule in found.rules]
    return flaws[0] if all(flaws) else None


def resolved(request: Request, graph: Graph) -> Request:
    """Return a request whose params are by id.

    Raises:
        InvalidGraph: the graph, or a param that all rows share, makes no sense.
    """
    check_count(request.params)
    return replace(request, graph=graph, params=resolve_params(graph, request.params))


def _names_file(graph_node: GraphNode, name: str) -> bool:
    """Tell whether a value there must be good for the name of a file: one is tried that is not."""
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
