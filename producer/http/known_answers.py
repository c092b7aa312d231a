"""Answers that a client has already: `304` in place of what `If-None-Match` names by its `ETag` (RFC 9110, 13.1.2)."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_HEADER: Final = b"if-none-match"
#: An entity tag, without what says that it is weak: so they are compared weakly, as of a GET they are.
_TAG: Final = re.compile(r'"([^"]*)"')
#: What says of a body that is not sent how long it is, and of which type.
_OF_BODY: Final = ("content-length", "content-type")
_OK: Final = 200
_NOT_MODIFIED: Final = 304


def unless_known(request: Request, response: Response) -> Response:
    """Return an answer, or that the client has it already; what has no `ETag` is sent whatever the request says.

    Without such a header that costs a look at the names of the others.
    """
    if request.method != "GET" or response.status_code != _OK:
        return response
    given = [value for name, value in request.scope["headers"] if name == _HEADER]
    if not given or not (etag := response.headers.get("etag")):
        return response
    if not _names(", ".join(value.decode("latin-1") for value in given), etag):
        return response
    headers = {name: value for name, value in response.headers.items() if name not in _OF_BODY}
    return Response(status_code=_NOT_MODIFIED, headers=headers)


def _names(header: str, etag: str) -> bool:
    """Tell whether `If-None-Match` names what is there; one of another form names nothing, as a GET does no harm."""
    return header.strip() == "*" or not {*_TAG.findall(etag)}.isdisjoint(_TAG.findall(header))
