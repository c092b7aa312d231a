"""Lives in which a person does something beyond one job: an action, a graph by name with a copy of what it makes, a rest of the node."""

from __future__ import annotations

from typing import Final

from tests.chaos.enumeration.life import Lane, Life
from tests.chaos.fleet import workload
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.copies import DELIVER
from tests.chaos.fleet.journal import surely
from tests.chaos.fleet.workload import Work

#: Colours of graphs with names: each life's own, and the one that its name gets later.
_NAMED: Final = 0x800000
_RENAMED: Final = 0x900000
_OWNER: Final = "shop"
_PICTURE: Final = {"end": "succeeded", "files": [{"graph_node": "3", "width": 32, "height": 32}]}
#: Copies are made at once, or, where that was cut off, at the end of all lives, s.
_COPIED_S: Final = 4.0
_WITHIN_S: Final = 30.0


def _hand_in_to_be_acted_on(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    return client.submit_surely(
        work, key=job, job_id=job, pool=lane.member.pool, owner=_owner_of(job)
    )


def _act(lane: Lane, client: JournalingClient, job: str) -> None:
    """Have upkeep cancel all that waits of the job's owner, and then make it again; held, it does not begin meanwhile."""
    client.ask_surely("hold", job)
    for action in ("cancel", "retry"):
        begun = client.act_surely(action, f"owner:{_owner_of(job)}", key=f"{action}-{job}")
        client.wait_action(begun, within_s=_WITHIN_S)
    for one in client.made_again([job], [Work(graph={}, expects=_PICTURE)], _owner_of(job)):
        lane.wait_end(one)


def _owner_of(job: str) -> str:
    return f"of-{job}"


def _hand_in_by_name(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    """Give the graph a name, and hand in by that what is to be copied."""
    named = workload.by_name(_name_of(job), 0.3)
    surely(lambda: client.name_graph(named.named, work, owner=_OWNER), _WITHIN_S)
    how = {"pool": lane.member.pool, "owner": _OWNER, "deliver": DELIVER}
    return client.submit_surely(named, key=job, job_id=job, **how)


def _name_anew(lane: Lane, client: JournalingClient, job: str) -> None:
    """Give the name another graph, and wait for the copy."""
    color = _RENAMED + int(job[-5:], 16) % 0x10000
    other = workload.sleep(0.1, nonce=color)
    surely(lambda: client.name_graph(_name_of(job), other, owner=_OWNER), _WITHIN_S)
    lane.wait_end(job)
    known = lane.fleet.redis.client
    lane.wait(lambda: known.zscore("comfyfleet:copies", job) is None, within_s=_COPIED_S)


def _name_of(job: str) -> str:
    return f"graph-{job}"


def _have_rest(lane: Lane, client: JournalingClient, job: str) -> None:
    """Have the node drained while it renders, and take work again."""
    lane.wait_rendering(job)
    node = lane.member.name
    surely(lambda: client.wish("drain", node, pool=lane.member.pool) or None, _WITHIN_S)
    lane.wait_end(job)
    client.lift_surely(node)


OF_OPERATIONS: Final = (
    Life(
        "acted on",
        frozenset({"cancelled", "succeeded"}),  # it may begin before it is held
        lambda nonce: workload.sleep(0.3, nonce=nonce),
        _act,
        forerunner=lambda nonce: workload.sleep(1.5, nonce=nonce),
        hand_in=_hand_in_to_be_acted_on,
    ),
    Life(
        "by name",
        frozenset({"succeeded"}),
        lambda nonce: workload.sleep(0.1, nonce=_NAMED + nonce),
        _name_anew,
        hand_in=_hand_in_by_name,
    ),
    Life(
        "drained",
        frozenset({"succeeded"}),
        lambda nonce: workload.sleep(1.0, nonce=nonce),
        _have_rest,
    ),
)
