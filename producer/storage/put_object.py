"""Puts an object in one request whose body is sent at once: one round trip beside the bytes.

Of each write boto3 sends the head first and waits for `100 Continue`, a round trip more (botocore 1.44,
`handlers.add_expect_header`). Its purpose is kept: a server that refuses a body unasked may close the
connection before its refusal is read, so after such a cut the same is sent once more, with that wait.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

#: Whether the write waits for leave to send its body.
_WAITS: Final[ContextVar[bool]] = ContextVar("waits_for_continue", default=False)


def send_bodies_at_once(client: Any) -> None:
    """Have *client*, of boto3, send the bodies of its PutObject requests without waiting for leave."""
    # Of the same name as boto3's own: one of a longer name would be called before that.
    client.meta.events.register_last("before-call.s3", _drop_expectation)


def put_object(client: Any, **params: Any) -> dict[str, Any]:
    """Return the answer to `client.put_object`; its errors are boto3's.

    Args:
        params: as of boto3; a file is read from where it stands.
    """
    from botocore.exceptions import ConnectionClosedError  # noqa: PLC0415 - slow to import

    body = params["Body"]
    start = None if isinstance(body, bytes) else body.tell()
    try:
        return dict(client.put_object(**params))
    except ConnectionClosedError:
        if start is not None:
            body.seek(start)
    token = _WAITS.set(True)
    try:
        return dict(client.put_object(**params))
    finally:
        _WAITS.reset(token)


def _drop_expectation(model: Any, params: dict[str, Any], **_: Any) -> None:
    if model.name == "PutObject" and not _WAITS.get():
        params["headers"].pop("Expect", None)
