"""Foreign data: reads a node's answers within bounds of bytes and time, and checks their shape."""

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

#: Most bytes of a small answer, unpacked. ComfyUI 0.33.0 answers small requests in some kB.
SMALL_BYTES: Final = 16 << 20
#: The same for answers that hold whole graphs, catalogs or texts: `/queue`, `/history`, `/object_info`.
LARGE_BYTES: Final = 128 << 20
#: Most seconds for a whole answer: one that comes a byte a second never ends.
WHOLE_S: Final = 120.0

#: Most values in the JSON of one answer; each takes about a hundred bytes. The queue of a node with a
#: thousand prompts of a hundred graph nodes each has two million.
MOST_PARTS: Final = 6_000_000

_PIECE_BYTES: Final = 64 << 10

#: What may be raised while an answer or file of an unexpected shape is read.
UNREADABLE: Final = (
    *(AttributeError, LookupError, TypeError, ValueError, ArithmeticError, struct.error),
    *(RecursionError, MemoryError),
)


class TooMuch(ValueError):
    """An answer exceeds a limit: its bytes, its time, or its number of values."""


def read_json(text: bytes) -> Any:
    """Parse JSON whose memory is bounded: a text of many tiny values is refused.

    Raises:
        TooMuch: it has more than `MOST_PARTS` values: 128 MiB of `[],` would take 3 GB once parsed.
        ValueError, RecursionError, MemoryError: it is no JSON, or cannot be read.
    """
    parts = sum(map(text.count, (b",", b"[", b"{")))
    if parts > MOST_PARTS:
        raise TooMuch(f"with about {parts:,} values, more than {MOST_PARTS:,}")
    return json.loads(text)


def read_whole(response: requests.Response, *, limit_bytes: int, within_s: float) -> None:
    """Read the body of a streaming *response* into it, as requests does, but within bounds.

    requests itself reads any length, unpacks all of it, and waits as long as bytes drip.

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
    # http.client notices the end only when it reads past it; only then is the connection free.
    raw.drain_conn()
    raw.release_conn()


@contextmanager
def read_as_expected(node: str, what: str) -> Iterator[None]:
    """Turn every error of reading *what* into a NodeFault.

    Raises:
        NodeFault: the answer has another shape than ComfyUI's.
    """
    try:
        yield
    except UNREADABLE as exc:
        said = f"{type(exc).__name__}: {exc}"
        raise NodeFault(node, f"{what} is not of ComfyUI's shape ({said})") from exc
