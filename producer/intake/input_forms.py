"""Input forms: how a stranger names a file that a graph reads, since a path or a bucket means the server's own.

| form | is |
| --- | --- |
| `{"url": "https://..."}` | fetched at submission, from public hosts only |
| `{"base64": "..."}` | the bytes themselves; `data:image/png;base64,...` will do |
| `{"upload": ID}` | what the owner has uploaded before |
| `{"artifact": {"job": ID, "graph_node": "9", "index": 0}}` | what a job of the owner made |
| `{"s3": "s3://BUCKET/KEY"}` | an object of a bucket that the operator lists |
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from producer.contract.errors import InvalidInput
from producer.contract.graph.json_values import kind_of, printable, text_flaw

_DATA_URL: Final = re.compile(r"data:[\w.+/;=-]{0,200};base64,", re.ASCII | re.IGNORECASE)
#: Base64 in the letters that addresses allow.
_OF_ADDRESSES: Final = re.compile(r"[\w=-]{4,}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FORMS: Final = ("url", "base64", "upload", "artifact", "s3")
_ARTIFACT: Final = frozenset({"job", "graph_node", "index"})


@dataclass(frozen=True)
class UrlInput:
    """A file at a web address."""

    url: str


@dataclass(frozen=True)
class BytesInput:
    """A file's bytes."""

    content: bytes = field(repr=False)


@dataclass(frozen=True)
class UploadInput:
    """A file that was uploaded before."""

    id: str


@dataclass(frozen=True)
class ArtifactInput:
    """A file that a job made; the only one that it made where no graph node is named."""

    job: str
    graph_node: str | None
    index: int


@dataclass(frozen=True)
class S3Input:
    """An object, `s3://BUCKET/KEY`."""

    url: str


InputForm = UrlInput | BytesInput | UploadInput | ArtifactInput | S3Input


def input_form(value: Mapping[Any, Any], where: str, *, limit: int) -> tuple[str, InputForm]:
    """Return the name of the form and what it says.

    Args:
        where: the field to name in errors.
        limit: bytes that a file may have.

    Raises:
        InvalidInput: it has another form; says which there are.
    """
    if len(value) != 1 or (name := next(iter(value))) not in _FORMS:
        found = ", ".join(printable(str(key), most=20) for key in list(value)[:3]) or "nothing"
        raise _refused(where, f"has {found}; expected one of {', '.join(_FORMS)}")
    given = value[name]
    if name == "artifact":
        return name, _artifact(given, f"{where}.artifact")
    where = f"{where}.{name}"
    if not isinstance(given, str) or not given:
        raise _refused(where, f"is {_what(given)}; expected text")
    if name == "base64":
        return name, BytesInput(_decoded(given, where, limit=limit))
    if flaw := text_flaw(given):
        raise _refused(where, flaw)
    if name == "upload" and not _SHA256.fullmatch(given):
        raise _refused(where, f"is {printable(given)}; expected the id of an upload, 64 hex digits")
    if name == "s3" and not given.startswith("s3://"):
        raise _refused(where, f"is {printable(given)}; expected s3://BUCKET/KEY")
    forms: dict[str, type[UrlInput | UploadInput | S3Input]] = {
        "url": UrlInput,
        "upload": UploadInput,
        "s3": S3Input,
    }
    return name, forms[name](given)


def _artifact(given: object, where: str) -> ArtifactInput:
    if not isinstance(given, Mapping) or not given.keys() <= _ARTIFACT or "job" not in given:
        raise _refused(where, 'must be {"job": ID, "graph_node": ID, "index": NUMBER}')
    job, graph_node, index = given["job"], given.get("graph_node"), given.get("index", 0)
    if not isinstance(job, str):
        raise _refused(f"{where}.job", f"is {_what(job)}; expected the id of a job")
    if graph_node is not None and not isinstance(graph_node, str):
        raise _refused(f"{where}.graph_node", f"is {_what(graph_node)}; expected text")
    if type(index) is not int or index < 0:
        raise _refused(f"{where}.index", "must be a whole number from 0")
    return ArtifactInput(job, graph_node, index)


def _what(given: object) -> str:
    return "empty" if given == "" else kind_of(given)


def _decoded(text: str, where: str, *, limit: int) -> bytes:
    if (head := _DATA_URL.match(text)) is not None:
        text = text[head.end() :]
    if len(text) * 3 // 4 > limit + 2:
        raise _refused(
            where,
            f"has about {len(text) * 3 // 4:,} bytes; the limit is {limit:,} "
            "(COMFYFLEET_MAX_INPUT_BYTES)",
        )
    try:
        # Many tools break it into lines, as mail wants it.
        return base64.b64decode(b"".join(text.encode("ascii").split()), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        of_addresses = "; expected + and / in it, not - and _" * bool(_OF_ADDRESSES.fullmatch(text))
        raise _refused(where, f"is no base64{of_addresses}") from None


def _refused(where: str, why: str) -> InvalidInput:
    return InvalidInput(f"{where} {why}", field=where)
