"""What OpenAPI says of answers: the problem's form, and the statuses of a route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from producer.http.problems import MEDIA_TYPE, PAGES, ProblemType


class FlawForm(BaseModel):
    """One thing that is wrong with a request."""

    code: str
    detail: str
    #: A place in the body, as `#/params/6.text`; with `of`, in the body by which that was made.
    pointer: str | None = None
    parameter: str | None = None  #: A query parameter or header.
    allowed: list[str] | None = None
    row: int | None = None
    advice: str | None = None
    of: str | None = None  #: The batch whose graph or file it is, where its rows are handed in.


class ErrorForm(BaseModel):
    """The error of the Python library that it is: `kind` is its class, and what else it carries stands beside it."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(examples=["InvalidParam"])


class ProblemForm(BaseModel):
    """A problem as RFC 9457 has it. `type` is one of a fixed list, and the address of its page."""

    type: str = Field(examples=[f"{PAGES}invalid-param.md"])
    title: str
    status: int
    detail: str
    retryable: bool
    advice: str | None = None
    errors: list[FlawForm]
    error: ErrorForm | None = None


_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "string"}}
}


#: What OpenAPI says beside of a route that sends an `ETag`.
TAGGED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "The `ETag` of what was read before",
            "schema": {"type": "string"},
        }
    ],
    "responses": {"304": {"description": "It is still what `If-None-Match` names"}},
}


def answers(
    *statuses: int, also: Mapping[int, tuple[str, type[BaseModel]]] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the problems of a route, with those that each may have."""
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "model": model}
        for status, (text, model) in (also or {}).items()
    }
    for status in sorted({*statuses, 401, 404, 422, 429, 503}):
        kinds = [kind for kind in ProblemType if kind.status == status]
        told[status] = {
            "description": "; ".join(kind.title for kind in kinds),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemForm"}}},
        }
        if all(kind.is_retryable for kind in kinds):
            told[status]["headers"] = _RETRY_AFTER
    return told


def made_or_found(text: str, view: type[BaseModel], *more: int) -> dict[int | str, dict[str, Any]]:
    """Return the same of a route that makes something, or finds what the same request made before."""
    return answers(400, 403, 408, 413, 415, 422, 429, 503, *more, also={200: (text, view)})
