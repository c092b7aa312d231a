"""A store's answers about one request end its job; only a bucket that is away shuts the gate."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest

from producer.client import Producer
from producer.contract.errors import InvalidInput, JobNotSucceeded
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from tests.acceptance.serving import is_ready
from tests.graphs import journal, sleeping
from tests.integration.object_store import providers
from tests.integration.object_store.faulty_store import faulty_store
from tests.polling import wait_until

PATIENCE = timedelta(seconds=40)

READS_A_PICTURE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


class Rule:
    """What the store answers in its stead at present."""

    present = None

    def __call__(self, request):
        return self.present(request) if self.present else None


@contextmanager
def behind_a_rule(stack, serve, pool):
    """Have a worker that reaches the store only as the rule lets it."""
    rule = Rule()
    with (
        faulty_store(stack.settings["s3_endpoint_url"], before=rule) as faulty,
        serve(pool, pool, COMFYFLEET_S3_ENDPOINT_URL=faulty.url),
    ):
        yield rule


def ended(fleet, graph, pool, **options):
    with pytest.raises(JobNotSucceeded) as raised:
        fleet.wait(fleet.submit(graph, pool=pool, **options).id, timeout=PATIENCE)
    return raised.value.job


def test_a_request_that_the_store_will_never_take_ends_its_job_and_no_other(
    stack, fleet, serve, node
):
    with behind_a_rule(stack, serve, "refused") as rule:
        missing = {"inputs": {"1.image": "s3://no-such-bucket/a.png"}}
        with pytest.raises(InvalidInput, match="is not there"):
            fleet.submit(READS_A_PICTURE, pool="refused", **missing)
        # This producer may not look, so it is left to the worker.
        with Producer(fleet.settings.model_copy(update={"s3_credentials_file": None})) as stranger:
            unseen = ended(stranger, READS_A_PICTURE, "refused", **missing)
        assert (unseen.error.cause, unseen.attempt) == ("invalid_input", 1)
        assert "no bucket no-such-bucket" in unseen.error.message
        assert unseen.error.graph_node == "1"

        rule.present = lambda request: (
            providers.Refusal(400, "InvalidTag")
            if request.command == "PUT" and "/jobs/" in request.path
            else None
        )
        refused = ended(fleet, sleeping(), "refused")
        assert (refused.error.cause, refused.attempt) == ("storage_refused", 1)
        assert "400 InvalidTag to PutObject" in refused.error.message
        assert len(journal(node)) == 1
        rule.present = None
        assert is_ready(fleet, "refused")
        fleet.wait(fleet.submit(sleeping(), pool="refused").id, timeout=PATIENCE)


def test_a_bucket_that_is_closed_to_us_is_waited_for_and_named(stack, fleet, serve, node):
    with behind_a_rule(stack, serve, "closed") as rule:
        rule.present = lambda request: providers.DENIED if request.command == "PUT" else None
        job = fleet.submit(sleeping(), pool="closed")
        wait_until(lambda: is_blocked(fleet, "closed"), description="the node says why")
        rule.present = providers.no_deleting
        done = fleet.wait(job.id, timeout=PATIENCE)
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 1)
    assert len(journal(node)) == 1


def is_blocked(fleet, name):
    [found] = [node for node in fleet.nodes() if node.name == name]
    return found.state is NodeState.BLOCKED and "PutObject (AccessDenied)" in found.reason
