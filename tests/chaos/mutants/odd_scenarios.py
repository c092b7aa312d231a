"""Short stories of odd nodes, stores and callers; see `scenarios`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import requests

from tests.chaos.fleet import workload
from tests.chaos.fleet.workload import Work
from tests.chaos.mutants.stage import Stage
from tests.chaos.proxy.rules import Fault, Rule

_FAILS: Final = {"end": "failed"}


def drips(stage: Stage) -> None:
    """A node gives its file a byte a second, for longer than the job may take."""
    faulty(stage, on="GET /view", do="slow", bytes_per_s=1, count=0)
    stage.submit(failing(nonce=7), run_within=timedelta(seconds=3))
    stage.wait_ends()


def odd_words(stage: Stage) -> None:
    """A graph node raises with half a character in its words."""
    faulty(stage, on="run ComfyFleetSleep", do="raise", body="half \ud83d", count=3)
    stage.submit(failing(nonce=7))
    stage.wait_ends()


def broken_card(stage: Stage) -> None:
    """The card does not work for two attempts, then it does."""
    words = "CUDA error: an illegal memory access was encountered"
    faulty(stage, on="run ComfyFleetSleep", do="raise", body=words, count=2)
    stage.submit()
    stage.wait_ends()


def too_deep(stage: Stage) -> None:
    """A caller hands in a graph that no parser takes."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    work = failing(nonce=7)
    work.graph["1"]["inputs"]["color"] = value
    stage.client.submit(work, key="deep")
    stage.submit()
    stage.wait_ends()


def refused(stage: Stage) -> None:
    """The store will not take an artifact, however often it is asked."""
    refusal = Rule(edge="*.s3", request="PUT artifact", fault=Fault.ANSWER, status=413, times=0)
    with stage.under(refusal):
        stage.submit(failing(nonce=7))
        stage.wait_ends()


def failing(*, nonce: int) -> Work:
    """Return work that may not succeed where its story is told."""
    return replace(workload.sleep(0.1, nonce=nonce), expects=_FAILS)


def faulty(stage: Stage, **rule: object) -> None:
    """Have the first node do something wrong, as `infra/standin/faults.py` lists it."""
    url = f"{stage.fleet.members[0].url}/standin/faults"
    with requests.Session() as session:
        session.trust_env = False
        session.post(url, json=rule, timeout=5).raise_for_status()


ODD: Final = (drips, odd_words, broken_card, too_deep, refused)
