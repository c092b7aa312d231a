"""Templates by name: what is on record of a named graph, and how many of them an owner may have."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable, text_flaw
from producer.contract.owners import owner_flaw
from producer.contract.queues import is_name

#: Templates of one owner, and bytes of all of them together, compressed: Redis holds them in memory.
MOST_TEMPLATES: Final = 200
MOST_TEMPLATE_BYTES: Final = 16 << 20


class Template(BaseModel):
    """A named graph, as it is on record.

    Args:
        revision: how often the graph of this name has changed, counted from 1.
        template: SHA-256 of the graph's canonical JSON; jobs that were made from it have the same `template`.
        bytes: of that JSON.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    owner: str = ""
    revision: int
    template: str
    graph_nodes: int
    bytes: int
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """What `If-Match` compares: another one once the graph is another one."""
        return f"{self.revision}-{self.template[:12]}"


class TemplateGraph(Template):
    """A named graph with the graph itself, and what goes to nodes beside it, which has no secrets."""

    graph: dict[str, Any]
    extra_data: dict[str, Any] = {}


class TemplatePut(NamedTuple):
    """What became of a graph that was to have a name."""

    template: Template
    is_new: bool  #: Whether the name is.


def check_template_name(name: object, *, field: str = "template") -> str:
    """Return a template's name.

    Raises:
        InvalidJob: it is none; names *field*.
    """
    if not isinstance(name, str) or not is_name(name):
        shown = printable(name) if isinstance(name, str) else type(name).__name__
        raise InvalidJob(
            f"{shown} is no name of a template; expected 1 to 63 characters: "
            "a to z, 0 to 9, and . _ - after the first",
            field=field,
        )
    return name


def check_template_owner(owner: object) -> str:
    """Return the name of an owner, which stands in keys; raises InvalidJob for what can be none."""
    if flaw := text_flaw(owner) or owner_flaw(str(owner)):
        raise InvalidJob(f"owner {flaw}", field="owner")
    return str(owner)
