"""Short stories of nodes whose companion encodes: names are given before their pictures are there; see `scenarios`."""

from __future__ import annotations

from typing import Final

from tests.chaos.mutants.odd_scenarios import faulty
from tests.chaos.mutants.stage import PATIENCE_S, Stage
from tests.polling import wait_until

#: A picture that never comes is given up after a minute in which nothing was written, and some more looks.
_WAITS: Final = 5


def killed_with_pictures(stage: Stage) -> None:
    """A node dies while a picture of its waits to be encoded: the prompt is lost, and the job not charged."""
    job = _waiting(stage)
    member = stage.holder(job)
    stage.evidence.keep_journal(member)
    with stage.evidence.fault("node killed", member.name):
        member.node.kill()
        stage.wait_ends()


def full_disk(stage: Stage) -> None:
    """The node's disk is full when it writes, after the prompt has ended, and again at the next attempt."""
    faulty(stage, on="encode SaveImage", do="disk_full", count=2)
    stage.submit()
    stage.wait_ends()


def never_comes(stage: Stage) -> None:
    """A picture is never written, though its node is well."""
    _waiting(stage)
    for _ in range(_WAITS):
        stage.wait_ends()


def cancelled_with_pictures(stage: Stage) -> None:
    """A job is cancelled while its picture waits: it ends at once, and the node goes on with the next one."""
    stage.client.cancel(_waiting(stage))
    stage.wait_ends()
    stage.submit()
    stage.wait_ends()


def _waiting(stage: Stage) -> str:
    """Return a job that has rendered, and whose picture waits for ever."""
    faulty(stage, on="encode SaveImage", do="hang")
    job = stage.submit()
    record = f"comfyfleet:job:{job}"
    wait_until(
        lambda: stage.fleet.redis.client.hget(record, "phase") == "fetching",
        description="it has rendered",
        within_s=PATIENCE_S,
    )
    return job


OF_COMPANION: Final = (
    killed_with_pictures,
    full_disk,
    never_comes,
    cancelled_with_pictures,
)
