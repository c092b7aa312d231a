"""Bodies of rows: unpacked within bounds, and read a line at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final

from starlette.requests import Request

from producer.batch.rows import Row, RowLike
from producer.contract.errors import InvalidJob
from producer.http.problems import Problem, ProblemType
from producer.http.strict_json import parse

#: Bytes of a part, unpacked; and rows of it.
MOST_UNPACKED: Final = 64 << 20
MOST_ROWS: Final = 50_000
_TYPES: Final = frozenset(
    {
        "application/jsonl",
        "application/x-ndjson",
        "application/json-lines",
        "application/json",
        "text/plain",
    }
)
_PARTS: Final = frozenset({"params", "set", "inputs", "metadata"})
_GZIP: Final = 31  # zlib's way to say: gzip, with its window


async def unpacked(request: Request, encoding: str | None) -> bytes:
    """Return a body as it was before it was packed.

    Raises:
        Problem: it is of another type or packing, is no gzip, or has too many bytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            "rows are one JSON object a line",
            advice="send them with Content-Type: application/jsonl",
        )
    packing = (encoding or "identity").strip().lower()
    if packing not in {"gzip", "identity"}:
        raise Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            "rows are packed by gzip, or not at all",
            advice="use gzip",
        )
    reader = zlib.decompressobj(_GZIP) if packing == "gzip" else None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        part = _more(reader, chunk, MOST_UNPACKED + 1 - size) if reader else chunk
        size += len(part)
        if size > MOST_UNPACKED:
            raise Problem(
                ProblemType.TOO_LARGE,
                f"a part has at most {MOST_UNPACKED:,} bytes, unpacked",
                advice="send more parts",
                headers={"Connection": "close"},
            )
        parts.append(part)
    if reader and not reader.eof:
        raise _torn("it ends too early")
    return b"".join(parts)


def _more(reader: Any, chunk: bytes, most: int) -> bytes:
    try:
        part: bytes = reader.decompress(chunk, most)
    except zlib.error as exc:
        raise _torn(str(exc)) from exc
    if reader.unused_data:
        raise _torn("something comes after its end")
    return part


def _torn(why: str) -> Problem:
    return Problem(ProblemType.MALFORMED_REQUEST, f"the body is no whole gzip: {why}")


class RowsBody:
    """The rows of one part, read as they are asked for.

    Raises:
        Problem: there are too many.
    """

    def __init__(self, body: bytes) -> None:
        self._lines = [line for line in body.split(b"\n") if line.strip()]
        self.count = len(self._lines)
        if self.count > MOST_ROWS:
            raise Problem(
                ProblemType.TOO_LARGE,
                f"the part has {self.count:,} rows; the limit is {MOST_ROWS:,}",
                advice="send more parts",
            )

    def __iter__(self) -> Iterator[RowLike]:
        """Yield each row, or the error with which it could not be read."""
        return map(_row, self._lines)


def _row(line: bytes) -> RowLike:
    try:
        found = parse(line)
    except Problem as problem:
        return _unreadable(str(problem.detail).replace("the body", "it"))
    if not isinstance(found, dict):
        return _unreadable("it is no JSON object")
    if not (found and found.keys() <= _PARTS):
        return found
    for name, part in found.items():
        if not isinstance(part, dict):
            return _unreadable(f"its {name!r} is no JSON object")
    if "params" in found and "set" in found:
        return _unreadable("it has 'params' and 'set', which are the same")
    params: dict[str, Any] = found["params"] if "params" in found else found.get("set", {})
    return Row(params, found.get("inputs", {}), found.get("metadata", {}))


def _unreadable(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")
