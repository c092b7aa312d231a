"""Routes of uploads: files handed in before the jobs that read them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, cast

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from producer.contract.uploads import Upload
from producer.http.access import Fleet, Submitter
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
    responses=answers(403, 408, 413, 422, 503),
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
    with tempfile.NamedTemporaryFile(prefix="comfyfleet-upload-") as file:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _IN_MEMORY:
                await asyncio.to_thread(_write, cast("BinaryIO", file), bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(_write, cast("BinaryIO", file), bytes(waiting))
        made = await fleet.upload(Path(file.name), owner=key.owner, name=name or "upload")
    return answer(made, status=201)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
