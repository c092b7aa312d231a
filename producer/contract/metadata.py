"""What metadata a job may have: it travels with each artifact as S3's user metadata.

S3 keeps 2 KB of names and values with an object, in ASCII; the fleet's own need some of it. So all
of a job's metadata is bounded in the form in which it travels.
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
#: What the fleet itself says of an artifact.
_OURS: Final = frozenset({"job", "graph-node", "seed", "sha256"})


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse metadata that is no text, is too much, or takes a name of the fleet's own.

    Raises:
        InvalidJob: naming it.
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
    # What is too long anyway need not be encoded.
    return len(quote(text, safe="")) if len(text) <= MOST_BYTES else len(text)
