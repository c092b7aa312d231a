"""Bodies of requests: what a caller hands in, checked as far as it can be without the fleet, as JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from producer.contract.arguments import checked
from producer.contract.deliver_requests import read_deliver
from producer.contract.errors import InvalidInput, InvalidJob, InvalidParam
from producer.contract.graph.graph import GraphLike, read_graph
from producer.contract.graph.json_values import find_flaw, printable, text_flaw
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.templates import check_template_name
from producer.contract.uploads import Upload
from producer.intake.files import InputLike
from producer.intake.request import JobOptions, Request, as_tier, check_within, request_of

#: Bytes of a graph that are read; the fleet's own limit is lower, and told by it.
_MOST_GRAPH: Final = 64 << 20

#: Stores a file, and returns what it is called.
Uploader = Callable[[Path | bytes, str], Upload]


def job_body(graph: GraphLike, options: JobOptions, upload: Uploader) -> dict[str, Any]:
    """Return the body of a submission; a request without an idempotency key gets one, so that it may be repeated.

    Raises:
        InvalidJob: the request is invalid; names the field.
    """
    request = request_of(graph, options)
    if request.owner:
        raise InvalidJob(
            "over HTTP the owner of a job is that of the access key; the call cannot name one",
            field="owner",
            advice="leave owner out, and use a key of this owner",
        )
    source, extra = _source(graph)
    extra |= mapping(request.extra_data, "extra_data")
    deliver = read_deliver(request.deliver)
    body = {
        **source,
        "params": values(request.params),
        "inputs": inputs(request.inputs, upload),
        "extra_data": extra,
        "pool": request.pool,
        "tier": as_tier(request.tier),
        "pin": request.pin or None,
        "metadata": mapping(request.metadata, "metadata"),
        "hook": request.hook or None,
        "deliver": deliver.model_dump(exclude_defaults=True) if deliver else None,
        "idempotency_key": request.idempotency_key or f"own-{uuid.uuid4()}",
        **_durations(request),
    }
    return {name: value for name, value in body.items() if value is not None}


def envelope(graph: GraphLike) -> dict[str, Any]:
    """Return a graph as a body has it, with the extra data of its file.

    Raises:
        InvalidGraph: it is none.
    """
    document = read_graph(graph, max_bytes=_MOST_GRAPH, max_extra_bytes=_MOST_GRAPH)
    if not document.extra_data:
        return dict(document.graph)
    return {"prompt": document.graph, "extra_data": document.extra_data}


def _source(graph: GraphLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a graph, or the name of one, as a body has it, and the extra data of its file."""
    if isinstance(graph, NamedGraph):
        return {"template": check_template_name(graph.name)}, {}
    document = read_graph(graph, max_bytes=_MOST_GRAPH, max_extra_bytes=_MOST_GRAPH)
    return {"graph": document.graph}, dict(document.extra_data)


def values(given: object) -> dict[str, Any]:
    """Return params as a body has them.

    Raises:
        InvalidParam: JSON cannot say a value.
    """
    found = mapping(given, "params")
    for address, value in found.items():
        if flaw := find_flaw(value):
            raise InvalidParam(f"{printable(address)}: {flaw}", field=f"params.{address}")
    return found


def inputs(given: object, upload: Uploader) -> dict[str, Any]:
    """Return files as a body names them; those of this machine are uploaded.

    Raises:
        InvalidInput: one cannot be named over HTTP, or not be read.
    """
    return {
        address: _input(value, f"inputs.{address}", upload)
        for address, value in mapping(given, "inputs").items()
    }


def mapping(given: object, field: str) -> dict[str, Any]:
    """Return an argument that maps texts.

    Raises:
        InvalidJob: it does not.
    """
    if not isinstance(given, Mapping):
        raise InvalidJob(f"{field} must be a mapping, not {type(given).__name__}", field=field)
    for name in given:
        if flaw := text_flaw(name):
            raise InvalidJob(f"a name in {field} {flaw}", field=field)
    return dict(given)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON.

    Raises:
        InvalidJob: it holds what JSON cannot say; names the field.
    """
    try:
        return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        flaws = ((name, find_flaw(value)) for name, value in body.items())
        name, flaw = next((found for found in flaws if found[1]), ("body", "it is no JSON"))
        raise InvalidJob(f"{name}: {flaw}", field=name) from None


def _input(value: object, where: str, upload: Uploader) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if isinstance(value, bytes):
        return {"upload": upload(value, "upload").id}
    if isinstance(value, str) and value.startswith("s3://"):
        return {"s3": value}
    if isinstance(value, str) and value.startswith("node:"):
        raise InvalidInput(
            "a file of the nodes cannot be named over HTTP",
            field=where,
            advice="hand the file itself in, or its upload",
        )
    if not isinstance(value, str | Path):
        raise InvalidInput(
            f"expected a path, bytes, s3://BUCKET/KEY or a form as {{'url': ...}}, "
            f"not {type(value).__name__}",
            field=where,
        )
    path = Path(value)
    return {"upload": upload(path, path.name).id}


def opened(content: Path | bytes, field: str = "content") -> bytes | Path:
    """Return what an upload sends, if it can be read.

    Raises:
        InvalidInput: it cannot.
    """
    if isinstance(content, bytes):
        return content
    path = checked(content, Path, field=field)
    try:
        if path.stat().st_size and path.is_file():
            return path
        why = "is empty" if path.is_file() else "is no file"
    except OSError as exc:
        why = f"cannot be read: {exc.strerror}"
    except ValueError as exc:  # a NUL in its name
        why = f"cannot be read: {exc}"
    raise InvalidInput(f"{printable(str(path))} {why}", field=field)


def _durations(request: Request) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in ("start_within", "run_within"):
        if (duration := getattr(request, name)) is not None:
            check_within(duration, field=name)
            found[f"{name}_s"] = duration.total_seconds()
    return found


__all__ = [
    "InputLike",
    "Uploader",
    "encoded",
    "envelope",
    "inputs",
    "job_body",
    "mapping",
    "opened",
    "values",
]
