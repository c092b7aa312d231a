"""A template that is asked for by name is read once for each content, and is always what stands there now."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import read_graph
from producer.contract.graph.named_graphs import NamedGraph
from producer.intake import named_templates
from producer.intake.named_templates import NamedTemplates
from producer.intake.request import Request
from producer.store.template_store import TemplateStore
from tests.graphs import rendering

MODEL = "a.safetensors"
WORKFLOW = {"nodes": [{"id": 1}]}


@pytest.fixture
def reads():
    return []


@pytest.fixture
def named(led, reads):
    def read(graph):
        reads.append(graph)
        return read_graph(graph, max_bytes=1 << 20, max_extra_bytes=1 << 20)

    return NamedTemplates(TemplateStore(led.redis), read)


def asked(named, name="portrait", owner="shop"):
    return named.in_place(Request(graph=NamedGraph(name), owner=owner)).graph


def test_what_stands_there_is_read_once(led, named, reads):
    led.fleet.templates.put("portrait", rendering(MODEL, seed=1), owner="shop")
    led.fleet.templates.put("other", rendering(MODEL, seed=1), owner="press")
    first = asked(named)
    assert first.graph == rendering(MODEL, seed=1)
    assert asked(named) is first
    assert asked(named, "other", "press") is first
    assert len(reads) == 1


def test_another_graph_or_workflow_is_what_is_there_from_then_on(led, named, reads):
    led.fleet.templates.put("portrait", rendering(MODEL, seed=1), owner="shop")
    asked(named)
    led.fleet.templates.put("portrait", rendering(MODEL, seed=2), owner="shop")
    assert asked(named).graph["3"]["inputs"]["seed"] == 2
    led.fleet.templates.put(
        "portrait", {"output": rendering(MODEL, seed=2), "workflow": WORKFLOW}, owner="shop"
    )
    assert asked(named).extra_data == {"extra_pnginfo": {"workflow": WORKFLOW}}
    assert asked(named) is asked(named)
    assert len(reads) == 3
    led.fleet.templates.delete("portrait", owner="shop")
    with pytest.raises(InvalidJob, match="no template portrait"):
        asked(named)


def test_no_more_is_kept_than_so_many_bytes(led, named, reads, monkeypatch):
    size = len(read_graph(rendering(MODEL, seed=100), max_bytes=1 << 20).canonical)
    monkeypatch.setattr(named_templates, "_MOST_BYTES", 3 * size)
    for number in range(100, 104):
        led.fleet.templates.put(f"n{number}", rendering(MODEL, seed=number), owner="shop")
        asked(named, f"n{number}")
    for number in (103, 102, 101):
        asked(named, f"n{number}")
    assert len(reads) == 4
    asked(named, "n100")
    assert len(reads) == 5
    assert named._bytes == 3 * size
    monkeypatch.setattr(named_templates, "_MOST_BYTES", size // 2)
    led.fleet.templates.put("large", rendering(MODEL, seed=104), owner="shop")
    asked(named, "large")
    asked(named, "large")
    assert len(reads) == 7
