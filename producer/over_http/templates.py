"""Templates of the access key's owner; `HttpProducer.templates` is one of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob, TemplateNotFound
from producer.contract.graph.graph import GraphLike
from producer.contract.graph.json_values import printable
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.graph_checks import GraphCheck
from producer.contract.queues import is_name
from producer.contract.templates import Template, TemplateGraph, TemplatePut, check_template_name
from producer.over_http.answers import each, formed
from producer.over_http.bodies import envelope, values
from producer.over_http.connection import Connection

_PATH: Final = "/v1/templates"
_CREATED: Final = 201


class HttpTemplates:
    """The same as `Producer.templates`, without `owner`: it is that of the key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(
        self,
        name: str,
        graph: GraphLike,
        *,
        if_match: str | None = None,
        must_be_new: bool = False,
    ) -> Template:
        """Give a graph a name; all as of `Templates.put`."""
        return self.put_once(name, graph, if_match=if_match, must_be_new=must_be_new).template

    def put_once(
        self,
        name: str,
        graph: GraphLike,
        *,
        if_match: str | None = None,
        must_be_new: bool = False,
    ) -> TemplatePut:
        """Do the same as `put`, and tell whether the name is new."""
        if isinstance(graph, NamedGraph):  # which the library reads at the same moment
            found = self.get(graph.name)
            graph = {"prompt": found.graph, "extra_data": found.extra_data}
        answer = self._connection(
            "PUT",
            _path(check_template_name(name, field="name")),
            body={"graph": envelope(graph)},
            headers={
                **_if_match(if_match),
                **({"If-None-Match": "*"} if must_be_new else {}),
            },
            is_safe=if_match is None and not must_be_new,  # sent twice, it changes nothing
        )
        template = formed(answer, Template.model_validate)
        return TemplatePut(template, answer.status_code == _CREATED)

    def list(self) -> list[Template]:
        """Return the templates of the owner, by name."""
        return self._connection.read(each(Template, "templates"), "GET", _PATH)

    def get(self, name: str) -> TemplateGraph:
        """Return a template with its graph; raises TemplateNotFound."""
        return self._connection.read(TemplateGraph.model_validate, "GET", _path(name))

    def delete(self, name: str, *, if_match: str | None = None) -> None:
        """Forget a template; errors as of `Templates.delete`."""
        self._connection("DELETE", _path(name), headers=_if_match(if_match))

    def check(
        self,
        graph: GraphLike,
        *,
        params: Mapping[str, Any] | None = None,
        pool: str | None = None,
    ) -> GraphCheck:
        """Return which nodes can run a graph; all as of `Templates.check`."""
        body: dict[str, Any] = {"params": values(params or {}), **({"pool": pool} if pool else {})}
        if isinstance(graph, NamedGraph):
            path = _path(check_template_name(graph.name), "check")
        else:
            path = f"{_PATH}/check"
            body["graph"] = envelope(graph)
        return self._connection.read(
            GraphCheck.model_validate, "POST", path, body=body, is_safe=True
        )


def _path(name: str, *parts: str) -> str:
    if not is_name(checked(name, str, field="name")):  # what no template can have
        raise TemplateNotFound(f"there is no template {printable(name)}")
    return "/".join([_PATH, name, *parts])


def _if_match(etag: str | None) -> dict[str, str]:
    if not etag:
        return {}
    if not checked(etag, str, field="if_match").isascii() or not etag.isprintable() or '"' in etag:
        raise InvalidJob("if_match is no etag; expected that of a template", field="if_match")
    return {"If-Match": etag if etag == "*" else f'"{etag}"'}
