"""Options as commands use them: parses the values of `--set`, `--input` and others, and reads the graph."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from producer.contract.config.api_keys import read_key
from producer.contract.config.settings import Settings
from producer.contract.deliver import Deliver
from producer.contract.errors import InvalidGraph, InvalidJob
from producer.contract.graph.extra_data import API_KEY
from producer.contract.graph.graph import Graph, GraphLike, read_graph
from producer.contract.graph.json_values import short
from producer.contract.graph.named_graphs import NamedGraph
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import parse_param, split_address
from producer.intake.files import InputLike

if TYPE_CHECKING:
    from producer.client import Producer

#: How a template is told from a file.
_TEMPLATE: Final = "template:"
#: What `--deliver` may say beside an address.
_OF_DELIVER: Final = frozenset(Deliver.model_fields)


def read_document(name: str, settings: Settings) -> tuple[bytes, Graph]:
    """Read the file of a graph, or a picture with one in it; return its bytes and the graph.

    Args:
        name: the path; `-` is standard input.

    Raises:
        InvalidGraph: it cannot be read, is too large, or holds no valid graph.
    """
    most = max(settings.max_input_bytes, 4 * settings.max_graph_bytes)
    try:
        if name == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(most + 1)
    except (OSError, ValueError) as exc:  # a NUL in its name
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise InvalidGraph(f"{short(name)} cannot be read: {why}", field="graph") from exc
    if len(content) > most:
        raise InvalidGraph(
            f"{short(name)} has more than {most:,} bytes (COMFYFLEET_MAX_INPUT_BYTES)",
            field="graph",
        )
    found = read_graph(
        content,
        max_bytes=settings.max_graph_bytes,
        max_extra_bytes=settings.max_extra_data_bytes,
    )
    return content, found.graph


def read_source(name: str, fleet: Producer, *, owner: str) -> tuple[GraphLike, Graph]:
    """Return what a person names as a graph, as `submit` takes it, and the graph.

    Args:
        name: a path, `-`, or `template:NAME`; a file of that name is `./template:NAME`.
        owner: whose template it is.

    Raises:
        InvalidGraph: as of `read_document`.
        TemplateNotFound: the owner has none of this name.
    """
    if not name.startswith(_TEMPLATE):
        return read_document(name, fleet.settings)
    found = fleet.templates.get(name.removeprefix(_TEMPLATE), owner=owner)
    return NamedGraph(found.name), cast("Graph", found.graph)


def as_params(texts: Sequence[str], graph: Graph) -> dict[str, Any]:
    """Parse the values of `--set` for *graph*; a title in an address may contain `=`.

    Raises:
        InvalidJob: one has no `=`, or two have the same address.
    """
    addresses = Addresses(graph)
    return _as_dict((parse_param(text, addresses) for text in texts), option="--set")


def as_inputs(texts: Sequence[str], graph: Graph) -> dict[str, InputLike]:
    """Parse the values of `--input` for *graph*; errors as of `as_params`."""
    addresses = Addresses(graph)
    pairs = (_pair(*split_address(text, addresses), text, "--input") for text in texts)
    return _as_dict(pairs, option="--input")


def as_secrets(file: Path | None) -> dict[str, str]:
    """Read the file of `--api-key-file`; return its key as `extra_data`, which is empty without a file.

    Raises:
        InvalidJob: the file cannot be read, or holds no key.
    """
    try:
        return {API_KEY: read_key(file)} if file else {}
    except ValueError as exc:
        raise InvalidJob(f"--api-key-file: {exc}", field="--api-key-file") from None


def as_deliver(texts: Sequence[str]) -> dict[str, Any] | None:
    """Parse the values of `--deliver`: where copies are put, and NAME=VALUE; None without any.

    Raises:
        InvalidJob: one is neither, or two have the same name.
    """
    named = [text if text.partition("=")[0] in _OF_DELIVER else f"to={text}" for text in texts]
    found = as_pairs(named, option="--deliver")
    for name in ("quality", "thumbnail"):
        if str(found.get(name, "")).isdecimal():
            found[name] = int(found[name])
    return found or None


def as_pairs(texts: Sequence[str], *, option: str) -> dict[str, Any]:
    """Parse the values of an option of the form NAME=VALUE.

    Raises:
        InvalidJob: one of them has no `=`, or two have the same name.
    """
    return _as_dict((_pair(*_split(text), text, option) for text in texts), option=option)


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name if equals else ""), value


def _pair(name: str, value: str, text: str, option: str) -> tuple[str, str]:
    if not name:
        raise InvalidJob(f"{option} {short(text)!r} has no '='; expected NAME=VALUE", field=option)
    return name, value


def _as_dict(pairs: Iterable[tuple[str, Any]], *, option: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidJob(
                f"{option} was given {short(name)!r} twice", field=option, advice="give it once"
            )
        found[name] = value
    return found


def as_duration(seconds: float | None, *, option: str) -> timedelta | None:
    """Return the seconds of an option as a timedelta; None if it was not given.

    Raises:
        InvalidJob: they are out of a timedelta's range, as nan, inf or 1e14.
    """
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise InvalidJob(
            f"{option} {seconds:g} is no length of time; expected seconds", field=option
        ) from None
