"""Downloads of output files from a node (`GET /view`), streamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError

from producer.contract.text_cleaning import is_whole
from worker.comfyui.companion import Companion
from worker.comfyui.connection import Connection, network_cause
from worker.comfyui.history import OutputFile
from worker.errors import (
    NodeError,
    OutputDamaged,
    OutputMissing,
    OutputPending,
    OutputUnwritten,
)

_CHUNK_BYTES: Final = 256 << 10

#: With 425: how many files the companion has written so far.
_WRITTEN: Final = "Comfyfleet-Written"

#: Why `/view` will not hand out a name, as in ComfyUI 0.3.64 and 0.33.
_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.BAD_REQUEST: "the node does not serve a file of this name",
    HTTPStatus.FORBIDDEN: "the node does not serve files from there",
    HTTPStatus.NOT_FOUND: "the node no longer has the file",
}


@dataclass(frozen=True)
class Download:
    """An open answer of `/view`.

    Args:
        media_type: as the node guesses by the file's extension, on its own table.
        chunks: the file's bytes, to be read once and within the `with`.
    """

    media_type: str
    chunks: Iterator[bytes]


@contextmanager
def open_download(
    connection: Connection, companion: Companion, output: OutputFile
) -> Iterator[Download]:
    """Ask the node for *output* and yield the answer as it streams in."""
    if not is_whole(output.filename + output.subfolder + output.type):
        why = "its name holds half a character, which nobody can ask for"
        raise OutputDamaged(connection.node, f"{output} cannot be fetched: {why}")
    response = connection.send(
        "GET",
        "/view",
        params={"filename": output.filename, "subfolder": output.subfolder, "type": output.type},
        headers={"Accept-Encoding": "identity"},  # so that Content-Length is the file's own
        stream=True,
    )
    with closing(response):
        if response.status_code != HTTPStatus.OK:
            raise _refusal(connection, companion, output, response)
        yield Download(
            media_type=_media_type(response),
            chunks=_chunks(connection, output, response),
        )


def _chunks(
    connection: Connection, output: OutputFile, response: requests.Response
) -> Iterator[bytes]:
    with connection.translated(f"GET /view of {output}"):
        try:
            yield from response.iter_content(_CHUNK_BYTES)
        except (ChunkedEncodingError, ContentDecodingError) as exc:
            # The end came too early. A reset connection says so by an OSError; a short body,
            # by its declared length or its last chunk, by nothing but the reader's complaint.
            if isinstance(network_cause(exc), OSError):
                raise
            raise OutputDamaged(connection.node, f"{output} came truncated: {exc}") from exc


def _refusal(
    connection: Connection, companion: Companion, output: OutputFile, response: requests.Response
) -> NodeError:
    status = response.status_code
    if status == HTTPStatus.TOO_EARLY:
        written = response.headers.get(_WRITTEN)
        return OutputPending(connection.node, f"{output} is not written yet", written=written)
    if status == HTTPStatus.NOT_FOUND:
        if raised := companion.failure_of(output):
            kind, message = raised
            return OutputUnwritten(
                connection.node,
                f"graph node {output.graph_node} raised {kind}: {message}",
                graph_node=output.graph_node,
                exception_type=kind,
            )
        lacks = f"{output} cannot be fetched: {_REFUSALS[status]} ({status})"
        return OutputMissing(connection.node, lacks)
    if why := _REFUSALS.get(status):
        return OutputDamaged(connection.node, f"{output} cannot be fetched: {why} ({status})")
    # Its body may be long, and reading it may fail: the status must do.
    return connection.fault(response, f"{status} {response.reason}")


def _media_type(response: requests.Response) -> str:
    declared = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return declared or "application/octet-stream"
