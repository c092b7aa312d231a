"""Key templates: `s3://BUCKET/KEY` with placeholders, and the values that are put in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.key_parts import whole_part

#: Placeholders, and the most characters of their values.
PLACEHOLDERS: Final[Mapping[str, int]] = {
    "job": 36,
    "batch": 36,
    "row": 10,
    "n": 7,
    "owner": 192,
    "graph_node": 80,
    "name": 100,
    "ext": 11,
}
#: What a copy's thumbnail has after the copy's own key.
THUMBNAIL_SUFFIX: Final = ".thumb.webp"

FIELD: Final = "deliver.to"
FORM: Final = "s3://BUCKET/KEY"
_LONGEST_TEMPLATE: Final = 2_000
_TOKENS: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Placeholder:
    """A name in a template that a value is put in place of."""

    name: str


#: A part of a key, from `/` to `/`: texts and placeholders.
Part = Sequence[str | Placeholder]


@dataclass(frozen=True)
class KeyTemplate:
    """A template that was checked.

    Args:
        bucket: where copies go.
        parts: of the key.
    """

    bucket: str
    parts: tuple[tuple[str | Placeholder, ...], ...]

    def key(self, values: Mapping[str, str]) -> str:
        """Return the key with *values*, by placeholder, as `key_values` makes them."""
        return "/".join(
            "".join(token if isinstance(token, str) else values[token.name] for token in part)
            for part in self.parts
        )

    @property
    def names(self) -> list[str]:
        """Its placeholders."""
        return [
            token.name for part in self.parts for token in part if isinstance(token, Placeholder)
        ]

    def begin(self, owner: str) -> str:
        """Return how every key of an owner's copies begins."""
        values = {"owner": owner_value(owner)} if owner else {}
        found: list[str] = []
        for part in self.parts:
            for token in part:
                if isinstance(token, Placeholder) and token.name not in values:
                    return "".join(found)
                found.append(token if isinstance(token, str) else values[token.name])
            found.append("/")
        return "".join(found).removesuffix("/")


def key_values(
    *,
    job: str,
    owner: str,
    batch: str,
    row: int | None,
    n: int,
    graph_node: str,
    name: str,
    ext: str,
) -> dict[str, str]:
    """Return the value of each placeholder, cleaned.

    Args:
        name: of the file at its node, without its extension.
        ext: with its dot, as `.png`; it may be empty.
    """
    return {
        "job": job,
        "owner": owner_value(owner) if owner else "",
        "batch": batch,
        "row": "" if row is None else str(row),
        "n": str(n),
        "graph_node": whole_part(graph_node or "node", most=PLACEHOLDERS["graph_node"]),
        "name": whole_part(name or "file", most=PLACEHOLDERS["name"]),
        "ext": ext,
    }


def owner_value(owner: str) -> str:
    """Return an owner's name as it stands in keys: different owners have different ones."""
    return whole_part(owner, most=PLACEHOLDERS["owner"])


def parse_template(text: str) -> KeyTemplate:
    """Split a template into its parts, without the checks of `key_template_checks`; raises InvalidJob for what is none."""
    if len(text) > _LONGEST_TEMPLATE:
        raise refused(f"has {len(text):,} characters; the limit is {_LONGEST_TEMPLATE:,}")
    bucket, slash, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not slash or not bucket or "{" in bucket:
        raise refused(f"{printable(text)} is not of the form {FORM}", advice=f"write {FORM}")
    odd = next((char for char in key if not char.isprintable() or char == "\\"), None)
    if odd is not None:
        raise refused(f"has the character {odd!a} in its key; expected printable ones, and no \\")
    parts = tuple(tuple(_tokens(part)) for part in key.split("/"))
    return KeyTemplate(bucket, parts)


def _tokens(part: str) -> list[str | Placeholder]:
    found: list[str | Placeholder] = []
    for index, piece in enumerate(_TOKENS.split(part)):
        if index % 2:
            found.append(Placeholder(piece))
        elif "{" in piece or "}" in piece:
            raise refused(f"has a brace without its pair in {printable(part)}")
        elif piece:
            found.append(piece)
    return found


def refused(why: str, *, advice: str | None = None) -> InvalidJob:
    """Return the error of a template that cannot be taken."""
    return InvalidJob(f"{FIELD} {why}", field=FIELD, advice=advice)
