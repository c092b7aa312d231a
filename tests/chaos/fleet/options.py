"""What a fleet to be hurt is made of, and what its processes see of the machine's environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.local.environment import without_proxy

#: The tree under test: this one, or the copy in which a mutant lives.
TREE: Final = Path(__file__).resolve().parents[3]

#: Longer than a worker takes to start anew on two busy cores, as 15 s are on a real node.
LEASE_S: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """What the fleet is made of.

    Args:
        pools: one for each node.
        skew_s: how much the clocks of all workers go wrong.
        is_recorded: whether the proxy logs requests from the fleet's first one on.
        worker_command: what to run in the place of our worker, after the interpreter.
        landed: the Python of an environment with the version that was landed last; None without one.
        landed_share: how many of the workers, and of the processes of the web, are of that version.
        settings: of workers and producers, by the names of `Settings`, beyond the harness' own.
        web: how many processes of the HTTP API it has, and of senders of webhooks; none: nor a receiver.
        can_restart: whether workers have a command that restarts their node.
        companions: the nodes that have the companion, by their numbers from 1.
        encode_seconds: what a picture takes to be encoded.
    """

    directory: Path
    pools: Sequence[str] = ("default", "default")
    step_seconds: float = 0.005
    load_seconds: float = 0.02
    lease_s: float = LEASE_S
    skew_s: float = 0
    is_recorded: bool = False
    worker_command: Sequence[str] = ()
    landed: Path | None = None
    landed_share: float = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    web: int = 0
    can_restart: bool = False
    companions: Collection[int] = ()
    encode_seconds: float = 0


def own_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our own environment without settings of another fleet, for the tree under test."""
    kept_ = {k: v for k, v in os.environ.items() if not k.startswith(("COMFYFLEET_", "AWS_"))}
    return {
        **kept_,
        **without_proxy(),
        "PYTHONPATH": str(TREE),
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
