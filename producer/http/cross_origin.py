"""What web pages of other origins may do: nothing, but for those that the operator allows (CORS)."""

from __future__ import annotations

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from producer.contract.config.allowed_origins import AllowedOrigins

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
#: What a page may send beside the headers that need no asking.
REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
)
#: What a page may read beside the headers that every page may.
ANSWER_HEADERS: Final = (
    "Allow",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "Preview-Note",
    "Retry-After",
    "WWW-Authenticate",
)
#: How long a browser remembers what it was allowed, s; Chromium's own limit is two hours.
_REMEMBERED_S: Final = 3_600


def with_cross_origin(app: ASGIApp, origins: AllowedOrigins) -> ASGIApp:
    """Return an app that pages of these origins may use with a key of theirs.

    It stands before all else: a browser asks without a key whether it may send one, and must be able to read each
    answer, a refusal of the gate and a bug's 500 too. Cookies and a browser's own passwords are never allowed, so a
    page can do nothing without a key that somebody gave it.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins.exact,
        allow_origin_regex=origins.pattern,
        allow_methods=_METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=ANSWER_HEADERS,
        max_age=_REMEMBERED_S,
    )
