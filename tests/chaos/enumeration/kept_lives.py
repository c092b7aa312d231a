"""Lives of jobs after their end, and of those that a person moves about while they wait.

What is packed, written down and told is so by upkeep of any worker, for the jobs of all lanes.
"""

from __future__ import annotations

from typing import Final

from tests.chaos.enumeration.life import Lane, Life, hand_in
from tests.chaos.fleet import workload
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.http_client import HttpClient
from tests.chaos.fleet.workload import Work

_HOOK: Final = "hook-1"
_OWNER: Final = "shop"
_DELIVERIES: Final = f"comfyfleet:deliveries:{_OWNER}:{_HOOK}"
_PICTURE: Final = {"end": "succeeded", "files": [{"graph_node": "3", "width": 32, "height": 32}]}
#: No batch has more rows: what ends by a larger number is a single job's id.
_ROWS: Final = 1_000
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


def _over_http(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    how = {"key": job, "pool": lane.member.pool, "owner": _OWNER, "hook": _HOOK}
    return _http(lane, client).submit_surely(work, **how)


def _rows_over_http(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    how = {"key": job, "pool": lane.member.pool, "owner": _OWNER, "hook": _HOOK}
    [row] = _http(lane, client).submit_rows_surely([work], **how)
    return row


def _http(lane: Lane, client: JournalingClient) -> HttpClient:
    return HttpClient(lane.fleet.web.urls, lane.fleet.web.keys, client.journal)


def _wait_told(lane: Lane, _client: JournalingClient, job: str) -> None:
    """Have its end told, or, where that was cut off, soon; what takes a sender's 30 s is waited for at the end of all."""
    lane.wait_end(job)
    subject = f"batch:{_batch_of(job)}" if int(job[-8:], 16) < _ROWS else f"job:{job}"
    known = lane.fleet.redis.client

    def is_told() -> bool:
        waiting = known.zrange(_DELIVERIES, 0, -1)
        is_sent = not any(subject.partition(":")[2] in delivery for delivery in waiting)
        return is_sent and known.zscore("comfyfleet:outbox", subject) is None

    lane.wait(is_told, within_s=_UPKEEP_S)


def _keep(lane: Lane, client: JournalingClient, job: str) -> None:
    """Have its end told, its record packed, and of a row its results written."""
    _wait_told(lane, client, job)
    _wait_packed(lane, job)
    batch, known = _batch_of(job), lane.fleet.redis.client
    lane.wait(lambda: known.zscore("comfyfleet:results", batch) is None, within_s=_UPKEEP_S)


def _batch_of(job: str) -> str:
    return f"{job[:-8]}00000000"


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
    batch = _batch_of(job)
    client.ask_surely("hold_batch", batch)
    client.ask_surely("release_batch", batch)
    client.ask_surely("move_batch", batch, tier="rush")


def _cancel_rows(lane: Lane, client: JournalingClient, job: str) -> None:
    lane.wait(lambda: lane.record(job))  # what has none yet ends with its batch, and never gets one
    client.ask_surely("cancel_batch", _batch_of(job))


KEPT: Final = (
    Life("told", frozenset({"succeeded"}), _work, _keep, hand_in=_wanted),
    Life(
        "row told",
        frozenset({"succeeded"}),
        lambda nonce: workload.sample(seed=nonce),
        _keep,
        hand_in=_wanted_row,
    ),
    Life(
        "over HTTP",
        frozenset({"succeeded"}),
        _work,
        _wait_told,
        hand_in=_over_http,
        is_of_web=True,
    ),
    Life(
        "rows over HTTP",
        frozenset({"succeeded"}),
        lambda nonce: workload.sample(seed=nonce),
        _wait_told,
        hand_in=_rows_over_http,
        is_of_web=True,
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
