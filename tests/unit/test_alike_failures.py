"""Jobs of different templates that fail alike on one node speak against it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from producer.contract.errors import PromptFailed
from producer.contract.jobs import Attempt, JobError
from tests.unit.test_retry import running
from worker.alike_failures import AlikeFailures
from worker.retry import decide

NODE = "gpu-01"


def raised(kind="RuntimeError", where="KSampler"):
    return PromptFailed(
        NODE, "graph node 3 raised", graph_node="3", exception_type=kind, class_type=where
    )


@pytest.fixture
def hear():
    """Tell of a failure of a job of one template; return whether the node is to blame."""
    alike = AlikeFailures()

    def hear(template, error=None, *, job=None):
        job = (job or running()).model_copy(update={"template": template})
        return alike.hear(job, error or raised(), node=NODE)

    hear.success = alike.success
    return hear


def test_three_templates_that_fail_alike_speak_against_the_node_until_a_success(hear):
    assert [hear(template) for template in "abca"] == [False, False, True, True]
    hear.success()
    assert not hear("d")


def test_one_template_that_fails_for_ever_speaks_against_its_jobs(hear):
    assert not any(hear("a") for _ in range(9))


def test_those_that_fail_differently_are_not_added_up(hear):
    kinds = [raised("ValueError"), raised("KeyError"), raised(where="VAEDecode"), raised()]
    assert not any(hear(str(number), error) for number, error in enumerate(kinds))


def test_what_failed_on_another_node_says_nothing_against_this_one(hear):
    error = JobError(cause="execution_error", message="as asked", node="gpu-02")
    before = Attempt(number=1, node="gpu-02", charged=True, error=error, ended_at=datetime.now(UTC))
    job = running().model_copy(update={"attempts": [before]})
    assert not any(hear(template, job=job) for template in "abcd")


def test_what_is_the_nodes_doing_is_not_charged_and_asks_for_a_canary():
    verdict = decide(raised(), running(), node=NODE, is_nodes_doing=True)
    assert (verdict.again, verdict.charged, verdict.blames_node) == (True, False, True)
