"""Routes of uploads: files handed in before the jobs that read them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from producer.contract.errors import InvalidInput
from producer.contract.graph.json_values import printable
from producer.contract.uploads import Upload
from producer.http.access import Fleet, Submitter
from producer.http.problems import Problem, ProblemType
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=StrictRoute)

#: Bytes that are held in memory before they are written to the disk.
_IN_MEMORY: Final = 1 << 20
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "",
    status_code=201,
    response_model=Upload,
    responses=answers(403, 408, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def upload(
    request: Request,
    fleet: Fleet,
    key: Submitter,
    name: Annotated[
        str, Query(max_length=200, description="As its owner calls it; its suffix is kept.")
    ] = "",
) -> Response:
    """Store a file for the jobs of the key's owner, which name it as `{"upload": ID}`.

    The id is the content's hash: the same content again is the same upload.
    """
    _check_form(request)
    with tempfile.NamedTemporaryFile(prefix="comfyfleet-upload-") as file:
        waiting, size = bytearray(), 0
        async for chunk in request.stream():
            waiting += chunk
            size += len(chunk)
            if len(waiting) >= _IN_MEMORY:
                await asyncio.to_thread(_write, cast("BinaryIO", file), bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(_write, cast("BinaryIO", file), bytes(waiting))
        if not size:
            raise InvalidInput("the body is empty; expected the bytes of a file", field="content")
        made = await fleet.upload(Path(file.name), owner=key.owner, name=name or "upload")
    return answer(made, status=201)


def _check_form(request: Request) -> None:
    """Raise Problem for a body that is no file itself: it would be stored as it is, and no graph node could read it."""
    kind = request.headers.get("content-type", "").strip().lower()
    if kind.startswith("multipart/"):
        raise Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            "the body is a form; expected the bytes of one file, and nothing around them",
            advice="send the file itself, with curl by --data-binary @FILE in place of -F",
        )
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing != "identity":
        raise Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            f"the body is packed by {printable(packing)}; expected the bytes of a file as they are",
            advice="send it without Content-Encoding",
        )


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
