"""Templates by name in requests: the graph takes the place of its name before anything else is looked at."""

from __future__ import annotations

from dataclasses import replace

from producer.contract.errors import InvalidJob, TemplateNotFound
from producer.contract.graph.graph import GraphLike
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.templates import TemplateGraph, check_template_name, check_template_owner
from producer.intake.request import Request
from producer.store.template_store import TemplateStore


def named_graph_in(request: Request, templates: TemplateStore) -> Request:
    """Return a request with the graph itself; one that names no template stays as it is.

    Raises:
        InvalidJob: its owner has no template of this name.
    """
    if not isinstance(request.graph, NamedGraph):
        return request
    check_template_owner(request.owner)
    name = check_template_name(request.graph.name)
    try:
        found = templates.get(name, owner=request.owner)
    except TemplateNotFound as exc:
        raise InvalidJob(
            exc.message, field="template", advice="comfyfleet template put gives a graph a name"
        ) from exc
    return replace(request, graph=document_of(found), template=name)


def handed_in_by_name(name: str) -> str:
    """Return what stands for the graph of a request that names a template.

    Sent again, it is the same request, whatever its template has become meanwhile.
    """
    return f"template {name}"


def document_of(found: TemplateGraph) -> GraphLike:
    """Return a named graph as a request may have it."""
    if not found.extra_data:
        return found.graph
    return {"prompt": found.graph, "extra_data": found.extra_data}
