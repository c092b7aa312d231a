"""Outlook: the jobs that wait in each queue, and the models that each ready node has loaded.

The worker that sweeps has Redis compute it and publish it to every worker, about once a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from producer.contract.json_texts import read_json

#: An outlook is invalid after so many later ones were missed.
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
        pool: the pool whose jobs it takes.
        kind: equal for nodes of one pool with equal catalogs.
        warm: the base models it loaded last, if known.
    """

    name: str
    pool: str
    kind: str
    warm: frozenset[str]
    is_idle: bool


@dataclass(frozen=True)
class Outlook:
    """Waiting jobs and ready nodes at one time.

    Args:
        holds_s: how long it is valid if no other one comes, s.
    """

    lines: tuple[Line, ...]
    nodes: tuple[ReadyNode, ...]
    holds_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `outlook.lua` publishes; values that newer versions append are ignored.

        Raises:
            ValueError, LookupError, TypeError: it is none.
        """
        found = read_json(text)
        return cls(
            # Lua writes an empty list as {}.
            lines=tuple(_line(*line[:4]) for line in found["waiting"]),
            nodes=tuple(node for alike in found["nodes"] for node in _nodes(*alike[:5])),
            holds_s=_MISSED * float(found["every_ms"]) / 1000,
        )


def models_text(models: Iterable[str]) -> str:
    """Return loaded models as a node's record has them: a JSON list."""
    return json.dumps(sorted(models))


def read_models(text: str) -> frozenset[str]:
    """Read what `models_text` wrote.

    Raises:
        ValueError: it is no list of texts.
    """
    found = read_json(text)
    if not isinstance(found, list) or not all(isinstance(model, str) for model in found):
        raise ValueError(f"no list of models: {text[:80]!r}")
    return frozenset(found)


def _line(queue: str, priority: float, jobs: float, oldest_ms: float) -> Line:
    if not isinstance(queue, str):
        raise TypeError(f"a queue's name is no text: {queue!r:.80}")
    return Line(queue, int(priority), int(jobs), int(oldest_ms))


def _nodes(
    pool: str, catalog: str, models: str, is_idle: int, names: Sequence[str]
) -> list[ReadyNode]:
    try:
        warm = read_models(models)
    except ValueError:
        warm = frozenset()  # from the record of one node, which may be odd; the others are well
    if not all(isinstance(name, str) for name in (pool, catalog, *names)):
        raise TypeError("a node's name, pool or catalog is no text")
    return [ReadyNode(name, pool, f"{pool} {catalog}", warm, bool(is_idle)) for name in names]
