"""The outlook: what waits where, and which nodes have which models loaded.

Whoever sweeps has Redis put it together and tell every worker, about once a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

#: Who has missed so many outlooks in a row knows nothing any more.
_MISSED: Final = 3


@dataclass(frozen=True)
class Line:
    """The jobs of one tier that wait in one queue; there is at least one.

    Args:
        oldest_ms: when the oldest was sent, Unix ms by Redis' clock.
    """

    queue: str
    priority: int
    jobs: int
    oldest_ms: int


@dataclass(frozen=True)
class ReadyNode:
    """A node that could take a job.

    Args:
        pool: where it takes jobs from.
        kind: the same for nodes of one pool that can run the same.
        warm: the base models it loaded last, as far as is known.
    """

    name: str
    pool: str
    kind: str
    warm: frozenset[str]
    is_idle: bool


@dataclass(frozen=True)
class Outlook:
    """The fleet at one moment.

    Args:
        holds_s: how long it may be gone by when no other one comes.
    """

    lines: tuple[Line, ...]
    nodes: tuple[ReadyNode, ...]
    holds_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `outlook.lua` publishes; what newer versions add at the end is passed over."""
        found = json.loads(text)
        return cls(
            # Lua writes an empty list as {}.
            lines=tuple(Line(*line[:4]) for line in found["waiting"]),
            nodes=tuple(node for alike in found["nodes"] for node in _nodes(*alike[:5])),
            holds_s=_MISSED * found["every_ms"] / 1000,
        )


def models_text(models: Iterable[str]) -> str:
    """Return how a node's record holds its warm models."""
    return json.dumps(sorted(models))


def read_models(text: str) -> frozenset[str]:
    """Read what `models_text` wrote."""
    return frozenset(json.loads(text))


def _nodes(
    pool: str, catalog: str, models: str, is_idle: int, names: Sequence[str]
) -> list[ReadyNode]:
    warm = read_models(models)
    return [ReadyNode(name, pool, f"{pool} {catalog}", warm, bool(is_idle)) for name in names]
