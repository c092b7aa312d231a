"""The page that lists every problem of the HTTP API."""

from __future__ import annotations

from typing import Final

from producer.http.problems import ProblemType

_TOP: Final = """\
# Problems

Written by `python -m tests.docs` from the list of types; do not edit.

What goes wrong is answered as `application/problem+json` (RFC 9457). `type` is the address of one of these pages, and the list is fixed.
Beside RFC 9457's own fields there are `retryable`, `advice`, and `errors`: each with `code`, `detail`, its place (`pointer` in the body, as
`#/params/6.text`, or `parameter`), and `allowed` where a short list would do. What is retryable says when in `Retry-After`. What is an error
of the Python library has `error`, too: its class as `kind`, and what else it carries, as `job_id` or `limit`.

| type | status | it means | retryable |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the whole page."""
    rows = [
        f"| [{kind.slug}]({kind.slug}.md) | {kind.status} | {kind.title} | {'yes' if kind.is_retryable else ''} |"
        for kind in ProblemType
    ]
    return _TOP + "\n".join(rows) + "\n"
