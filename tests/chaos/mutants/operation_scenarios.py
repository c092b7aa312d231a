"""Short stories of what persons want of nodes, and of copies of what jobs make; see `scenarios`."""

from __future__ import annotations

import time
from typing import Final

from tests.chaos.fleet.copies import DELIVER
from tests.chaos.mutants.stage import Stage

#: Somewhat longer than the checker gives a worker to obey.
_OBEYS_WITHIN_S: Final = 3.2


def drained(stage: Stage) -> None:
    """A node is drained; a job comes, waits, and is made once the node is resumed."""
    _have_rest(stage, "drain", stage.fleet.members[0].name, kind="node")


def pool_paused(stage: Stage) -> None:
    """The same with all nodes of a pool."""
    _have_rest(stage, "pause", stage.fleet.members[0].pool, kind="pool")


def copied(stage: Stage) -> None:
    """A job asks for a copy of what it makes."""
    stage.submit(deliver=DELIVER)
    stage.wait_ends()
    stage.wait_done("copies")


def _have_rest(stage: Stage, verb: str, about: str, *, kind: str) -> None:
    stage.client.wish(verb, about, kind=kind)
    time.sleep(_OBEYS_WITHIN_S)
    stage.submit()
    stage.settle()
    stage.client.lift_surely(about, kind=kind)
    stage.wait_ends()


OF_OPERATIONS: Final = (drained, pool_paused, copied)
