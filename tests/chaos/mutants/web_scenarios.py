"""Short stories of jobs that come over HTTP, and of webhooks; see `scenarios`. Their fleet has an API, senders and a receiver."""

from __future__ import annotations

from typing import Final

from tests.chaos.fleet import workload
from tests.chaos.fleet.http_client import HttpClient
from tests.chaos.fleet.web_services import OWNERS, RECEIVER
from tests.chaos.mutants.stage import Stage
from tests.chaos.proxy.rules import Fault, Rule

#: Two waits of the ladder, of 5 s each, and what senders need to come to it.
_TOLD_WITHIN_S: Final = 40.0


def refused_at_first(stage: Stage) -> None:
    """A receiver refuses one message, and takes another whose answer is lost; then it takes both."""
    rules = (
        Rule(edge=RECEIVER, request="POST *", fault=Fault.ANSWER, status=503),
        Rule(edge=RECEIVER, request="POST *", fault=Fault.CUT, after=True),
    )
    for number, rule in enumerate(rules):
        with stage.under(rule) as struck:
            stage.jobs.append(_http(stage).submit_surely(_work(stage), key=f"order-{number}"))
            stage.wait_struck(struck)
    stage.wait_ends()
    stage.wait_done("outbox", "deliveries", within_s=_TOLD_WITHIN_S)


def asked_over_http(stage: Stage) -> None:
    """Two owners choose the same key for the same graph, and each asks twice."""
    work = _work(stage)
    for _ in range(2):
        for owner in OWNERS:
            if job := _http(stage).submit(work, key="order-1", owner=owner):
                stage.jobs.append(job)
    stage.wait_ends()
    stage.wait_done("outbox", "deliveries")


def _work(stage: Stage) -> workload.Work:
    return workload.sleep(0.1, nonce=next(stage.nonces))


def _http(stage: Stage) -> HttpClient:
    return HttpClient(stage.fleet.web.urls, stage.fleet.web.keys, stage.client.journal)


OF_WEB: Final = (refused_at_first, asked_over_http)
