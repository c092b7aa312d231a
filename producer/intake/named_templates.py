"""Templates by name in requests: the graph takes the place of its name before anything else is looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Final

from producer.contract.errors import InvalidJob, TemplateNotFound
from producer.contract.graph.graph import GraphDocument, GraphLike
from producer.contract.graph.named_graphs import JsonObject, NamedGraph
from producer.contract.templates import TemplateGraph, check_template_name, check_template_owner
from producer.intake.request import LARGE, MustWait, Request
from producer.store.template_store import LargeTemplate, TemplateStore, content_of

#: Bytes of graphs as JSON that a process keeps parsed: that takes some ten times as much memory.
_MOST_BYTES: Final = 8 << 20


class NamedTemplates:
    """The graphs that names stand for; one that is asked for again is read and checked once. Thread-safe.

    Args:
        read: reads a graph as one that is handed in.
    """

    def __init__(
        self, templates: TemplateStore, read: Callable[[GraphLike], GraphDocument]
    ) -> None:
        self._templates = templates
        self._read = read
        self._documents: OrderedDict[str, GraphDocument] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def in_place(self, request: Request) -> Request:
        """Return a request with the graph itself; one that names no template stays as it is.

        Raises:
            InvalidJob: its owner has no template of this name.
            InvalidGraph: the template is larger than may be handed in by now.
            MustWait: it may not wait, and its graph is a large one.
        """
        if not isinstance(request.graph, NamedGraph):
            return request
        check_template_owner(request.owner)
        name = check_template_name(request.graph.name)
        try:
            document = self._document(
                name, request.owner, most_bytes=None if request.may_wait else LARGE
            )
        except LargeTemplate:
            raise MustWait from None
        except TemplateNotFound as exc:
            raise InvalidJob(
                exc.message, field="template", advice="comfyfleet template put gives a graph a name"
            ) from exc
        return replace(request, graph=document, template=name)

    def _document(self, name: str, owner: str, *, most_bytes: int | None) -> GraphDocument:
        content = self._templates.content(name, owner=owner)
        with self._lock:
            known = self._documents.get(content)
            if known is not None:
                self._documents.move_to_end(content)
                if most_bytes is not None and len(known.canonical) > most_bytes:
                    raise LargeTemplate
                return known
        found = self._templates.get(name, owner=owner, most_bytes=most_bytes)
        document = self._read(_as_handed_in(found))
        self._keep(content_of(found), document)
        return document

    def _keep(self, content: str, document: GraphDocument) -> None:
        size = len(document.canonical)
        with self._lock:
            if content in self._documents or size > _MOST_BYTES:
                return
            self._documents[content] = document
            self._bytes += size
            while self._bytes > _MOST_BYTES:
                _, oldest = self._documents.popitem(last=False)
                self._bytes -= len(oldest.canonical)


def handed_in_by_name(name: str) -> str:
    """Return what stands for the graph of a request that names a template.

    Sent again, it is the same request, whatever its template has become meanwhile.
    """
    return f"template {name}"


def _as_handed_in(found: TemplateGraph) -> JsonObject:
    """Return a named graph as a request may have it."""
    if not found.extra_data:
        return JsonObject(found.graph)
    return JsonObject({"prompt": found.graph, "extra_data": found.extra_data})
