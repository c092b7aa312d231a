"""A render whose node is away, deaf or slow to answer, for jobs led by hand."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from statistics import fmean

import pytest
import requests

from infra.standin.options import StandinOptions
from infra.standin.process import StandinProcess
from producer.contract.classes.shapes import shape_of
from producer.contract.jobs import Phase, Progress
from producer.storage.object_store import ObjectStore
from producer.store.node_seconds import NodeSeconds
from producer.store.previews import Previews
from tests.graphs import journal, rendering, sleeping
from tests.integration.hand_led import HandLed, hold
from tests.integration.test_command_counts import calls
from tests.polling import wait_until
from worker.attempt.fleet_rates import FleetRates
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.render import Render
from worker.attempt.shutdown import Shutdown
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.comfyui.history import Outcome
from worker.errors import NodeUnreachable, PromptStalled
from worker.node.storage_breaker import StorageBreaker
from worker.scheduling.gate import Gate
from worker.scheduling.node_times import kinds_of

NODE = "gpu-01"


class Rig:
    """A node, and what a worker has to render a job of its own on it."""

    def __init__(
        self, led: HandLed, node: StandinProcess, *, stall_s: float, away_s: float | None
    ) -> None:
        self.node, self.store, self.redis = node, led.store, led.redis
        self.shutdown = Shutdown(NODE)
        breaker = StorageBreaker(ObjectStore(led.settings))
        self.events = EventSocket(node.url, node=NODE)
        self.gate = Gate()
        self.is_watched = True
        self.render = Render(
            ComfyUI(node.url, node=NODE),
            self.events,
            led.store,
            Previews(led.redis),
            node=NODE,
            stall=timedelta(seconds=stall_s),
            shutdown=self.shutdown,
            outages=Outages(breaker, self.shutdown, on_damage=lambda: None),
            hand_back=lambda *_: False,
            fleet_rates=FleetRates(NodeSeconds(led.redis), self.gate.render_times, node=NODE),
            away=None if away_s is None else timedelta(seconds=away_s),
            is_watched=lambda: self.is_watched,
        )
        self.job = led.running(
            led.fleet.submit(sleeping(), run_within=timedelta(seconds=30)), node=NODE
        )
        self.lease = Lease(hold(self.job))

    def run(self, graph: dict):
        return self.render.run(self.job, graph, self.lease, self.gate.take_slot())

    def resume(self, graph: dict):
        return self.render.resume(self.job, graph, self.lease, self.gate.take_slot())

    def faulty(self, **rule) -> None:
        """Have the node do something wrong, as `infra/standin/faults.py` lists it."""
        requests.post(f"{self.node.url}/standin/faults", json=rule, timeout=5).raise_for_status()

    def posted(self, graph: dict) -> None:
        """Post the job's prompt, as a predecessor that was killed since had done."""
        body = {"prompt": graph, "prompt_id": self.job.prompt_id, "client_id": "gone"}
        requests.post(f"{self.node.url}/prompt", json=body, timeout=5).raise_for_status()


@pytest.fixture
def rig(led_with_s3, tmp_path) -> Iterator[Callable[..., Rig]]:
    """Return what makes a rig."""
    with ExitStack() as stack:

        def make(*, stall_s: float = 30, away_s: float | None = None) -> Rig:
            node = stack.enter_context(StandinProcess(tmp_path / "node"))
            rig = Rig(led_with_s3, node, stall_s=stall_s, away_s=away_s)
            stack.callback(rig.events.close)
            return rig

        yield make


def test_a_running_prompt_is_given_up_when_its_node_refuses_connections(rig):
    rig = rig(away_s=1.5)

    def kill() -> None:
        wait_until(
            lambda: rig.store.get(rig.job.id).phase is Phase.RENDERING, description="it runs"
        )
        rig.node.process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(NodeUnreachable):
        rig.run(sleeping(60))
    killer.join()


def test_a_prompt_that_nobody_hears_is_not_silent(rig):
    rig = rig(stall_s=0.3)
    rig.posted(sleeping(3))
    rig.store.note(hold(rig.job), progress=Progress(share=0.4), is_watched=True)
    rig.job = rig.store.get(rig.job.id)
    entry = rig.resume(sleeping(3))
    assert entry.outcome is Outcome.SUCCEEDED
    assert len(journal(rig.node)) == 1
    assert (
        rig.store.get(rig.job.id).progress.share > 0.4
    )  # it never goes back, and the clock goes on


def test_a_prompt_that_is_heard_and_falls_silent_is_stalled(rig):
    rig = rig(stall_s=0.5)
    rig.faulty(on="step ComfyFleetSleep", do="hang")
    began = time.monotonic()
    with pytest.raises(PromptStalled, match="no progress"):
        rig.run(sleeping(3))
    assert time.monotonic() - began < 10


def test_one_lost_answer_at_the_return_costs_no_render(rig):
    rig = rig()
    rig.posted(sleeping(1))
    rig.faulty(on="GET /queue", do="close", count=1)
    assert rig.resume(sleeping(1)).outcome is Outcome.SUCCEEDED
    assert len(journal(rig.node)) == 1


def sampler(seed: int) -> dict:
    return rendering("v1-5-pruned-emaonly.safetensors", seed=seed, steps=20)


def test_after_one_render_each_graph_nodes_time_is_known_and_progress_follows_it(rig):
    rig = rig()
    wait_until(lambda: rig.events.connected, description="it is connected")
    rig.run(sampler(1))
    graph, node_times, seen = sampler(2), rig.gate.render_times.node_times, []
    weights = node_times.weights(shape_of(sampler(1)), kinds_of(graph))
    assert weights["3"] == pytest.approx(20 * StandinOptions.step_seconds, rel=0.5)
    assert weights["3"] > 0.6 * sum(weights.values()) > weights["9"]
    longer = rendering("v1-5-pruned-emaonly.safetensors", seed=3, steps=40)
    assert node_times.expected_s(kinds_of(longer)) > 40 * StandinOptions.step_seconds

    with (
        ComfyUI(rig.node.url, node=NODE) as comfyui,
        rig.events.watch(str(uuid.uuid4()), graph_nodes=graph) as watch,
    ):
        watch.weigh(weights)
        comfyui.queue_prompt(graph, prompt_id=watch.prompt_id, client_id=rig.events.client_id)
        while not watch.wait(0.05):
            seen.append((time.monotonic(), watch.progress.share))
    began, ended = seen[0][0], watch.last_heard
    shown = [share for _, share in seen]
    assert shown == sorted(shown)
    off = [abs((at - began) / (ended - began) - share) for at, share in seen]
    # Ten points, and what a busy machine adds; it may stop the world at one look.
    assert fmean(off) < 0.15, (off, seen)


def test_of_a_prompt_that_is_heard_to_go_on_the_node_is_asked_nothing(rig):
    rig = rig()
    wait_until(lambda: rig.events.connected, description="it is connected")
    for route in ("GET /history", "GET /queue"):
        rig.faulty(on=route, do="delay", seconds=0.001, count=0)
    rig.run(sleeping(2.5))
    rules = requests.get(f"{rig.node.url}/standin/faults", timeout=5).json()
    assert [rule["seen"] for rule in rules] == [1, 0]  # its history, once it was over


def test_previews_are_handed_on_once_a_second_and_unwatched_cost_not_one_command(rig):
    rig = rig()
    rig.is_watched = False
    wait_until(lambda: rig.events.connected, description="it is connected")
    without = commands_of(rig, sleeping(0.1))  # loads the scripts
    without = commands_of(rig, sleeping(0.1))
    assert commands_of(rig, sleeping(1.8, preview=True)) == without
    assert Previews(rig.redis).find(rig.job.id) is None

    rig.lease.on_previews_watched()
    written = commands_of(rig, sleeping(2.8, preview=True)) - without
    assert written // COMMANDS_A_PREVIEW in {2, 3}  # of ten frames; the script is loaded, too
    found = Previews(rig.redis).find(rig.job.id)
    assert (found.graph_node, found.content[:3]) == ("2", b"\xff\xd8\xff")


#: EVALSHA, and in it HMGET, TIME, HSET, PEXPIRE.
COMMANDS_A_PREVIEW = 5


def commands_of(rig, graph) -> int:
    """Return how many commands a render of it takes in which nothing else happens."""
    before = calls(rig.redis)
    rig.run(graph)
    return calls(rig.redis) - before
