"""Lives of jobs after their end, and of those that a person moves about while they wait.

What is packed, written down and told is so by upkeep of any worker, for the jobs of all lanes.
"""

from __future__ import annotations

from typing import Final

from tests.chaos.enumeration.life import Lane, Life, hand_in
from tests.chaos.fleet import workload
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.workload import Work

_HOOK: Final = "hook-1"
_OWNER: Final = "shop"
_PICTURE: Final = {"end": "succeeded", "files": [{"graph_node": "3", "width": 32, "height": 32}]}
#: Upkeep does what has fallen due in this time; what it was cut off from it does later, while other jobs live, s.
_UPKEEP_S: Final = 6.0


def _work(nonce: int) -> Work:
    return workload.sleep(0.3, nonce=nonce)


def _ahead(nonce: int) -> Work:
    return workload.sleep(1.5, nonce=nonce)


def _long_ahead(nonce: int) -> Work:
    """Return what renders for so long that the next job is not taken at once."""
    return workload.sleep(4, nonce=nonce)


def _wanted(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    return client.submit_surely(
        work, key=job, job_id=job, pool=lane.member.pool, owner=_OWNER, hook=_HOOK
    )


def _wanted_row(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    [row] = client.submit_rows_surely(
        [work], key=job, pool=lane.member.pool, owner=_OWNER, hook=_HOOK
    )
    return row


def _tell(lane: Lane, client: JournalingClient, job: str) -> None:
    """Have its end told, its record packed, and of a row its results written."""
    lane.wait_end(job)
    batch = f"{job[:-8]}00000000"
    known = lane.fleet.redis.client

    def is_told() -> bool:
        client.tell()
        return not any(known.zmscore("comfyfleet:outbox", [f"job:{job}", f"batch:{batch}"]))

    lane.wait(is_told, within_s=_UPKEEP_S)
    _wait_packed(lane, job)
    lane.wait(lambda: known.zscore("comfyfleet:results", batch) is None, within_s=_UPKEEP_S)


def _make_again(lane: Lane, client: JournalingClient, job: str) -> None:
    """Have a job made again that was cancelled before it began, once its record is packed."""
    client.ask_surely("hold", job)
    lane.wait(lambda: client.cancel(job) != "unknown")
    _wait_packed(lane, job)
    if made := client.retry_surely(job, Work(graph={}, expects=_PICTURE)):
        lane.wait_end(made)


def _wait_packed(lane: Lane, job: str) -> None:
    key = f"comfyfleet:job:{job}"
    known = lane.fleet.redis.client
    lane.wait(lambda: not known.exists(key) or known.hexists(key, "p0"), within_s=_UPKEEP_S)


def _move(lane: Lane, client: JournalingClient, _job: str) -> None:
    client.ask_surely("move", f"status:queued pool:{lane.member.pool}", tier="rush")


def _move_rows(_lane: Lane, client: JournalingClient, job: str) -> None:
    batch = f"{job[:-8]}00000000"
    client.ask_surely("hold_batch", batch)
    client.ask_surely("release_batch", batch)
    client.ask_surely("move_batch", batch, tier="rush")


def _cancel_rows(lane: Lane, client: JournalingClient, job: str) -> None:
    lane.wait(lambda: lane.record(job))  # what has none yet ends with its batch, and never gets one
    client.ask_surely("cancel_batch", f"{job[:-8]}00000000")


KEPT: Final = (
    Life("told", frozenset({"succeeded"}), _work, _tell, hand_in=_wanted),
    Life(
        "row told",
        frozenset({"succeeded"}),
        lambda nonce: workload.sample(seed=nonce),
        _tell,
        hand_in=_wanted_row,
    ),
    Life("again", frozenset({"cancelled"}), _work, _make_again, forerunner=_ahead),
    Life("moved", frozenset({"succeeded"}), _work, _move, forerunner=_long_ahead, hand_in=hand_in),
    Life(
        "rows moved",
        frozenset({"succeeded"}),
        lambda nonce: workload.sample(seed=nonce),
        _move_rows,
        forerunner=_ahead,
        hand_in=_wanted_row,
    ),
    Life(
        "rows cancelled",
        frozenset({"cancelled", "succeeded"}),
        lambda nonce: workload.sample(seed=nonce),
        _cancel_rows,
        forerunner=_ahead,
        hand_in=_wanted_row,
    ),
)
