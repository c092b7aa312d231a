"""Short stories of what persons want of nodes, and of copies of what jobs make; see `scenarios`."""

from __future__ import annotations

from typing import Final

from tests.chaos.fleet.copies import DELIVER
from tests.chaos.mutants.stage import PATIENCE_S, Stage
from tests.polling import wait_until


def drained(stage: Stage) -> None:
    """A node is drained; a job comes, waits, and is made once the node is resumed."""
    name = stage.fleet.members[0].name
    stage.client.wish("drain", name)
    wait_until(
        lambda: stage.fleet.redis.client.hget(f"comfyfleet:node:{name}", "state") == "paused",
        description="it rests",
        within_s=PATIENCE_S,
    )
    stage.settle()
    stage.submit()
    stage.settle()
    stage.client.lift_surely(name)
    stage.wait_ends()


def copied(stage: Stage) -> None:
    """A job asks for a copy of what it makes."""
    stage.submit(deliver=DELIVER)
    stage.wait_ends()
    stage.wait_done("copies")


OF_OPERATIONS: Final = (drained, copied)
