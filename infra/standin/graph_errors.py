"""Graph errors: validates every output of a graph and its ancestors, as ComfyUI does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infra.standin import refusals
from infra.standin.catalog import Catalog
from infra.standin.graph_nodes.class_declaration import Input
from infra.standin.refusals import Reason, error
from infra.standin.storage import Storage

Graph = dict[str, Any]

_LINK_LENGTH = 2


class _UnnamedCycle(Exception):
    """A cycle was found; 0.3.64 refuses it without naming its graph nodes."""


@dataclass
class Findings:
    """The errors found in one graph so far, by graph node."""

    catalog: Catalog
    storage: Storage
    graph: Graph
    names_cycles: bool
    node_errors: dict[str, Any] = field(default_factory=dict)
    _reasons: dict[str, list[Reason]] = field(default_factory=dict)
    _valid: dict[str, bool] = field(default_factory=dict)
    _output_reasons: list[Reason] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)

    def judge(self, output: str) -> bool:
        """Validate *output* with its ancestors; return whether it can run, else record the errors."""
        try:
            valid = self._check(output)
        except _UnnamedCycle:
            valid = False
        except Exception as exc:  # noqa: BLE001 - ComfyUI turns whatever is raised into an error object
            self._set(output, [refusals.exception("exception_during_validation", exc)], valid=False)
            valid = False
        if not valid:
            self._blame(output)
        return valid

    def summary(self) -> Reason:
        """Return the refusal's `error` object; its details quote only errors of the outputs themselves."""
        details = "\n".join(f"{one['message']}: {one['details']}" for one in self._output_reasons)
        message = "Prompt outputs failed validation"
        return error("prompt_outputs_failed_validation", message, details)

    def _blame(self, output: str) -> None:
        self._output_reasons += self._reasons.get(output, [])
        for graph_node, found in self._reasons.items():
            if found:
                entry = self.node_errors.setdefault(
                    graph_node,
                    {
                        "errors": found,
                        "dependent_outputs": [],
                        "class_type": self.graph[graph_node]["class_type"],
                    },
                )
                entry["dependent_outputs"].append(output)

    def _set(self, graph_node: str, found: list[Reason], *, valid: bool) -> None:
        self._reasons[graph_node] = found
        self._valid[graph_node] = valid

    def _check(self, graph_node: str) -> bool:
        if graph_node in self._path:
            self._report_cycle(graph_node)
        if graph_node not in self._valid:
            self._path.append(graph_node)
            try:
                found, valid = self._check_inputs(graph_node)
            finally:
                self._path.pop()
            # A cycle found by an ancestor may have been recorded for this graph node meanwhile.
            found = self._reasons.get(graph_node, []) + found
            self._set(graph_node, found, valid=valid and not found)
        return self._valid[graph_node]

    def _report_cycle(self, graph_node: str) -> None:
        if not self.names_cycles:
            raise _UnnamedCycle
        members = self._path[self._path.index(graph_node) :]
        way = " -> ".join(
            f"{one} ({self.graph[one]['class_type']})" for one in (*members, graph_node)
        )
        for member in members:
            place = {"node_id": member, "cycle_nodes": members}
            cycle = error("dependency_cycle", "Dependency cycle detected", way, **place)
            self._set(member, [cycle], valid=False)

    def _check_inputs(self, graph_node: str) -> tuple[list[Reason], bool]:
        given = self.graph[graph_node]["inputs"]
        known = self.catalog.find(self.graph[graph_node]["class_type"])
        if known is None:
            raise KeyError(graph_node)
        found: list[Reason] = []
        ancestors_valid = True
        for name, declared in self.catalog.inputs(known).items():
            if name not in given:
                found += [refusals.missing(name)] if name in known.required else []
            elif isinstance(given[name], list):
                wrong, valid = self._check_link(name, declared, given[name])
                found += wrong
                ancestors_valid = ancestors_valid and valid
            else:
                found += refusals.check_value(name, declared, given, listed=known.check is None)
        if known.check and not found:
            found += [refusals.custom(*wrong) for wrong in known.check(self.storage, given).items()]
        return found, ancestors_valid

    def _check_link(self, name: str, declared: Input, link: list[Any]) -> tuple[list[Reason], bool]:
        if len(link) != _LINK_LENGTH:
            return [refusals.bad_link(name, declared, link)], True
        source, slot = link
        linked = self.catalog.find(self.graph[source]["class_type"])
        received = self.catalog.outputs(linked)[slot] if linked else "*"
        if not _fits(received, declared.type):
            return [refusals.mismatch(name, declared, received, link)], True
        try:
            return [], self._check(source)
        except _UnnamedCycle:
            raise
        except Exception as exc:  # noqa: BLE001 - as in judge
            reason = refusals.exception("exception_during_inner_validation", exc, input_name=name)
            reason["extra_info"]["linked_node"] = link
            self._set(source, [reason], valid=False)
            return [], False


def _fits(received: str, wanted: str | list[str]) -> bool:
    """Tell whether an output's type fits an input's: both may be lists `A,B` with one type in common."""
    if "*" in (received, wanted) or received == wanted:
        return True
    if not isinstance(wanted, str):
        return False
    kinds = [{one.strip() for one in kind.split(",")} for kind in (received, wanted)]
    return bool(kinds[0] & kinds[1])
