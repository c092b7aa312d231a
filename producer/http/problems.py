"""Problems (RFC 9457): the fixed list of their types, and which error of the library is which."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from producer.contract import errors
from producer.contract.error_facts import facts_of
from producer.contract.errors import FleetError, InvalidJob, InvalidRows
from producer.contract.text_cleaning import abridged, writable
from producer.http.advice import over_http

MEDIA_TYPE: Final = "application/problem+json"
#: Where the page of a type is: its slug and `.md` are appended.
PAGES: Final = "https://github.com/comfyfleet/comfyfleet/blob/main/docs/problems/"
#: Characters of what a problem says of a value.
_LONGEST: Final = 400
#: Characters of a name in a place.
_LONGEST_NAME: Final = 200
#: When to come again where nothing else is known.
_SOON: Final = timedelta(seconds=2)
_LATER: Final = timedelta(seconds=10)


class _Type(NamedTuple):
    slug: str
    status: int
    title: str
    is_retryable: bool = False


class ProblemType(_Type, Enum):
    """The types of problems; each has a page `docs/problems/SLUG.md`."""

    MALFORMED_REQUEST = "malformed-request", 400, "The request cannot be read"
    UNAUTHORIZED = "unauthorized", 401, "The access key is missing or not valid"
    FORBIDDEN = "forbidden", 403, "The access key does not allow this"
    NOT_FOUND = "not-found", 404, "There is nothing of that name"
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The path does not take this method"
    TOO_SLOW = "too-slow", 408, "The body came too slowly", True
    CONFLICT = "conflict", 409, "The state of the job or batch does not allow this"
    PRECONDITION_FAILED = "precondition-failed", 412, "It is not what the request says that it is"
    TOO_LARGE = "too-large", 413, "The body is too large"
    WRONG_MEDIA_TYPE = "wrong-media-type", 415, "The body is of another type than expected"
    INVALID_REQUEST = "invalid-request", 422, "The request makes no sense"
    INVALID_GRAPH = "invalid-graph", 422, "The graph cannot work"
    INVALID_PARAM = "invalid-param", 422, "A value does not fit its input"
    INVALID_INPUT = "invalid-input", 422, "A file or an address cannot be used"
    INVALID_ROWS = "invalid-rows", 422, "Rows of the batch are invalid"
    NO_NODE_CAN_RUN = "no-node-can-run", 422, "No node has what the graph needs"
    IDEMPOTENCY_KEY_REUSE = "idempotency-key-reuse", 422, "The key belongs to another request"
    BACKLOG_FULL = "backlog-full", 429, "As many jobs wait as may", True
    TOO_MANY_REQUESTS = "too-many-requests", 429, "The access key is used too often", True
    INTERNAL = "internal", 500, "A bug of the fleet"
    UNREADABLE_RECORD = "unreadable-record", 500, "What the fleet has on record makes no sense"
    FLEET_UNREACHABLE = "fleet-unreachable", 503, "Redis does not answer", True
    STORAGE_UNAVAILABLE = "storage-unavailable", 503, "The S3 store does not serve", True
    TOO_MANY_STREAMS = "too-many-streams", 503, "This process has no room for another stream", True
    BUSY = "busy", 503, "This process has no room for the request now", True


class Flaw(NamedTuple):
    """One thing that is wrong with a request.

    Args:
        pointer: where in the body, as a JSON pointer in a URI fragment; empty if not there.
        parameter: the query parameter or header, where it is one.
        allowed: what would do, where that is a short list.
        of: whose request has the place, where it is not this one: the path of a batch that was begun with it.
    """

    code: str
    detail: str
    pointer: str = ""
    parameter: str = ""
    allowed: Sequence[str] | None = None
    row: int | None = None
    advice: str | None = None
    of: str = ""


class Problem(HTTPException):
    """A problem, raised by routes and middleware, and made from the library's errors."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        flaws: Sequence[Flaw] = (),
        advice: str | None = None,
        headers: Mapping[str, str] | None = None,
        after: timedelta | None = None,
        **more: Any,
    ) -> None:
        if kind.is_retryable:
            seconds = max(1, math.ceil((after or _SOON).total_seconds()))
            headers = {**(headers or {}), "Retry-After": str(seconds)}
        super().__init__(kind.status, detail, dict(headers or {}))
        self.kind = kind
        self.flaws = flaws
        self.advice = advice
        self.more = more

    def response(self) -> Response:
        """Return it as an answer."""
        content: dict[str, Any] = {
            "type": f"{PAGES}{self.kind.slug}.md",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": _told(self.detail),
            "retryable": self.kind.is_retryable,
            "advice": _told(self.advice) if self.advice else None,
            "errors": [
                {name: value for name, value in _of(flaw).items() if value not in (None, "")}
                for flaw in self.flaws
            ],
            **self.more,
        }
        shown = {name: value for name, value in content.items() if value is not None}
        return Response(
            json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode(),
            self.status_code,
            self.headers,
            MEDIA_TYPE,
        )


#: The narrowest class first.
_OF_ERRORS: Final[tuple[tuple[type[FleetError], ProblemType], ...]] = (
    (errors.AccessKeyNotValid, ProblemType.UNAUTHORIZED),
    (errors.ScopeMissing, ProblemType.FORBIDDEN),
    (errors.TooManyRequests, ProblemType.TOO_MANY_REQUESTS),
    (errors.BacklogFull, ProblemType.BACKLOG_FULL),
    (errors.JobNotFound, ProblemType.NOT_FOUND),
    (errors.BatchNotFound, ProblemType.NOT_FOUND),
    (errors.WebhookNotFound, ProblemType.NOT_FOUND),
    (errors.TemplateNotFound, ProblemType.NOT_FOUND),
    (errors.TemplateChanged, ProblemType.PRECONDITION_FAILED),
    (errors.ActionNotFound, ProblemType.NOT_FOUND),
    (errors.KeyReused, ProblemType.IDEMPOTENCY_KEY_REUSE),
    (errors.InvalidBatch, ProblemType.CONFLICT),
    (errors.InvalidRows, ProblemType.INVALID_ROWS),
    (errors.InvalidParam, ProblemType.INVALID_PARAM),
    (errors.InvalidGraph, ProblemType.INVALID_GRAPH),
    (errors.InvalidInput, ProblemType.INVALID_INPUT),
    (errors.AddressRefused, ProblemType.INVALID_INPUT),
    (errors.HostFault, ProblemType.INVALID_INPUT),
    (errors.NoNodeCanRun, ProblemType.NO_NODE_CAN_RUN),
    (errors.InvalidJob, ProblemType.INVALID_REQUEST),
    (errors.StorageError, ProblemType.STORAGE_UNAVAILABLE),
    (errors.FleetUnreachable, ProblemType.FLEET_UNREACHABLE),
    (errors.UnreadableRecord, ProblemType.UNREADABLE_RECORD),
    (errors.KeyOfAnotherType, ProblemType.UNREADABLE_RECORD),
)
#: The argument of the library that is the whole body: the file that is uploaded.
_WHOLE: Final = "content"
#: The address of an input, which has a dot, and the place in the form that names its file.
_FORM: Final = re.compile(
    r"(?P<address>.+\..+)\.(?P<form>upload|url|base64|s3|artifact(?:\.(?:job|graph_node|index))?)"
)
#: Arguments of the library that come in the path or the query, where the route does not say.
_PARAMETERS: Final = frozenset(
    {
        "filter",
        "cursor",
        "limit",
        "before",
        "topics",
        "job",
        "batch",
        "webhook",
        "delivery",
        "statuses",
    }
)


def problem_of(error: FleetError, kind: ProblemType | None = None) -> Problem:
    """Return the problem that an error of the library is.

    Args:
        kind: where the error alone does not tell it.
    """
    kind = kind or next(
        (k for cls, k in _OF_ERRORS if isinstance(error, cls)), ProblemType.INTERNAL
    )
    if kind is ProblemType.INTERNAL:
        return Problem(kind, "something went wrong that should not; the log has more")
    if kind in {ProblemType.FLEET_UNREACHABLE, ProblemType.STORAGE_UNAVAILABLE}:
        # The message names addresses within the fleet, which are nobody's business outside.
        return Problem(kind, f"{kind.title}; nothing was changed that was not answered")
    if isinstance(error, errors.KeyOfAnotherType):
        # Its message may name an address, too.
        return Problem(
            kind,
            f"{kind.title}; the log names the key",
            advice="tell who runs the fleet: comfyfleet check finds it",
            error={"kind": type(error).__name__},
        )
    if isinstance(error, errors.UnreadableRecord):
        # What is wrong quotes the record, which may be another owner's.
        known = facts_of(error)
        return Problem(
            kind,
            f"the record of job {known.get('job_id')} cannot be read; the log has more",
            advice=over_http(error.advice or ""),
            error={"kind": type(error).__name__, **known},
        )
    headers = {"WWW-Authenticate": "Bearer"} if kind is ProblemType.UNAUTHORIZED else None
    after = error.after if isinstance(error, errors.TooManyRequests) else _LATER
    facts = {"kind": type(error).__name__, **_bounded(facts_of(error))}
    advice = over_http(error.advice) if error.advice else None
    if advice != error.advice:  # who has the library may have the command, too
        facts["advice"] = _told(str(error.advice))
    return Problem(
        kind,
        error.message,
        flaws=_flaws(error, kind),
        advice=advice,
        headers=headers,
        after=after,
        error=facts,
    )


def _bounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _told(v) if isinstance(v, str) else v for name, v in facts.items()}


def _flaws(error: FleetError, kind: ProblemType) -> list[Flaw]:
    code = kind.slug.replace("-", "_")
    if isinstance(error, InvalidRows):
        return [
            Flaw(
                code,
                row.message,
                pointer=_pointer("params", row.column),
                row=row.row,
                advice=over_http(row.advice) if row.advice else None,
            )
            for row in error.rows
        ]
    if not isinstance(error, InvalidJob) or not error.field:
        return []
    if error.field in _PARAMETERS:
        return [Flaw(code, error.message, parameter=error.field)]
    if error.field == _WHOLE:
        return [Flaw(code, error.message, pointer="#", allowed=error.allowed)]
    part, _, address = error.field.partition(".")
    if error.field == "graph" and error.graph_node:
        address = error.graph_node
    if part == "inputs" and (form := _FORM.fullmatch(address)):
        places = [part, form["address"], *form["form"].split(".")]
        return [Flaw(code, error.message, pointer=_pointer(*places), allowed=error.allowed)]
    return [Flaw(code, error.message, pointer=_pointer(part, address), allowed=error.allowed)]


def _pointer(*parts: str | None) -> str:
    return pointer_of([part for part in parts if part])


def pointer_of(parts: Sequence[str | int]) -> str:
    """Return a place in the body as a JSON pointer in a URI fragment (RFC 6901)."""
    told = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "#" + "".join(f"/{_told(part, most=_LONGEST_NAME)}" for part in told)


def _of(flaw: Flaw) -> dict[str, Any]:
    advice = _told(flaw.advice) if flaw.advice else None
    parameter = _told(flaw.parameter, most=_LONGEST_NAME)
    told = {"detail": _told(flaw.detail), "parameter": parameter, "advice": advice}
    return {**flaw._asdict(), **told}


def _told(text: str, *, most: int = _LONGEST) -> str:
    return writable(abridged(text, most=most))
