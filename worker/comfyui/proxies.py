"""Recognises the answers of a proxy in front of a node, and what they mean.

Statuses are those of nginx, Traefik, Caddy and, above 519, Cloudflare. ComfyUI (0.3.64 to 0.33.0)
answers with none of them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import requests

from worker.errors import NodeError, NodeTimeout, NodeUnreachable

_BEHIND: Final = "is ComfyUI running behind it?"
_CREDENTIALS: Final = "give the headers or the token that it wants in COMFYFLEET_NODE_HEADERS_FILE, see docs/operate/nodes.md"

_AWAY: Final[dict[int, str]] = {
    HTTPStatus.TOO_MANY_REQUESTS: "it takes no more requests at present",
    HTTPStatus.BAD_GATEWAY: "it gets no answer from the node",
    HTTPStatus.SERVICE_UNAVAILABLE: "the node is not available",
    520: "it gets no valid answer from the node",
    521: "the node takes no connection",
    523: "it has no way to the node",
    525: "it cannot agree on TLS with the node",
    526: "it does not trust the node's certificate",
    530: "it does not find the node",
}
_SLOW: Final[dict[int, str]] = {
    HTTPStatus.REQUEST_TIMEOUT: "our request took too long for it",
    HTTPStatus.GATEWAY_TIMEOUT: "the node took longer to answer than it waits",
    522: "the node did not take its connection in time",
    524: "the node took longer to answer than it waits",
}
_LOCKED: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "it wants to know who we are",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "it wants to know who we are",
}


class Asked(NamedTuple):
    """A request, for messages: of which node, and `GET /path at http://...`."""

    node: str
    what: str


def proxy_error(response: requests.Response, asked: Asked) -> NodeError | None:
    """Return what an answer means that no ComfyUI gives; None for any that it may have given."""
    status = response.status_code
    if why := _AWAY.get(status):
        return NodeUnreachable(asked.node, _told(asked, why, status), advice=_BEHIND)
    if why := _SLOW.get(status):
        return NodeTimeout(asked.node, _told(asked, why, status))
    if why := _LOCKED.get(status):
        return NodeUnreachable(asked.node, _told(asked, why, status), advice=_CREDENTIALS)
    if response.is_redirect:
        why = f"it leads to {_place(response.headers['Location'])}, as before a login"
        return NodeUnreachable(asked.node, _told(asked, why, status), advice=_CREDENTIALS)
    return None


def web_page_error(response: requests.Response, asked: Asked) -> NodeError | None:
    """Return what a web page means that came for JSON; None if *response* is no page."""
    if "html" not in response.headers.get("Content-Type", "").lower():
        return None
    what = f"{asked.what} brought a web page, as a login or a proxy's notice, and no JSON"
    return NodeUnreachable(asked.node, what, advice=_CREDENTIALS)


def credentials_advice(response: requests.Response) -> str | None:
    """Return what to try about a 403, which ComfyUI gives as well."""
    return _CREDENTIALS if response.status_code == HTTPStatus.FORBIDDEN else None


def _place(url: str) -> str:
    """Return host or path alone: a query may carry a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "nowhere"
    return (parts.netloc.rpartition("@")[2] or parts.path)[:80]


def _told(asked: Asked, why: str, status: int) -> str:
    return f"{asked.what}: a proxy answers {status}: {why}"
