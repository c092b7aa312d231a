"""The lives of a job that are enumerated: each passes through requests that no other does."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Final

from tests.chaos.checker.history import TERMINAL
from tests.chaos.enumeration.kept_lives import KEPT
from tests.chaos.enumeration.life import Lane, Life
from tests.chaos.enumeration.operation_lives import OF_OPERATIONS
from tests.chaos.fleet import workload
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.workload import Work

#: A connection that was silent for longer is checked before it is used: 10 s, and a margin.
_UNCHECKED_S: Final = 10.5


def _cancel(lane: Lane, client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.wait(lambda: client.cancel(job) != "unknown")


def _kill_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.kill()


def _stop_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.signal(signal.SIGTERM)


def _freeze_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.signal(signal.SIGSTOP)
    try:
        lane.wait(
            lambda: (
                lane.record(job).get("attempt") != "1" or lane.record(job).get("status") in TERMINAL
            )
        )
    finally:
        lane.member.worker.signal(signal.SIGCONT)


def _kill_node(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.node.kill()


def _forget_connections(lane: Lane) -> None:
    # A broker at another address is a new one to a process, as each is to a new process.
    lane.fleet.open_edges(lane.producer)


def _let_rest(_lane: Lane) -> None:
    time.sleep(_UNCHECKED_S)  # the silence itself is what is wanted


def _flush_scripts(lane: Lane) -> None:
    lane.fleet.redis.client.script_flush()


def _hand_in_row(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    return client.submit_rows_surely([work], key=job, pool=lane.member.pool)[0]


def _sleep(seconds: float) -> Callable[[int], Work]:
    return lambda nonce: workload.sleep(seconds, nonce=nonce)


def _sample(model: str) -> Callable[[int], Work]:
    return lambda nonce: workload.sample(seed=nonce, model=model)


LIVES: Final = (
    Life("plain", frozenset({"succeeded"}), _sleep(0.7)),
    Life("reading", frozenset({"succeeded"}), lambda nonce: workload.read(0.1, nonce=nonce)),
    Life("failing", frozenset({"failed"}), lambda nonce: workload.fail(nonce=nonce)),
    Life("cancelled", frozenset({"cancelled"}), _sleep(4), _cancel),
    Life("returning", frozenset({"succeeded"}), _sleep(2.5), _kill_worker),
    Life("left", frozenset({"succeeded"}), _sleep(2.5), _stop_worker),
    Life("overtaken", frozenset({"succeeded"}), _sleep(1.5), _freeze_worker),
    Life("forgotten", frozenset({"succeeded"}), _sleep(1.5), _kill_node),
    Life("ahead", frozenset({"succeeded"}), _sleep(0.3), forerunner=_sleep(1.5)),
    Life(
        "row",  # of a batch, for which the node turns to another model
        frozenset({"succeeded"}),
        _sample(workload.MODELS[0]),
        forerunner=_sample(workload.MODELS[1]),
        hand_in=_hand_in_row,
    ),
    Life("first", frozenset({"succeeded"}), _sleep(0.3), prepare=_forget_connections),
    Life("rested", frozenset({"succeeded"}), _sleep(0.3), prepare=_let_rest),
    Life("retold", frozenset({"succeeded"}), _sleep(0.3), prepare=_flush_scripts),
    *KEPT,
    *OF_OPERATIONS,
)


def life_named(name: str) -> Life:
    """Return the life of that name."""
    return next(life for life in LIVES if life.name == name)
