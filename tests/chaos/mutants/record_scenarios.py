"""Short stories of what becomes of ended jobs: listed, counted, packed, told, written down; see `scenarios`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from producer.contract.ids import JobId, row_of
from tests.chaos.fleet import workload
from tests.chaos.fleet.workload import Work
from tests.chaos.mutants.stage import PATIENCE_S, Stage
from tests.chaos.proxy.rules import Fault, Rule
from tests.polling import wait_until

#: Results that could not be written are tried again after 30 s.
_TRIED_AGAIN_S: Final = 45.0
#: More rows than reach the queue at once.
_MORE_THAN_ARE_FED: Final = 400
_WANTED: Final[dict[str, Any]] = {"owner": "shop", "hook": "hook-1"}


def kept(stage: Stage) -> None:
    """Jobs of an owner who wants to hear of their ends: they end in three ways, are told, packed and made again."""
    work = workload.sleep(0.3, nonce=next(stage.nonces))
    first = stage.submit(work, **_WANTED)
    stage.submit(workload.fail(nonce=99), **_WANTED)
    stage.submit(batch="b1", **_WANTED)
    stage.client.cancel(stage.submit(**_WANTED))
    stage.wait_ends()
    stage.tell_all()
    stage.wait_done("unpacked", "outbox")
    stage.make_again(first, work)
    stage.wait_ends()
    stage.tell_all()
    stage.wait_done("unpacked", "outbox")
    stage.settle()
    stage.tell_all()


def rows_kept(stage: Stage) -> None:
    """Rows of a batch that end at different times: packed, told, made again, packed and told again."""
    rows = _rows(0.1, 0.2, 6)
    jobs = stage.submit_rows(rows, **_WANTED)
    stage.wait_ends()
    _let_upkeep(stage)
    for job, row in zip(jobs[:2], rows, strict=False):
        stage.make_again(job, row)
    stage.wait_ends()
    _let_upkeep(stage)


def bucket_away(stage: Stage) -> None:
    """The results of a batch cannot be written when they are due."""
    # Refused, as boto3 tries once only then: a strike is a failure.
    away = Rule(edge="*.s3", request="PUT results", fault=Fault.ANSWER, status=403, times=0)
    with stage.under(away) as number:
        stage.submit_rows(_rows(0.1, 0.1))
        stage.wait_ends()
        wait_until(
            lambda: stage.fleet.proxy.look(number).struck,
            description="somebody writes results",
            within_s=PATIENCE_S,
        )
    stage.wait_done("unpacked:rows", "results", within_s=_TRIED_AGAIN_S)


def rows_cancelled(stage: Stage) -> None:
    """A batch is cancelled most of whose rows have not got a record yet."""
    jobs = stage.submit_rows(_rows(*[0.1] * _MORE_THAN_ARE_FED))
    batch, _ = row_of(JobId(jobs[0]))
    stage.client.ask_surely("cancel_batch", batch)
    _let_upkeep(stage)


def moved(stage: Stage) -> None:
    """A job that waits behind another one is moved to another tier."""
    stage.wait_rendering(stage.submit(workload.sleep(2.5, nonce=98)))
    for _ in range(3):
        stage.submit(tier="idle")
    stage.client.move("status:queued tier:idle", tier="rush")
    stage.wait_ends()


def _let_upkeep(stage: Stage) -> None:
    stage.wait_done("unpacked:rows")
    stage.tell_all()
    stage.wait_done("results", "outbox", within_s=_TRIED_AGAIN_S)


def _rows(*seconds: float) -> list[Work]:
    """Return rows of one graph that hold the card for so long each."""
    works = [workload.sleep(each, nonce=200 + number) for number, each in enumerate(seconds)]
    return [
        replace(
            work,
            graph=works[0].graph,
            params={"2.seconds": each, "2.nonce": 200 + number, "1.color": 200 + number},
        )
        for number, (work, each) in enumerate(zip(works, seconds, strict=True))
    ]


OF_RECORDS: Final = (kept, rows_kept, rows_cancelled, bucket_away, moved)
