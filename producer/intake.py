"""From what a producer hands in to a submission that a worker can run, or a clear refusal.

Nothing is written before all of it has been checked, but for input files: their key is their
content, so an upload whose job was never made is found again by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from producer.contract.catalog import Catalog, GraphNodeClass
from producer.contract.errors import InvalidInput, InvalidJob
from producer.contract.extra_data import API_KEY, ExtraData, as_extra_data, split_extra_data
from producer.contract.files import FileInput, check_file_name, check_file_names, input_files
from producer.contract.graphs import (
    Graph,
    GraphDocument,
    GraphLike,
    GraphNode,
    read_graph,
    template_id,
    to_bytes,
)
from producer.contract.jobs import InputFile
from producer.contract.json_values import printable, text_flaw
from producer.contract.links import check_links, is_link
from producer.contract.models import base_models
from producer.contract.nodes import Node
from producer.contract.outputs import cut, output_graph_nodes
from producer.contract.params import check_limits, resolve_params, with_resolved
from producer.contract.placement import explain_nobody, who_can_run
from producer.contract.queues import Needs, Tier, is_name
from producer.contract.settings import Settings
from producer.contract.submissions import LONGEST_WITHIN_S, Content, Submission
from producer.file_intake import InputLike, check_content, check_given, matched_files
from producer.storage.object_keys import split_s3_url
from producer.storage.object_store import ObjectStore
from producer.store.node_store import NodeStore

#: Characters of what a request is called by.
_LONGEST: Final = {"pool": 63, "pin": 63, "owner": 256, "idempotency_key": 512, "name": 256}

_CATALOGS_FRESH_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a producer asks for, unchecked; the defaults are the fleet's."""

    graph: GraphLike
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputLike] = field(default_factory=dict)
    extra_data: Mapping[str, Any] = field(default_factory=dict)
    pool: str = "default"
    tier: Tier | str = Tier.DEFAULT
    pin: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    idempotency_key: str | None = None
    start_within: timedelta | None = None
    run_within: timedelta | None = None


@dataclass(frozen=True)
class Plan:
    """A request that was checked, but for the content of its input files.

    Args:
        graph: as handed in, without the params.
        params: by id, as the inputs take them.
        files: what the graph reads, and what was handed in for it.
    """

    graph: Graph
    params: dict[str, Any]
    needs: Needs
    files: list[tuple[FileInput, InputLike]]


class Intake:
    """Checks requests against the graph's own rules and what the living nodes can run."""

    def __init__(self, settings: Settings, *, nodes: NodeStore, objects: ObjectStore) -> None:
        self._settings = settings
        self._nodes = nodes
        self._objects = objects
        self._catalogs: dict[str, tuple[float, dict[str, Catalog]]] = {}
        self._store_is_known = False

    def check(self, request: Request) -> tuple[Submission, Content]:
        """Return the submission and what is stored beside its record.

        Raises:
            InvalidGraph, InvalidInput, NoNodeCanRun, InvalidJob: naming field or graph node.
            FleetUnreachable, StorageError: Redis, or S3 when there are input files.
        """
        check_names(request)
        start_within, run_within = self.deadlines(request)
        document = self.read(request)
        content, extra = self.content(request, document)
        plan = self.plan(request, document.graph)
        submission = Submission(
            template=template_id(plan.graph),
            params=plan.params,
            inputs={file.address: self.take(file, value) for file, value in plan.files},
            needs=plan.needs,
            metadata=dict(request.metadata),
            tier=as_tier(request.tier),
            pin=request.pin,
            owner=request.owner,
            idempotency_key=request.idempotency_key,
            start_within=start_within,
            run_within=run_within,
            extra_data=content.extra_sha,
            secrets=tuple(sorted(extra.secrets)),
        )
        return submission, content

    def read(self, request: Request) -> GraphDocument:
        """Read a request's graph, and what its file has beside it; errors as of `check`."""
        return read_graph(
            request.graph,
            max_bytes=self._settings.max_graph_bytes,
            max_extra_bytes=self._settings.max_extra_data_bytes,
        )

    def content(self, request: Request, document: GraphDocument) -> tuple[Content, ExtraData]:
        """Return what is stored beside the record, and what of it is secret; errors as of `check`."""
        given = document.extra_data
        if request.extra_data:
            given = {**given, **as_extra_data(request.extra_data)}
        extra = split_extra_data(given, max_bytes=self._settings.max_extra_data_bytes).with_key(
            self._settings.producers_api_key
        )
        graph = to_bytes(document.graph)
        return Content(graph, extra.shared_json, extra.secrets_json), extra

    def secrets(self, given: Mapping[str, Any], *, wanted: Collection[str]) -> ExtraData:
        """Return the secrets of a job that is made again.

        Args:
            wanted: those that it had before.

        Raises:
            InvalidJob: something else is among *given*.
        """
        extra = split_extra_data(given, max_bytes=self._settings.max_extra_data_bytes)
        if extra.shared:
            raise InvalidJob(
                f"{printable(min(extra.shared))} is no secret; a job that is made again keeps the "
                "rest of its extra_data",
                field="secrets",
            )
        is_wanted = API_KEY in wanted
        return extra.with_key(self._settings.producers_api_key if is_wanted else None)

    def plan(self, request: Request, graph: Graph) -> Plan:
        """Check all of a request but the content of its input files; errors as of `check`.

        Args:
            graph: of the request.
        """
        as_tier(request.tier)
        catalogs = self._catalogs_of(request)
        any_catalog = _merged(catalogs)
        params = resolve_params(graph, request.params)
        check_limits(params, self._settings.max_params_bytes)
        changed = with_resolved(graph, params)
        check_links(changed, any_catalog)
        wanted = cut(changed, output_graph_nodes(changed, any_catalog))
        check_file_names(wanted, any_catalog)
        files = matched_files(wanted, request.inputs, any_catalog)
        check_metadata(request.metadata)
        if catalogs and not who_can_run(wanted, catalogs):
            raise explain_nobody(wanted, catalogs)
        needs = Needs.of(
            request.pool,
            models=base_models(wanted),
            classes=_rare_classes(wanted, catalogs),
        )
        return Plan(graph, params, needs, files)

    def decides(self, request: Request, graph_node: GraphNode, input_: str) -> bool:
        """Tell whether the value of an input decides who can run a graph, or which files it reads."""
        class_type = graph_node["class_type"]
        probe: Graph = {"1": {"class_type": class_type, "inputs": {input_: "a name"}}}
        catalogs = self._catalogs_of(request)
        return (
            bool(base_models(probe) or input_files(probe, _merged(catalogs)))
            or is_link(graph_node["inputs"].get(input_))
            or any(
                input_ in found.classes[class_type].models
                for found in catalogs.values()
                if class_type in found.classes
            )
        )

    def deadlines(self, request: Request) -> tuple[timedelta, timedelta]:
        """Return within which times a job must start, and may run.

        Raises:
            InvalidJob: one of them is no time that it could be.
        """
        start_within, run_within = request.start_within, request.run_within
        if start_within is None:
            start_within = timedelta(seconds=self._settings.start_within_s)
        if run_within is None:
            run_within = timedelta(seconds=self._settings.run_within_s)
        _check_within(start_within, field="start_within")
        _check_within(run_within, field="run_within")
        return start_within, run_within

    def _catalogs_of(self, request: Request) -> dict[str, Catalog]:
        """Return what the nodes that may take the job can run; empty while none lives."""
        read_at, catalogs = self._catalogs.get(request.pool, (0.0, {}))
        if not catalogs or time.monotonic() - read_at > _CATALOGS_FRESH_S:
            nodes = self._nodes.nodes()
            check_place(nodes, pool=request.pool, pin=request.pin)
            catalogs = self._nodes.catalogs(request.pool, among=nodes)
            self._catalogs[request.pool] = (time.monotonic(), catalogs)
        if request.pin:
            check_place(self._nodes.nodes(), pool=request.pool, pin=request.pin)
            return {name: found for name, found in catalogs.items() if name == request.pin}
        return catalogs

    def take(self, file: FileInput, value: InputLike) -> InputFile:
        """Bring an input file to where workers find it.

        Raises:
            InvalidInput: it cannot be what the graph reads.
            StorageError: S3 does not take it.
        """
        where = f"inputs.{file.graph_node}.{file.input}"
        check_given(value, file, where)
        if isinstance(value, str) and value.startswith("node:"):
            name = value.removeprefix("node:") or file.value
            check_file_name(name, field=where)
            return InputFile(source=f"node:{name}", name=name)
        if isinstance(value, str) and value.startswith("s3://"):
            try:
                split_s3_url(value)
            except ValueError as exc:
                raise InvalidInput(str(exc), field=where, graph_node=file.graph_node) from exc
            return InputFile(source=value, name=value.rpartition("/")[2])
        content = value if isinstance(value, bytes) else Path(value)
        size = check_content(content, file, where, limit=self._settings.max_input_bytes)
        if not self._store_is_known:
            # Some stores make a bucket at the first write, and hide a wrong name so.
            self._objects.probe()
            self._store_is_known = True
        key = self._objects.put_input(content)
        name = content.name if isinstance(content, Path) else Path(file.value).name
        return InputFile(source=key, name=name, sha256=key.rpartition("/")[2], bytes=size)


def as_tier(value: Tier | str) -> Tier:
    """Return a tier by its name.

    Raises:
        InvalidJob: there is none of that name; those that are there are named.
    """
    try:
        return Tier(value)
    except ValueError:
        known = ", ".join(Tier)
        raise InvalidJob(f"there is no tier {value!r}; tiers are {known}", field="tier") from None


def check_place(nodes: Sequence[Node], *, pool: str | None, pin: str | None) -> None:
    """Refuse a pool or a node that the fleet has never heard of, once it has heard of any.

    Raises:
        InvalidJob: naming what is like it.
    """
    if pin and nodes and pin not in (names := [node.name for node in nodes]):
        raise InvalidJob(_unknown("node", pin, names), field="pin")
    if pool and nodes and pool not in (pools := sorted({node.pool for node in nodes})):
        raise InvalidJob(_unknown("pool", pool, pools), field="pool")


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{what}s are {', '.join(known)}"
    return f"there is no {what} {name!r}; {hint}"


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata that is no text.

    Raises:
        InvalidJob: naming it.
    """
    for name, value in metadata.items():
        if flaw := text_flaw(name) or text_flaw(value):
            raise InvalidJob(f"metadata {name!r} {flaw}", field=f"metadata.{name}")


def check_names(request: Request, *, name: str = "") -> None:
    """Refuse a pool, a pin, an owner or a key that cannot be one, and so a batch's *name*.

    Raises:
        InvalidJob: naming it; also where a part of the request is of the wrong kind altogether.
    """
    for part in ("params", "inputs", "metadata"):
        if not isinstance(given := getattr(request, part), Mapping):
            raise InvalidJob(f"{part} must be a mapping, not {type(given).__name__}", field=part)
    names = {
        "pool": request.pool,
        "pin": request.pin or "",
        "owner": request.owner,
        "idempotency_key": request.idempotency_key or "",
        "name": name,
    }
    for what, given in names.items():
        if flaw := text_flaw(given):
            raise InvalidJob(f"{what} {flaw}", field=what)
        if len(given) > (limit := _LONGEST[what]):
            raise InvalidJob(
                f"{what} has {len(given):,} characters; the limit is {limit}", field=what
            )
    for what in ("pool", "pin"):
        if (what == "pool" or request.pin) and not is_name(names[what]):
            raise InvalidJob(
                f"{what} {names[what]!r} is no name, so no node can have it", field=what
            )


def _check_within(duration: object, *, field: str) -> None:
    if not isinstance(duration, timedelta):
        raise InvalidJob(f"{field} must be a timedelta, not {type(duration).__name__}", field=field)
    seconds = duration.total_seconds()
    if not 0 < seconds <= LONGEST_WITHIN_S:
        raise InvalidJob(
            f"{field} is {seconds:,.12g} s; "
            f"expected more than 0 s and at most {LONGEST_WITHIN_S:,} s, which is ten years",
            field=field,
        )


def _merged(catalogs: Mapping[str, Catalog]) -> Catalog | None:
    """Return what any of the nodes can run, to look classes up; None if no node lives."""
    if not catalogs:
        return None
    classes: dict[str, GraphNodeClass] = {}
    for catalog in catalogs.values():
        for name, found in catalog.classes.items():
            known = classes.setdefault(name, found)
            # Versions differ in how many outputs a class has; a slot that one node knows is good.
            if (found.outputs or 0) > (known.outputs or 0):
                classes[name] = found
    return Catalog(classes)


def _rare_classes(graph: Graph, catalogs: Mapping[str, Catalog]) -> set[str]:
    """Return the classes that some living node of the pool lacks: they decide who may serve."""
    used = {node["class_type"] for node in graph.values()}
    return {name for name in used if not all(name in found.classes for found in catalogs.values())}
