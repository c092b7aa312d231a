"""Named graphs on a real Redis: whose they are, how long they stay, and that no job changes with them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.checking.findings import Kind
from producer.contract import templates as limits
from producer.contract.errors import (
    InvalidGraph,
    InvalidJob,
    KeyOfAnotherType,
    NoNodeCanRun,
    TemplateChanged,
    TemplateNotFound,
)
from producer.contract.graph.graph import template_id
from producer.contract.graph.named_graphs import NamedGraph
from producer.store import keys, template_store
from producer.store.template_store import TemplateStore
from tests.integration.api_server import GRAPH
from tests.integration.checks import check
from tests.integration.named_graphs import PORTRAIT, coloured
from tests.integration.test_refused_values import graph, register


def test_a_graph_is_named_read_listed_and_forgotten(led):
    templates = led.fleet.templates
    put = templates.put("portrait", GRAPH, owner="shop")
    assert (put.revision, put.graph_nodes, put.template) == (1, 2, template_id(GRAPH))
    found = templates.get("portrait", owner="shop")
    assert (found.graph, found.extra_data, found.updated_at) == (GRAPH, {}, put.updated_at)
    templates.put("fox", coloured(1), owner="shop")
    assert [one.name for one in templates.list(owner="shop")] == ["fox", "portrait"]
    templates.delete("portrait", owner="shop")
    templates.delete("fox", owner="shop")
    assert templates.list() == []
    assert led.redis.keys("comfyfleet:templates*") == []


def test_a_template_is_its_owner_s_alone(led):
    templates = led.fleet.templates
    templates.put("portrait", coloured(1), owner="shop")
    with pytest.raises(TemplateNotFound, match=r"there is no template portrait \("):
        templates.get("portrait", owner="press")
    with pytest.raises(TemplateNotFound):
        templates.delete("portrait", owner="press")
    with pytest.raises(InvalidJob, match=r"there is no template portrait \("):
        led.fleet.submit(PORTRAIT, owner="press")
    templates.put("portrait", coloured(2), owner="press")
    assert templates.get("portrait", owner="shop").graph == coloured(1)
    assert [one.owner for one in templates.list()] == ["press", "shop"]
    assert [one.owner for one in templates.list(owner="press")] == ["press"]


def test_the_same_graph_again_changes_nothing_and_another_one_is_the_next_revision(led):
    first = led.fleet.templates.put("portrait", GRAPH)
    reordered = dict(reversed(GRAPH.items()))
    assert led.fleet.templates.put("portrait", {"prompt": reordered}) == first
    second = led.fleet.templates.put("portrait", coloured(1))
    assert (second.revision, second.created_at) == (2, first.created_at)
    assert led.fleet.templates.put_once("portrait", GRAPH).template.revision == 3


def test_a_name_holds_its_graph_when_the_jobs_are_gone(led):
    led.fleet.templates.put("portrait", GRAPH)
    led.fleet.submit(PORTRAIT)
    led.redis.delete(keys.template(template_id(GRAPH)))
    assert led.fleet.submit(PORTRAIT).template == template_id(GRAPH)
    assert {led.redis.ttl(key) for key in led.redis.keys("comfyfleet:templates*")} == {-1}
    assert led.redis.ttl(keys.template(template_id(GRAPH))) > 0


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"3": {"class_type": "EmptyImage"}}, InvalidGraph),
        ({**GRAPH, "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}}}, InvalidGraph),
        ({"3": GRAPH["3"]}, InvalidGraph),
        ("no graph", InvalidGraph),
        (NamedGraph("landscape"), InvalidJob),
        ({"prompt": GRAPH, "extra_data": {"api_key_comfy_org": "s3cr3t"}}, InvalidJob),
    ],
)
def test_a_bad_graph_is_refused_and_leaves_the_one_before(led, bad, error):
    before = led.fleet.templates.put("portrait", GRAPH)
    with pytest.raises(error) as caught:
        led.fleet.templates.put("portrait", bad)
    assert "s3cr3t" not in str(caught.value)
    assert led.fleet.templates.list() == [before]


def test_what_every_node_would_refuse_is_no_template(led):
    register(led)
    assert led.fleet.templates.put("portrait", graph()).revision == 1
    with pytest.raises(InvalidGraph, match="9999 is too large; it takes 1 to 512"):
        led.fleet.templates.put("portrait", graph(width=9999))
    unknown = {**graph(), "3": {"class_type": "SaveImge", "inputs": {"images": ["1", 0]}}}
    with pytest.raises(NoNodeCanRun, match="no node has class SaveImge"):
        led.fleet.templates.put("portrait", unknown)
    assert led.fleet.templates.get("portrait").graph == graph()


def test_files_that_jobs_will_hand_in_need_not_be_there(led):
    reads = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    led.fleet.templates.put("portrait", reads)
    assert led.fleet.submit(PORTRAIT, inputs={"1.image": "node:a.png"}).inputs.keys() == {"1.image"}


def test_what_goes_beside_a_graph_is_kept_and_can_be_overridden(led):
    beside = {"extra_pnginfo": {"workflow": {"version": 1}}}
    first = led.fleet.templates.put("portrait", {"prompt": GRAPH, "extra_data": beside})
    assert led.fleet.templates.get("portrait").extra_data == beside
    job = led.fleet.submit(PORTRAIT)
    assert job.extra_data == led.fleet.submit(GRAPH, extra_data=beside).extra_data
    assert led.fleet.templates.put("portrait", GRAPH).revision == first.revision + 1
    assert led.fleet.submit(PORTRAIT).extra_data is None


def test_a_change_is_refused_where_another_came_first(led):
    templates = led.fleet.templates
    first = templates.put("portrait", GRAPH, must_be_new=True)
    second = templates.put("portrait", coloured(1), if_match=first.etag)
    with pytest.raises(TemplateChanged, match=f"is {second.etag} by now") as caught:
        templates.put("portrait", coloured(2), if_match=first.etag)
    assert caught.value.etag == second.etag
    with pytest.raises(TemplateChanged, match="there is a template portrait already"):
        templates.put("portrait", coloured(2), must_be_new=True)
    with pytest.raises(TemplateChanged):
        templates.delete("portrait", if_match=first.etag)
    with pytest.raises(TemplateChanged, match="no template fox any more"):
        templates.put("fox", GRAPH, if_match="*")
    assert templates.list() == [second]


def test_of_changes_at_once_each_is_a_revision_and_of_two_that_expect_the_same_one_is_made(led):
    templates = led.fleet.templates
    first = templates.put("portrait", GRAPH)
    begin = threading.Barrier(8)

    def put(color):
        begin.wait()
        try:
            return templates.put("portrait", coloured(color), if_match=first.etag).revision
        except TemplateChanged:
            return None

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(put, range(1, 9)))
    assert sorted(filter(None, made)) == [2]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: templates.put("portrait", coloured(100 + n)), range(8)))
    assert templates.get("portrait").revision == 10


def test_whoever_reads_while_it_changes_gets_one_graph_or_the_other(led, monkeypatch):
    led.fleet.templates.put("portrait", GRAPH)
    store = TemplateStore(led.redis)
    read = store._parts

    def changed_between(name, owner):
        text, _, extra = read(name, owner)
        monkeypatch.setattr(store, "_parts", read)
        led.fleet.templates.put("portrait", coloured(1))
        return text, read(name, owner)[1], extra

    monkeypatch.setattr(store, "_parts", changed_between)
    assert store.get("portrait", owner="").graph == coloured(1)


@pytest.mark.parametrize("name", ["", "Portrait", "a:b", "../x", "a" * 64, "_", None, 7])
def test_a_name_that_is_none_is_refused_wherever_it_is_given(led, name):
    for call in (
        lambda: led.fleet.templates.put(name, GRAPH),
        lambda: led.fleet.submit(NamedGraph(name)),
    ):
        with pytest.raises(InvalidJob, match="is no name of a template"):
            call()
    for call in (led.fleet.templates.get, led.fleet.templates.delete):
        with pytest.raises((TemplateNotFound, InvalidJob)):
            call(name)
    for owner in ("shop:graphs", "a b"):
        with pytest.raises(InvalidJob, match="owner"):
            led.fleet.templates.get("portrait", owner=owner)
        with pytest.raises(InvalidJob, match="owner"):
            led.fleet.submit(PORTRAIT, owner=owner)


def test_a_name_that_is_nearly_right_is_suggested(led):
    led.fleet.templates.put("portrait", GRAPH)
    with pytest.raises(InvalidJob, match=r"no template portrat; did you mean portrait\?"):
        led.fleet.submit(NamedGraph("portrat"))


def test_an_owner_has_so_many_templates_and_so_many_bytes_of_them(led, monkeypatch):
    monkeypatch.setattr(template_store, "MOST_TEMPLATES", 2)
    led.fleet.templates.put("a", coloured(1))
    led.fleet.templates.put("b", coloured(2))
    with pytest.raises(InvalidJob, match="there are 2 templates already"):
        led.fleet.templates.put("c", coloured(3))
    led.fleet.templates.put("b", coloured(3))
    led.fleet.templates.put("c", coloured(3), owner="press")
    monkeypatch.setattr(template_store, "MOST_TEMPLATE_BYTES", 200)
    with pytest.raises(InvalidJob, match="an owner may have 200"):
        led.fleet.templates.put("b", coloured(4))
    assert led.fleet.templates.get("b").graph == coloured(3)
    assert limits.MOST_TEMPLATES * 60_000 < limits.MOST_TEMPLATE_BYTES


@pytest.mark.writes_keys
def test_a_foreign_value_in_its_place_is_told_and_nothing_is_half_made(led):
    led.redis.set(keys.named_graphs("shop"), "x")
    with pytest.raises(KeyOfAnotherType, match="comfyfleet:templates:shop:graphs is a string"):
        led.fleet.templates.put("portrait", GRAPH, owner="shop")
    assert led.redis.exists(keys.templates("shop"), keys.TEMPLATES) == 0


@pytest.mark.parametrize(("key", "value"), [("record", "{"), ("graph", "x"), ("graph", None)])
def test_one_that_is_torn_is_told_as_such_hides_no_other_and_is_mended_by_a_put(led, key, value):
    templates = led.fleet.templates
    templates.put("fox", GRAPH)
    templates.put("portrait", coloured(1))
    torn = keys.templates("") if key == "record" else keys.named_graphs("")
    led.redis.hdel(torn, "portrait")
    if value:
        led.redis.hset(torn, "portrait", value)
    with pytest.raises(InvalidJob, match="template portrait cannot be read; put it again"):
        led.fleet.submit(PORTRAIT)
    assert "fox" in [one.name for one in templates.list()]
    [finding] = check(led)
    assert (finding.kind, finding.about) == (Kind.TORN_TEMPLATE, "portrait")
    assert not finding.can_be_mended
    templates.put("portrait", coloured(1))
    assert templates.get("portrait").graph == coloured(1)
    assert check(led) == []
