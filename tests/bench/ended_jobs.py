"""Single jobs that have ended: led through the store's own steps to their commit, packed as upkeep packs them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta

from redis import Redis

from producer.contract.ids import prompt_id
from producer.contract.jobs import Artifact, Job, Phase, Progress
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.job_store import JobStore
from producer.store.packing import Packing
from producer.store.scripts import Scripts

#: Events are bounded in number, and a queue's indexes are empty once its jobs have ended.
_NO_PART = (keys.EVENTS,)
_IN_TWO_HOURS = "local t = redis.call('TIME') return t[1] * 1000 + 7200000"
_KEEP = timedelta(days=7)


def fill(redis: Redis, submissions: Iterable[tuple[Submission, bytes]]) -> None:
    """Have these jobs, each with its graph, succeed with a picture of 1.5 MB, and pack them."""
    store = JobStore(redis, keep_ended=_KEEP)
    for submission, graph in submissions:
        store.add(submission, graph=graph)
        _lead(store, submission)
    packing = Packing(Scripts(redis, clock_lua=_IN_TWO_HOURS), after=timedelta(hours=1))
    while packing.pack():
        pass
    redis.delete(*_NO_PART)


def _lead(store: JobStore, submission: Submission) -> None:
    chance = random.Random(submission.id)
    node = f"gpu-{chance.randrange(1, 11):02}"
    hold = Hold(submission.id, 1, f"{node}:{chance.randbytes(8).hex()}")
    job = store.claim(
        submission.id,
        attempt=1,
        node=node,
        worker=hold.worker,
        lease=timedelta(seconds=15),
        prompt_id=prompt_id(submission.id, 1),
    )
    assert job
    store.note(hold, phase=Phase.RENDERING)
    last = Progress(graph_node="3", value=20, max=20, graph_nodes_done=3, graph_nodes=3)
    store.note(hold, progress=last)
    for phase in (Phase.FETCHING, Phase.STORING):
        store.note(hold, phase=phase)
    store.commit(hold, artifacts=[_artifact(job, chance)], values={})


def _artifact(job: Job, chance: random.Random) -> Artifact:
    return Artifact(
        key=f"jobs/{job.id}/1/9-0.png",
        graph_node="9",
        index=0,
        kind="images",
        type="output",
        name=f"comfyfleet-{job.id}-1-9-out_00001_.png",
        media_type="image/png",
        bytes=chance.randrange(1_200_000, 1_800_000),
        sha256=chance.randbytes(32).hex(),
        width=1024,
        height=1024,
    )
