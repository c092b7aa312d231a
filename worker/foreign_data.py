"""What a node says is read within bounds: of bytes, of time, and of the shape that is expected."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import requests
import urllib3.exceptions
from requests.exceptions import ChunkedEncodingError, ContentDecodingError

from worker.errors import NodeFault

#: Bytes of an answer once it is unpacked. ComfyUI 0.33.0 answers small questions in some kB.
SMALL_BYTES: Final = 16 << 20
#: The same where whole graphs, catalogs or texts come: `/queue`, `/history`, `/object_info`.
LARGE_BYTES: Final = 128 << 20
#: Seconds for the whole of an answer: one that comes a byte a second is none.
WHOLE_S: Final = 120.0

#: Values in the JSON of one answer; each takes about a hundred bytes. The queue of a node with a
#: thousand prompts of a hundred graph nodes each has two million.
MOST_PARTS: Final = 6_000_000

_PIECE_BYTES: Final = 64 << 10

#: What reading an answer or a file of another shape than expected may raise.
UNREADABLE: Final = (
    *(AttributeError, LookupError, TypeError, ValueError, ArithmeticError, struct.error),
    *(RecursionError, MemoryError),
)


class TooMuch(ValueError):
    """An answer was given up: it is too long, takes too long, or has too many parts."""


def read_json(text: bytes) -> Any:
    """Read JSON that holds no more memory than its bytes make one expect.

    Raises:
        TooMuch: it has more than some million parts: 128 MiB of `[],` would take 3 GB once read.
        ValueError, RecursionError, MemoryError: it is no JSON, or cannot be read.
    """
    parts = sum(map(text.count, (b",", b"[", b"{")))
    if parts > MOST_PARTS:
        raise TooMuch(f"with about {parts:,} values, more than {MOST_PARTS:,}")
    return json.loads(text)


def read_whole(response: requests.Response, *, limit_bytes: int, within_s: float) -> None:
    """Read the body of a streaming *response* and keep it there, as requests does.

    requests itself reads whatever comes, unpacks all of it, and waits as long as bytes drip.

    Raises:
        TooMuch: it has more bytes than *limit_bytes*, or takes longer than *within_s*.
        requests.RequestException: it cannot be read.
    """
    try:
        body = b"".join(_pieces(response.raw, limit_bytes=limit_bytes, within_s=within_s))
    except urllib3.exceptions.ProtocolError as exc:
        raise ChunkedEncodingError(exc) from exc
    except urllib3.exceptions.DecodeError as exc:
        raise ContentDecodingError(exc) from exc
    except urllib3.exceptions.HTTPError as exc:
        raise requests.ConnectionError(exc) from exc
    except TooMuch:
        response.close()
        raise
    response._content = body  # noqa: SLF001 - as requests keeps what it has read
    response._content_consumed = True  # type: ignore[attr-defined] # noqa: SLF001


def _pieces(raw: Any, *, limit_bytes: int, within_s: float) -> Iterator[bytes]:
    deadline = time.monotonic() + within_s
    size = 0
    while piece := raw.read1(_PIECE_BYTES, decode_content=True):
        yield piece
        size += len(piece)
        if size > limit_bytes:
            raise TooMuch(f"with more than {limit_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise TooMuch(f"with {size:,} bytes in {within_s:g} s, and more to come")
    # http.client notices an end only when it reads past it, and then the connection is free.
    raw.drain_conn()
    raw.release_conn()


@contextmanager
def read_as_expected(node: str, what: str) -> Iterator[None]:
    """Turn whatever breaks while *what* is read into the node's fault.

    Raises:
        NodeFault: it has another shape than ComfyUI's.
    """
    try:
        yield
    except UNREADABLE as exc:
        said = f"{type(exc).__name__}: {exc}"
        raise NodeFault(node, f"{what} is not of ComfyUI's shape ({said})") from exc
