"""Uploads an input file to a node (`POST /upload/image`)."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

from producer.contract.errors import InvalidInput
from worker.comfyui.connection import SMALL_READ_S, Connection
from worker.errors import NodeError, RequestTooLarge

_log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 128 << 10


def upload_file(connection: Connection, path: Path, *, name: str, subfolder: str) -> str:
    """Send the file to `/upload/image`, which takes any kind, and return the name it got.

    Raises:
        NodeFault: the node takes no file of this name (400, ComfyUI 0.3.64 and 0.33).
        RequestTooLarge: it is too large for the node, or for a proxy before it.
    """
    form = FileForm(path, part="image", name=name, fields={"type": "input", "subfolder": subfolder})
    response = connection.send(
        "POST",
        "/upload/image",
        data=form,
        headers={"Content-Type": form.content_type},
        # It bounds each write of 128 KiB, too: ComfyUI's loop may pause for seconds, no longer.
        connect_s=connection.silence_s,
    )
    if response.status_code == HTTPStatus.BAD_REQUEST:
        # Names are ours, and such that every ComfyUI takes them: it is not the submitter's file.
        raise connection.fault(response, f"with a refusal of the name {name} (400)")
    if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise RequestTooLarge(connection.node, f"input {name} of {path.stat().st_size:,} bytes")
    stored = connection.object_in(response)
    stored_name = str(stored.get("name"))
    if (stored.get("subfolder") or "") != subfolder or not _is_named_after(name, stored_name):
        raise connection.fault(response, "without the name under which the file is stored")
    return f"{subfolder}/{stored_name}" if subfolder else stored_name


def _is_named_after(name: str, stored_name: str) -> bool:
    """Tell whether ComfyUI may have stored a file of *name* so: ` (1)` where the name is taken."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 - as ComfyUI splits it
    form = rf"{re.escape(stem)}( \(\d{{1,9}}\))?{re.escape(ending)}"
    return re.fullmatch(form, stored_name) is not None


def is_stored(connection: Connection, *, name: str, subfolder: str, size_bytes: int) -> bool:
    """Tell whether an input file of this name and size is there for sure.

    It only saves an upload. Proxies refuse HEAD, drop its Content-Length or the connection:
    whatever is no clear yes means that the file is sent, and then a node that is away shows.
    """
    try:
        response = connection.send(
            "HEAD",
            "/view",
            params={"filename": name, "subfolder": subfolder, "type": "input"},
            headers={"Accept-Encoding": "identity"},  # so that Content-Length is the file's own
            read_s=SMALL_READ_S,
        )
    except NodeError as exc:
        _log.info("node %s does not say whether it has an input: %s", connection.node, exc.detail)
        return False
    is_there = response.status_code == HTTPStatus.OK
    return is_there and response.headers.get("Content-Length") == str(size_bytes)


class FileForm:
    """A multipart form of one file and some fields, read from the disk as it is sent.

    requests' own `files=` puts the whole body together in memory first.
    """

    def __init__(self, path: Path, *, part: str, name: str, fields: Mapping[str, str]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._path = path
        self._file_bytes = path.stat().st_size
        start = f"--{boundary}\r\nContent-Disposition: form-data; name="
        plain = "".join(f'{start}"{key}"\r\n\r\n{value}\r\n' for key, value in fields.items())
        # ComfyUI's server (aiohttp) reads filename* and takes any character in it as it is; in a
        # plain filename it drops backslashes, and nobody agrees on how to write a quote.
        file = f"{start}\"{part}\"; filename*=utf-8''{quote(name, safe='')}\r\n\r\n"
        self._head = (plain + file).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    def __len__(self) -> int:
        """Return the body's length in bytes; requests makes the Content-Length of it."""
        return len(self._head) + self._file_bytes + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            InvalidInput: the file cannot be read, or is no longer as long as it was. As an
                OSError it would pass for a broken connection.
        """
        yield self._head
        yield from self._file()
        yield self._tail

    def _file(self) -> Iterator[bytes]:
        left = self._file_bytes
        try:
            with self._path.open("rb") as file:
                while chunk := file.read(min(left, _CHUNK_BYTES)):
                    left -= len(chunk)
                    yield chunk
        except OSError as exc:
            raise InvalidInput(f"{self._path.name} cannot be read: {exc.strerror}") from exc
        if left:
            raise InvalidInput(f"{self._path.name} became shorter while it was sent")
