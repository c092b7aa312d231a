"""Where a job goes that its node refused for what only others have; with a real Redis."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.errors import LeaseLost
from producer.contract.jobs import JobError
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs
from producer.store.attempts import Hold
from producer.store.node_store import NodeStore
from producer.store.rerouting import Rerouting
from producer.store.sweeps import Sweeps
from tests.integration.hand_led import LEASE, WORKER, HandLed
from worker.attempt.rerouting import Rerouter
from worker.errors import PromptRejected

LORA = "mine.safetensors"


def having(*loras: str) -> Catalog:
    return Catalog({"LoraLoader": GraphNodeClass(models={"lora_name": loras})})


class Agent:
    """What a node believes to have, and how often that was found to be wrong."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.stale = 0

    def on_stale_catalog(self) -> None:
        self.stale += 1


class Fleet:
    """`gpu-01`, which refuses a job, and nodes beside it."""

    def __init__(self, led: HandLed, *, believed: Catalog, others: dict[str, Catalog]) -> None:
        nodes = NodeStore(led.redis, lease=LEASE)
        for name, catalog in others.items():
            fields = {"pool": "default", "url": "", "state": NodeState.READY}
            texts = {"catalog": catalog.to_text(), "catalog_sha": catalog.sha}
            nodes.register(name, worker=f"{name}:1", fields={**fields, **texts})
        self.sweeps = Sweeps(led.redis, keep_ended=timedelta(minutes=1))
        self.agent = Agent(believed)
        self.rerouter = Rerouter(
            "gpu-01",
            nodes=nodes,
            sweeps=self.sweeps,
            rerouting=Rerouting(led.redis),
            agent=self.agent,
        )

    def reroute(self, job, *, value=LORA, holder=WORKER):
        info = {"input_name": "lora_name", "received_value": value}
        error = {"type": "value_not_in_list", "extra_info": info}
        refused = {"7": {"class_type": "LoraLoader", "errors": [error]}}
        rejection = PromptRejected("gpu-01", "it is not in the list", refused)
        return self.rerouter.reroute(job, Hold(job.id, job.attempt, holder), rejection)


def test_a_refused_job_waits_in_a_queue_that_names_what_its_node_lacked(led):
    refused = led.running()
    fleet = Fleet(led, believed=having(), others={"gpu-02": having(), "gpu-03": having(LORA)})
    job, error = fleet.reroute(refused)
    needs = Needs.of("default", models=[LORA])
    assert job.queue == needs.queue
    assert Needs.from_json(fleet.sweeps.queues()[job.queue]) == needs
    assert "gpu-03 has what is missing here" in error.message
    story = JobError(cause="node_lacks", message=error.message, node="gpu-01")
    led.store.requeue(job.id, attempt=1, worker=WORKER, error=story, charged=False)
    assert led.fleet.get(job.id).queue == job.queue
    assert led.redis.zcard(f"comfyfleet:queued:{job.queue}:3") == 1
    assert fleet.agent.stale == 0


@pytest.mark.parametrize("others", [{}, {"gpu-02": having("other.safetensors")}])
def test_what_no_living_node_has_leads_nowhere(led, others):
    job = led.running()
    fleet = Fleet(led, believed=having(), others=others)
    assert fleet.reroute(job) is None
    assert led.fleet.get(job.id).queue == job.queue


def test_a_pinned_job_is_led_nowhere(led):
    job = led.running(led.queued(pin="gpu-01"))
    fleet = Fleet(led, believed=having(), others={"gpu-02": having(LORA)})
    assert fleet.reroute(job) is None


def test_a_node_that_lacks_what_it_believed_to_have_looks_again(led):
    job = led.running()
    fleet = Fleet(led, believed=having(LORA), others={})
    fleet.reroute(job)
    assert fleet.agent.stale == 1


def test_an_overtaken_attempt_moves_nothing(led):
    job = led.running()
    fleet = Fleet(led, believed=having(), others={"gpu-02": having(LORA)})
    with pytest.raises(LeaseLost):
        fleet.reroute(job, holder="gpu-01:another")
    assert led.fleet.get(job.id).queue == job.queue
