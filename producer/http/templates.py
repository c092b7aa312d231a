"""Routes of templates: graphs by name."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.graph_checks import GraphCheck
from producer.contract.templates import Template, TemplateGraph
from producer.http.access import Fleet, Reader, Submitter
from producer.http.long_calls import LONG
from producer.http.problems import Flaw, Problem, ProblemType
from producer.http.requests import EXAMPLE_GRAPH, Name
from producer.http.responses import TAGGED, answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/templates", tags=["templates"], route_class=StrictRoute)

TemplateName = Annotated[str, Path(max_length=100, examples=["portrait"])]
NewName = Annotated[Name, Path(examples=["portrait"])]

#: One etag, or `*`, which in quotes would be an etag of none; a weak one never matches.
_ETAG: Final = re.compile(r'\*|"([^"*]{1,100})"')


class TemplateRequest(BaseModel):
    """A graph to give a name."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"graph": EXAMPLE_GRAPH}]}
    )

    #: ComfyUI's API format, bare or in an envelope, without secrets.
    graph: dict[str, Any]


class MatchHeaders(BaseModel):
    """What must be there. `If-Match` has the `ETag` of what was read; `If-None-Match: *` asks for a new name."""

    if_match: Annotated[str, Field(max_length=200)] | None = None
    if_none_match: Annotated[str, Field(max_length=200)] | None = None


class CheckRequest(BaseModel):
    """How a template is to be looked at."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"params": {"3.color": 255}}]}
    )

    params: dict[str, Any] = Field(default_factory=dict)  #: Set in it first.
    pool: Name | None = None  #: Its nodes alone; those of all pools by default.


class GraphCheckRequest(CheckRequest):
    """A graph to look at."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"graph": EXAMPLE_GRAPH}]}
    )

    graph: dict[str, Any]  #: ComfyUI's API format, bare or in an envelope.


class TemplatesView(BaseModel):
    """The templates of an owner, by name, without their graphs."""

    templates: list[Template]


@router.put(
    "/{name}",
    response_model=Template,
    dependencies=[LONG],
    responses=answers(
        400, 403, 408, 412, 413, 415, 422, 503, also={201: ("The name is new", Template)}
    ),
)
async def put(
    name: NewName,
    body: TemplateRequest,
    fleet: Fleet,
    key: Submitter,
    headers: Annotated[MatchHeaders, Header()],
) -> Response:
    """Give a graph a name, or the name another graph: jobs then ask for `template` in place of `graph`.

    It is checked like the graph of a job. The same graph again changes nothing; another one is the next `revision`.
    What was made from it before stays as it is.
    """
    wanted, must_be_new = _etag(headers.if_match), _must_be_new(headers.if_none_match)
    if wanted and must_be_new:
        raise _odd("If-None-Match", "expected it or If-Match; nothing is both there and not there")
    found, is_new = await fleet.templates.put_once(
        name, body.graph, owner=key.owner, if_match=wanted, must_be_new=must_be_new
    )
    told = {**_tagged(found), "Location": f"/v1/templates/{found.name}"}
    return answer(found, status=201 if is_new else 200, headers=told)


@router.get("", response_model=TemplatesView, responses=answers(403, 503))
async def list_templates(fleet: Fleet, key: Reader) -> Response:
    """List the templates of the key's owner."""
    return answer(TemplatesView(templates=await fleet.templates.list(owner=key.owner)))


@router.get(
    "/{name}",
    response_model=TemplateGraph,
    dependencies=[LONG],
    responses=answers(403, 404, 503),
    openapi_extra=TAGGED,
)
async def read(name: TemplateName, fleet: Fleet, key: Reader) -> Response:
    """Read a template, with its graph."""
    found = await fleet.templates.get(name, owner=key.owner)
    return answer(found, headers=_tagged(found))


@router.delete("/{name}", status_code=204, responses=answers(403, 404, 412, 422, 503))
async def delete(
    name: TemplateName, fleet: Fleet, key: Submitter, headers: Annotated[MatchHeaders, Header()]
) -> Response:
    """Forget a template. Jobs and batches that were made from it stay as they are."""
    wanted = _etag(headers.if_match)
    if headers.if_none_match is not None:
        raise _odd("If-None-Match", "expected If-Match alone; what is not there cannot be deleted")
    await fleet.templates.delete(name, owner=key.owner, if_match=wanted)
    return Response(status_code=204)


@router.post(
    "/check",
    response_model=GraphCheck,
    dependencies=[LONG],
    response_model_exclude_none=True,
    responses=answers(400, 403, 408, 413, 415, 422, 503),
)
async def check_graph(body: GraphCheckRequest, fleet: Fleet, key: Reader) -> Response:
    """Tell which nodes can run a graph, what each of the others lacks, and which values a job may set.

    Nothing is stored, and no job made.
    """
    return answer(
        await fleet.templates.check(body.graph, params=body.params, pool=body.pool, owner=key.owner)
    )


@router.post(
    "/{name}/check",
    response_model=GraphCheck,
    dependencies=[LONG],
    response_model_exclude_none=True,
    responses=answers(400, 403, 404, 408, 413, 415, 422, 503),
)
async def check(
    name: TemplateName, fleet: Fleet, key: Reader, body: CheckRequest | None = None
) -> Response:
    """Tell the same of a template."""
    wanted = body or CheckRequest()
    await fleet.templates.get(name, owner=key.owner)  # which is 404 where there is none
    return answer(
        await fleet.templates.check(
            NamedGraph(name), params=wanted.params, pool=wanted.pool, owner=key.owner
        )
    )


def _tagged(found: Template) -> dict[str, str]:
    return {"ETag": f'"{found.etag}"'}


def _etag(header: str | None) -> str | None:
    """Return what `If-Match` says; None where it says nothing.

    Raises:
        Problem: it is not one etag in quotes, nor `*`.
    """
    if header is None:
        return None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise _odd("If-Match", 'expected the ETag of what was read, as "3-0123456789ab", or *')
    return found[1] or "*"


def _must_be_new(header: str | None) -> bool:
    if header is not None and header.strip() != "*":
        raise _odd("If-None-Match", "expected *, which asks for a new name")
    return header is not None


def _odd(name: str, expected: str) -> Problem:
    flaw = Flaw("invalid_request", expected, parameter=name)
    return Problem(ProblemType.INVALID_REQUEST, f"{name}: {expected}", flaws=[flaw])
