"""Bodies of rows: unpacked within bounds, and read a line at a time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from typing import Any, Final

from starlette.requests import Request

from producer.batch.rows import RowLike, row_of_json
from producer.contract.errors import InvalidJob
from producer.http.problems import Problem, ProblemType
from producer.http.strict_json import parse

#: Bytes of a part, unpacked; and lines of it, blank ones too.
MOST_UNPACKED: Final = 64 << 20
MOST_ROWS: Final = 50_000
#: Lists and objects of all rows, which are kept until the last one was checked. Commas are not counted: texts have many.
MOST_LISTS: Final = 2_000_000
#: Bytes that are unpacked at once: some ms.
_PIECE: Final = 1 << 20
_TYPES: Final = frozenset(
    {
        "application/jsonl",
        "application/x-ndjson",
        "application/json-lines",
        "application/json",
        "application/octet-stream",
        "text/plain",
    }
)
_GZIP: Final = 31  # zlib's way to say: gzip, with its window


async def unpacked(request: Request, encoding: str | None) -> bytearray:
    """Return a body as it was before it was packed. Its bytes and lines are counted as they come.

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
    body, lines = bytearray(), 0
    async for chunk in request.stream():
        for part in _unpacked(reader, chunk) if reader else (chunk,):
            lines += part.count(b"\n")
            _check_size(len(body) + len(part), lines)
            if reader:
                request.state.held.take(len(part))  # beside what came
                await asyncio.sleep(0)  # others' turn
            body += part
    if reader and not reader.eof:
        raise _torn("it ends too early")
    _check_size(len(body), lines + (not body.endswith(b"\n")))
    return body


def _check_size(size: int, lines: int) -> None:
    if size > MOST_UNPACKED or lines > MOST_ROWS:
        raise Problem(
            ProblemType.TOO_LARGE,
            f"a part has at most {MOST_ROWS:,} lines and {MOST_UNPACKED:,} bytes, unpacked",
            advice="send more parts",
            headers={"Connection": "close"},
        )


def _unpacked(reader: Any, chunk: bytes) -> Iterator[bytes]:
    """Yield what a chunk holds, a piece at a time: a thousand times as much may be in it."""
    while chunk:
        try:
            yield reader.decompress(chunk, _PIECE)
        except zlib.error as exc:
            raise _torn(str(exc)) from exc
        if reader.unused_data:
            raise _torn("something comes after its end")
        chunk = reader.unconsumed_tail


def _torn(why: str) -> Problem:
    return Problem(ProblemType.MALFORMED_REQUEST, f"the body is no whole gzip: {why}")


class RowsBody:
    """The rows of one part, read as they are asked for: no line is copied before its turn.

    Raises:
        Problem: they have too many lists and objects.
    """

    def __init__(self, body: bytes | bytearray) -> None:
        if len(body) > MOST_LISTS and body.count(b"[") + body.count(b"{") > MOST_LISTS:
            raise Problem(
                ProblemType.TOO_LARGE,
                f"the rows of a part have at most {MOST_LISTS:,} lists and objects",
                advice="send fewer rows at once",
            )
        self._body = body
        self.count = sum(1 for _ in self._lines())

    def __iter__(self) -> Iterator[RowLike]:
        """Yield each row, or the error with which it could not be read."""
        return map(_row, self._lines())

    def _lines(self) -> Iterator[bytes]:
        begin, size = 0, len(self._body)
        while begin < size:
            end = self._body.find(b"\n", begin)
            end = size if end < 0 else end
            if line := self._body[begin:end].strip():
                yield bytes(line)
            begin = end + 1


def _row(line: bytes) -> RowLike:
    try:
        found = parse(line)
    except Problem as problem:
        return _unreadable(str(problem.detail).replace("the body", "it"))
    return row_of_json(found)


def _unreadable(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")
