"""What odd answers came to."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class AnswerReport:
    """What the odd answers came to."""

    seed: int
    cases: int = 0
    endpoints: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    rounds: int = 0
    jobs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    attempts_lost: int = 0
    attempts_lost_most: int = 0  #: By one job.
    attempts_lost_most_a_round: int = 0
    times_set_aside: int = 0
    jobs_without_end: int = 0
    tracebacks: int = 0
    workers_dead: int = 0
    nodes_blocked: int = 0
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """Write it on one line."""
        return json.dumps(vars(self))

    def told(self) -> str:
        """Write it for a person."""
        told = [f"{name}: {value}" for name, value in vars(self).items() if name != "broken"]
        return "\n".join([*told, *self.broken])
