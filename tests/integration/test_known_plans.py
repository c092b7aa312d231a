"""A graph that differs from an earlier one in seeds and texts is not planned anew; any other is, as if it were the first."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import requests

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import FleetError
from producer.contract.graph.graph import GraphDocument, read_graph
from producer.intake import planner as planner_module
from producer.intake.planner import Planner
from producer.intake.request import Request
from producer.store.node_store import NodeStore
from tests.graphs import rendering
from tests.integration.hand_led import LEASE
from tests.integration.nodes import open_node

MODEL, OTHER = "sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors"
MOST = 1 << 20
#: What may stand in an input in place of what stands there.
VALUES = [
    *(0, 1, 4, 10**6, 2**60, -1, 1.0, 2.5, True, None, [], ["4", 0], ["9", 0], ["3", 5], [4, 0]),
    *("", "a red fox", "a red fox, " * 40, "4", "9", OTHER, "none.safetensors", "euler"),
    *("heun", "../x", "/etc/passwd", "x.png [output]", "x.png", "1280x720", "512", "none"),
    *({"__value__": [1, 2]}, {"a": "b"}, {"__value__": "a red fox"}),
]

#: Classes of extensions: one loads a model by an input that is called a text, one reads what it finds by a prefix.
EXTENSIONS = {
    "StyleModel": {
        "input": {"required": {"style_text": [["a.safetensors", OTHER], {}]}},
        "output": ["IMAGE"],
    },
    "VHS_SelectLatest": {
        "input": {"required": {"filename_prefix": ["STRING", {}]}},
        "output": ["IMAGE"],
    },
}
FILES = {
    "7": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "10": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "x"}},
}
OF_EXTENSIONS = {
    "11": {"class_type": "StyleModel", "inputs": {"style_text": "a.safetensors"}},
    "14": {"class_type": "SaveImage", "inputs": {"images": ["11", 0], "filename_prefix": "x"}},
    "12": {"class_type": "VHS_SelectLatest", "inputs": {"filename_prefix": "a"}},
    "13": {"class_type": "SaveImage", "inputs": {"images": ["12", 0], "filename_prefix": "x"}},
}
PLACE = {"pool": "default", "url": "http://127.0.0.1:1", "state": "ready", "host": "here"}


@pytest.fixture
def nodes(led, tmp_path):
    with open_node("0.33.0", tmp_path, classes=EXTENSIONS) as url:
        info = requests.get(f"{url}/object_info", timeout=10).json()
    catalog, rules = (
        Catalog.from_object_info(info),
        InputRules.from_object_info(info, version="0.33.0"),
    )
    store = NodeStore(led.redis, lease=LEASE)
    fields = {
        "pool": "default",
        "url": "http://127.0.0.1:1",
        "state": "ready",
        "host": "here",
        "catalog": catalog.to_text(),
        "catalog_sha": catalog.sha,
        "rules": rules.to_text(),
        "rules_sha": rules.sha,
        "rules_for": catalog.sha,
    }
    store.register("gpu-01", worker="gpu-01:w", fields=fields)
    return store


@pytest.fixture
def planned(monkeypatch):
    """Notes each graph that is planned anew."""
    graphs = []
    made = planner_module.shape_of
    monkeypatch.setattr(
        planner_module, "shape_of", lambda graph: graphs.append(graph) or made(graph)
    )
    return graphs


def read(graph) -> GraphDocument:
    return read_graph(graph, max_bytes=MOST)


def asked(plan, graph, **options):
    """Return what a plan says, in words that can be compared; or the error."""
    request = Request(graph=graph, **options)
    try:
        found = plan(request, read(graph).graph)
    except FleetError as exc:
        return type(exc), exc.message, exc.field, exc.graph_node
    refused = [[(one.own, one.complaint) for one in kind] for kind in found.refused]
    files = [(file.address, given) for file, given in found.files]
    return found.graph, found.params, found.needs, found.shape, found.needed, files, refused


def test_jobs_of_one_graph_are_planned_once(nodes, planned):
    planner = Planner(nodes, max_params_bytes=MOST)
    for number in range(5):
        graph = rendering(MODEL, seed=10**9 + number)
        graph["6"]["inputs"]["text"] = f"a quiet harbour, number {number}"
        planner.plan_of_one(Request(graph=graph), read(graph).graph)
        planner.plan_of_one(Request(graph=graph, params={"3.seed": number}), read(graph).graph)
    assert len(planned) == 1


@pytest.mark.parametrize("extra", [{}, FILES, OF_EXTENSIONS])
def test_whatever_stands_in_a_graph_it_comes_to_what_it_would_be_as_the_first(nodes, extra):
    known, fresh = (Planner(nodes, max_params_bytes=MOST) for _ in range(2))
    graph = {**rendering(MODEL, seed=10**9), **copy.deepcopy(extra)}
    given = {"inputs": {"7.image": "node:x.png"}} if extra is FILES else {}
    seen = set()
    for graph_node, found in graph.items():
        for name in [*found["inputs"], "undeclared_text"]:
            for value in VALUES:
                changed = copy.deepcopy(graph)
                changed[graph_node]["inputs"][name] = value
                # What it may take for the same comes right before.
                asked(known.plan_of_one, graph, **given)
                expected = asked(fresh.plan, changed, **given)
                assert asked(known.plan_of_one, changed, **given) == expected
                seen.add(expected[0] if isinstance(expected[0], type) else "planned")
    assert "planned" in seen
    assert len(seen) > 2


def later(planner):
    """Have the planner look at the nodes anew, as it does 5 s later."""
    planner._catalogs._by_pool = {
        pool: (float("-inf"), found) for pool, (_, found) in planner._catalogs._by_pool.items()
    }
    planner._catalogs._nodes_read = (float("-inf"), [])


def test_a_plan_ends_with_the_catalogs_that_it_was_made_for(nodes, planned):
    planner = Planner(nodes, max_params_bytes=MOST)
    graph = rendering(MODEL, seed=10**9)
    for _ in range(3):
        assert asked(planner.plan_of_one, graph)[2].models == (MODEL,)
        later(planner)
    assert len(planned) == 1
    bare = Catalog.from_object_info({})
    nodes.register(
        "gpu-01",
        worker="gpu-01:w",
        fields={**PLACE, "catalog": bare.to_text(), "catalog_sha": bare.sha},
    )
    assert asked(planner.plan_of_one, graph)[0].__name__ == "NoNodeCanRun"


def test_a_value_that_is_refused_is_refused_whatever_was_known(nodes):
    planner = Planner(nodes, max_params_bytes=MOST)
    good = rendering(MODEL, seed=10**9)
    asked(planner.plan_of_one, good)
    bad = rendering(MODEL, seed=2**70)
    *_, refused = asked(planner.plan_of_one, bad)
    assert [address for kind in refused for address, _ in kind] == ["3.seed"]


def test_tier_metadata_and_params_are_checked_of_each(nodes):
    planner = Planner(nodes, max_params_bytes=200)
    graph = rendering(MODEL, seed=10**9)
    fresh = replace(Request(graph=graph))
    planner.plan_of_one(fresh, graph)
    for wrong in (
        {"tier": "now"},
        {"metadata": {"a": 1}},
        {"params": {"3.seeds": 1}},
        {"params": {"6.text": "x" * 300}},
    ):
        assert issubclass(asked(planner.plan_of_one, graph, **wrong)[0], FleetError)
