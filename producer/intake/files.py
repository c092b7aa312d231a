"""Files that a graph reads: each must be submitted, readable, not too large, and of a loadable type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.files import FileInput, input_files, is_name
from producer.contract.errors import InvalidInput, InvalidParam
from producer.contract.graph.graph import Graph, literal
from producer.contract.graph.json_values import find_flaw, printable, short
from producer.contract.params.addresses import Addresses
from producer.intake.file_signatures import HEAD_BYTES, missing_bytes, surely_no
from producer.intake.picture_size import picture_size

#: An input file: a path, its bytes, `s3://bucket/key`, `node:NAME` for a file that the nodes have, or a form that
#: strangers may name it by: `{"url": ...}`, `{"base64": ...}`, `{"upload": ID}`, `{"artifact": {"job": ID}}`, `{"s3": ...}`.
InputLike = str | Path | bytes | Mapping[str, Any]


def cache_key(value: InputLike) -> str | Path | bytes:
    """Return what stands for a file in a cache: of a picture its hash, not its bytes."""
    if isinstance(value, Mapping):
        value = json.dumps(value, default=repr, sort_keys=True, skipkeys=True).encode()
    return sha256(value).digest() if isinstance(value, bytes) else value


def matched_files(
    graph: Graph, given: Mapping[str, InputLike], catalog: Catalog | None
) -> list[tuple[FileInput, InputLike]]:
    """Pair each file that the graph reads with what was submitted for it.

    Raises:
        InvalidInput: a file is missing, or an address names an input that reads no file.
        InvalidParam: an address names no input.
    """
    read = {(file.graph_node, file.input): file for file in input_files(graph, catalog)}
    handed: dict[tuple[str, str], InputLike] = {}
    addresses = Addresses(graph)
    for address, value in given.items():
        place = addresses.find(address, among="inputs")
        if place not in read:
            files = ", ".join(sorted(".".join(known) for known in read)) or "none"
            raise InvalidInput(
                f"{address} is not a file that the graph reads; those are: {files}",
                field=f"inputs.{address}",
                graph_node=place[0],
            )
        if place in handed:
            raise InvalidInput(
                f"{address} is a file that another address names, too: {'.'.join(place)}",
                field=f"inputs.{address}",
                graph_node=place[0],
                advice="hand it in once",
            )
        handed[place] = value
    for place, file in read.items():
        if place not in handed:
            address = ".".join(place)
            class_type = graph[file.graph_node]["class_type"]
            raise InvalidInput(
                f"graph node {file.graph_node} ({class_type}) reads {short(file.value)!r}, "
                "which was not handed in",
                field=f"inputs.{address}",
                graph_node=file.graph_node,
                advice=f"add --input '{address}=FILE', or '{address}=node:' if every node has it",
            )
    return [(file, handed[place]) for place, file in read.items()]


def check_source(
    file: FileInput,
    value: InputLike,
    graph: Graph,
    params: Mapping[str, Any],
    written: Callable[[str], str],
    *,
    is_shared: bool = False,
) -> None:
    """Check that no param names another file where one is handed in, as nobody would read that.

    A param may say that there is a file at all, where the graph has none; what one without a name of its own is
    called; and which file of the nodes `node:` alone is.

    Args:
        graph: before params are set.
        params: of the request, by address with the graph node's id.
        written: returns such an address as the request has it.
        is_shared: whether *value* is that of a whole batch, and *params* are a row's.

    Raises:
        InvalidParam: one does.
    """
    if (named := params.get(file.address)) is None or value == "node:":
        return
    if not is_shared and (
        isinstance(value, bytes) or (isinstance(value, Mapping) and "base64" in value)
    ):
        return
    found = graph[file.graph_node]
    own = literal(found["inputs"].get(file.input))
    if named == own or not is_name(found["class_type"], own):
        return
    address = written(file.address)
    whose = "the batch has one for all of its rows" if is_shared else "inputs has one"
    raise InvalidParam(
        f"params.{printable(address)} names a file, {short(named)!r}, and {whose} for the same input: "
        f"inputs.{printable(file.address)}",
        field=f"params.{address}",
        graph_node=file.graph_node,
        advice="leave one of the two out",
    )


def check_given(value: object, file: FileInput, where: str) -> None:
    """Check that *value* is an `InputLike` whose name can be stored.

    Raises:
        InvalidInput: it is not; says what is expected.
    """
    if isinstance(value, bytes | Mapping):
        return
    reads = f"graph node {file.graph_node} reads a file"
    if not isinstance(value, str | Path):
        raise InvalidInput(
            f"{reads}; expected a path, s3://BUCKET/KEY, node:NAME, bytes or a form as {{'url': ...}}, not "
            f"{type(value).__name__}",
            field=where,
            graph_node=file.graph_node,
        )
    if flaw := find_flaw(str(value)):
        raise InvalidInput(
            f"{reads}; {str(value)!a} can name none: {flaw}",
            field=where,
            graph_node=file.graph_node,
        )


def check_content(
    content: Path | bytes,
    file: FileInput,
    where: str,
    *,
    limit: int,
    most_pixels: int,
    called: str = "",
) -> int:
    """Check an input file's content by its first bytes and size, and return its size in bytes.

    Args:
        called: its name for whoever hands it in, where that is not its path: a stranger's file lies in one of ours.

    Raises:
        InvalidInput: it cannot be read, is empty, too large, truncated, or not loadable by the input.
    """

    def refused(why: str) -> InvalidInput:
        name = "the content"
        if called or isinstance(content, Path):
            name = f"{short(called or str(content))!r}"
        reader = f" for graph node {file.graph_node}" if file.graph_node else ""
        return InvalidInput(
            f"{name}{reader} {why}", field=where, graph_node=file.graph_node or None
        )

    try:
        with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
            opened.seek(0)
            picture = picture_size(opened)
            size = opened.seek(0, 2)
    except OSError as exc:
        raise refused(f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in its name
        raise refused(f"cannot be read: {exc}") from exc
    if not size:
        raise refused("is empty")
    if size > limit:
        raise refused(f"has {size:,} bytes; the limit is {limit:,} (COMFYFLEET_MAX_INPUT_BYTES)")
    if what := surely_no(file.input, head):
        raise refused(f"is {what}: it begins with {head[:12]!r}")
    if picture and most_pixels and (pixels := picture[0] * picture[1]) > most_pixels:
        raise refused(
            f"claims {picture[0]:,} by {picture[1]:,} pixels, which are {pixels:,}; the limit is "
            f"{most_pixels:,} (COMFYFLEET_MAX_INPUT_PIXELS)"
        )
    if lacks := missing_bytes(file.input, head, size):
        raise refused(f"is cut short: {lacks:,} bytes are missing at its end")
    return size
