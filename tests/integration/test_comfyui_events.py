"""The event socket, on stand-in nodes of both ages and on servers that misbehave."""

from __future__ import annotations

import logging
import time
import uuid

import pytest

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.integration.nodes import NODES, open_node, raising_graph, sleeping_graph
from tests.polling import wait_until
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.events import EventSocket
from worker.comfyui.history import Outcome


@pytest.fixture(scope="module", params=NODES)
def url(request, tmp_path_factory):
    with open_node(request.param, tmp_path_factory.mktemp("node"), step_seconds=0) as found:
        yield found


@pytest.fixture
def comfyui(url):
    with ComfyUI(url, node="gpu-1") as client:
        yield client


@pytest.fixture
def events(url):
    with EventSocket(url, node="gpu-1") as found:
        wait_until(lambda: found.connected, description="it is connected")
        yield found


def post(comfyui, events, graph, **options):
    """Watch a new prompt, then queue it; return its watch."""
    watch = events.watch(str(uuid.uuid4()), graph_nodes=graph, **options)
    comfyui.queue_prompt(graph, prompt_id=watch.prompt_id, client_id=events.client_id)
    return watch


def test_the_history_is_there_as_soon_as_the_end_is_heard(comfyui, events):
    for _ in range(20):
        with post(comfyui, events, sleeping_graph()) as watch:
            assert watch.wait(10)
            assert comfyui.history(watch.prompt_id).outcome is Outcome.SUCCEEDED


def test_progress_is_told_step_by_step_up_to_the_whole(comfyui, events):
    told = []
    began = time.monotonic()
    graph = sleeping_graph(0.8, steps=4)
    with post(comfyui, events, graph) as watch:
        assert watch.last_heard is None or watch.last_heard > began
        while not watch.wait(10, or_progress=True):
            told.append(watch.progress)
        assert began < watch.last_heard <= time.monotonic()
        assert watch.progress.percent == 100
    steps = [(p.value, p.max) for p in told if p.graph_node == "2" and p.value]
    assert steps[0] == (1, 4)  # 0.33 passes on no more than one step each 0.1 s
    assert [p.percent for p in told] == sorted(p.percent for p in told)
    assert {p.graph_nodes for p in told} == {3}


def test_a_fully_cached_prompt_is_heard_to_its_end(comfyui, events):
    graph = sleeping_graph()
    for _ in range(2):
        with post(comfyui, events, graph) as watch:
            assert watch.wait(10)
            assert watch.progress.graph_nodes_done == 3


def test_each_prompt_hears_only_of_itself(comfyui, events):
    with (
        post(comfyui, events, sleeping_graph(0.3)) as first,
        post(comfyui, events, sleeping_graph()) as second,
    ):
        assert first.wait(10)
        assert second.wait(10)
        assert first.last_heard < second.last_heard
        assert not first.wait(0)


def test_a_prompt_that_waits_in_the_queue_is_not_heard(comfyui, events):
    with post(comfyui, events, sleeping_graph(20, steps=400)) as running:
        with post(comfyui, events, sleeping_graph()) as waiting:
            assert running.wait(10, or_progress=True) is False
            assert waiting.last_heard is None
            comfyui.cancel(waiting.prompt_id)
            assert waiting.wait(0.2) is False  # no message names it: only the queue tells
            assert comfyui.find_prompt(waiting.prompt_id) is PromptPlace.UNKNOWN
        comfyui.cancel(running.prompt_id)
        assert running.wait(10)


def test_a_failed_prompt_is_heard_to_end(comfyui, events):
    with post(comfyui, events, raising_graph("broken")) as watch:
        assert watch.wait(10)
        wait_until(lambda: comfyui.history(watch.prompt_id), description="its history")
        assert comfyui.history(watch.prompt_id).outcome is Outcome.FAILED


def test_a_closed_watch_hears_nothing_more(comfyui, events):
    watch = post(comfyui, events, sleeping_graph(0.2))
    watch.close()
    wait_until(lambda: comfyui.history(watch.prompt_id), description="the prompt ends")
    assert watch.progress.graph_nodes_done < 3


def test_it_comes_back_by_itself_after_a_restart_of_comfyui(tmp_path, caplog):
    caplog.set_level(logging.INFO, "worker.comfyui.events")
    with standin_thread(StandinOptions(directory=tmp_path)) as node:
        port = int(node.url.rpartition(":")[2])
        events = EventSocket(node.url, node="gpu-1")
        wait_until(lambda: events.connected, description="it is connected")
        before = events.client_id
    with events:
        wait_until(lambda: not events.connected, description="the loss is noticed")
        with standin_thread(StandinOptions(directory=tmp_path, port=port)) as node:
            wait_until(lambda: events.connected, description="it is connected")
            assert events.client_id != before
            with (
                ComfyUI(node.url, node="gpu-1") as comfyui,
                post(comfyui, events, sleeping_graph()) as watch,
            ):
                assert watch.wait(10)
            assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]
