"""Metadata of a job, checked: it is stored with each artifact as S3's user metadata.

S3 keeps 2 KB of names and values with an object, in ASCII, of which the fleet's own take some. So
all of a job's metadata is bounded in its percent-encoded form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable, text_flaw

#: Bytes of all names and values, percent-encoded.
MOST_BYTES: Final = 1_400
_LONGEST_NAME: Final = 64
#: Names of the fleet's own metadata of an artifact.
_OURS: Final = frozenset({"job", "graph-node", "seed", "sha256"})


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Check a job's metadata.

    Raises:
        InvalidJob: a name or value is no text, has a name of the fleet's own, is given twice, or
            all of it is too long.
    """
    size = 0
    seen: dict[str, str] = {}
    for name, value in metadata.items():
        if complaint := _complaint(name, value, seen):
            raise InvalidJob(
                f"metadata {printable(str(name))!r} {complaint}", field=f"metadata.{name}"
            )
        seen[name.lower()] = name
        size += _size(name) + _size(value)
        if size > MOST_BYTES:
            raise InvalidJob(
                f"metadata {printable(name)!r} makes all of it longer than {MOST_BYTES:,} bytes, "
                "as S3 carries it",
                field=f"metadata.{name}",
                advice="keep long texts yourself, and a number of yours here",
            )


def _complaint(name: object, value: object, seen: Mapping[str, str]) -> str | None:
    if flaw := text_flaw(name) or text_flaw(value):
        return flaw
    if not isinstance(name, str) or not name.strip():
        return "has no name"
    if len(name) > _LONGEST_NAME:
        return f"has a name of {len(name):,} characters; the limit is {_LONGEST_NAME}"
    if name.lower() in _OURS:
        return "is a name that the fleet uses itself"
    if name.lower() in seen:
        return f"differs from {printable(seen[name.lower()])!r} in capitals only, which S3 ignores"
    return None


def _size(text: str) -> int:
    # A text that is too long even unencoded is not encoded.
    return len(quote(text, safe="")) if len(text) <= MOST_BYTES else len(text)
