"""Named graphs: a graph that an owner keeps in the fleet, by the name under which jobs ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NamedGraph:
    """The name of one of the owner's templates, in place of a graph: `submit(NamedGraph("portrait"), ...)`.

    A job, or a batch, is made from the template's revision at that moment, and stays what it is.
    """

    name: str


class JsonObject(dict[str, Any]):
    """An object that was read from JSON of bounded size, of which no key is said twice: nobody has to read it again."""


#: How a graph may be passed: bytes or text of a file, the parsed document, or the name of a template.
GraphLike = bytes | str | Mapping[str, Any] | list[Any] | NamedGraph
