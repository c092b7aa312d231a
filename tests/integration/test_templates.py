"""Named graphs on a real Redis: whose they are, how long they stay, and that no job changes with them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.checking.findings import Kind
from producer.contract import templates as limits
from producer.contract.errors import (
    InvalidBatch,
    InvalidGraph,
    InvalidJob,
    KeyOfAnotherType,
    KeyReused,
    NoNodeCanRun,
    TemplateChanged,
    TemplateNotFound,
)
from producer.contract.graph.graph import template_id, to_bytes
from producer.contract.graph.named_graphs import NamedGraph
from producer.store import keys, template_store
from producer.store.template_store import TemplateStore
from tests.integration.api_server import GRAPH
from tests.integration.checks import check
from tests.integration.test_refused_values import graph, register

PORTRAIT = NamedGraph("portrait")


def coloured(color):
    return {**GRAPH, "3": {**GRAPH["3"], "inputs": {**GRAPH["3"]["inputs"], "color": color}}}


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


def test_a_job_keeps_the_graph_that_it_was_made_from(led):
    templates = led.fleet.templates
    templates.put("portrait", coloured(1))
    job = led.fleet.submit(PORTRAIT, params={"3.width": 128})
    templates.put("portrait", coloured(2))
    after = led.fleet.submit(PORTRAIT, params={"EmptyImage.width": 128})
    templates.delete("portrait")
    waiting = led.fleet.get(job.id)
    assert (waiting.template, waiting.set_values) == (template_id(coloured(1)), {"3.width": 128})
    assert led.store.graph(waiting.template) == to_bytes(coloured(1))
    assert led.fleet.get(after.id).template == template_id(coloured(2))
    with pytest.raises(InvalidJob, match="there is no template portrait") as caught:
        led.fleet.submit(PORTRAIT)
    assert caught.value.field == "template"


def test_the_jobs_of_a_template_share_its_graph_whatever_they_set(led):
    led.fleet.templates.put("portrait", GRAPH)
    for color in range(12):
        led.fleet.submit(PORTRAIT, params={"3.color": color})
        led.fleet.submit(coloured(color))
    found = {led.fleet.submit(PORTRAIT, params={"3.color": n}).template for n in range(3)}
    assert found == {template_id(GRAPH)}


def test_a_request_sent_again_gives_the_same_job_though_its_template_has_changed(led):
    led.fleet.templates.put("portrait", GRAPH)
    first = led.fleet.submit_once(PORTRAIT, idempotency_key="order-1")
    led.fleet.templates.put("portrait", coloured(1))
    again = led.fleet.submit_once(PORTRAIT, idempotency_key="order-1")
    assert (again.job.id, again.is_replay) == (first.job.id, True)
    with pytest.raises(KeyReused):
        led.fleet.submit(GRAPH, idempotency_key="order-1")


@pytest.mark.parametrize("change", ["deleted", "another node", "refused", "beside"])
def test_a_request_sent_again_gives_the_same_job_whatever_its_template_has_become(led, change):
    templates = led.fleet.templates
    beside = {"extra_pnginfo": {"workflow": {"nodes": []}}}
    templates.put("portrait", {"prompt": GRAPH, "extra_data": beside})
    request = {"params": {"EmptyImage.color": 5}, "idempotency_key": "order-1"}
    first = led.fleet.submit_once(PORTRAIT, **request)
    if change == "deleted":
        templates.delete("portrait")
    elif change == "beside":
        templates.put("portrait", GRAPH)
    else:
        name = "7" if change == "another node" else "3"
        graph = {name: GRAPH["3"], "9": {**GRAPH["9"], "inputs": {**GRAPH["9"]["inputs"], "images": [name, 0]}}}  # fmt: skip
        if change == "refused":
            graph["3"] = {"class_type": "SolidMask", "inputs": {"value": 1.0}}
        templates.put("portrait", graph)
    again = led.fleet.submit_once(PORTRAIT, **request)
    assert (again.job.id, again.is_replay) == (first.job.id, True)
    other = {**request, "params": {"EmptyImage.color": 6}}
    with pytest.raises(InvalidJob if change in {"deleted", "refused"} else KeyReused):
        led.fleet.submit(PORTRAIT, **other)


def test_batches_are_made_of_a_template_and_keep_its_graph(led):
    led.fleet.templates.put("portrait", coloured(1))
    batch = led.fleet.submit_many(PORTRAIT, [{"3.width": 64}, {"3.width": 128}])
    begun = led.fleet.begin_batch(PORTRAIT).batch
    led.fleet.templates.put("portrait", GRAPH)
    led.fleet.add_rows(begun.id, [{"3.height": 128}])
    led.fleet.seal_batch(begun.id)
    jobs = [job for one in (batch, begun) for job in led.fleet.jobs(f"batch:{one.id}").jobs]
    assert [job.template for job in jobs] == [template_id(coloured(1))] * 3


#: The same picture by other ids, so that what was asked for leads elsewhere, or nowhere.
RENUMBERED = {
    "5": GRAPH["3"],
    "9": {**GRAPH["9"], "inputs": {**GRAPH["9"]["inputs"], "images": ["5", 0]}},
}
SHARED = {"idempotency_key": "night", "params": {"EmptyImage.color": 7}, "owner": "shop"}


@pytest.fixture(params=["changed", "deleted"])
def overtaken(request, led):
    """Return what makes of the template something else than it was."""
    templates = led.fleet.templates
    templates.put("portrait", GRAPH, owner="shop")

    def overtake():
        if request.param == "deleted":
            return templates.delete("portrait", owner="shop")
        document = {"prompt": RENUMBERED, "extra_data": {"extra_pnginfo": {"workflow": {"id": 2}}}}
        return templates.put("portrait", document, owner="shop")

    return overtake


ROWS = [{"EmptyImage.width": 64 * n} for n in range(1, 4)]


def values_of(led, batch):
    jobs = led.fleet.jobs(f"batch:{batch}").jobs
    assert {job.template for job in jobs} == {template_id(GRAPH)}
    return [job.set_values for job in jobs]


def test_a_batch_that_is_handed_in_again_is_the_same_whatever_its_template_has_become(
    led, overtaken
):
    first = led.fleet.submit_many(PORTRAIT, ROWS, **SHARED)
    overtaken()
    assert led.fleet.submit_many(PORTRAIT, ROWS, **SHARED).id == first.id
    with pytest.raises(InvalidBatch):
        led.fleet.submit_many(PORTRAIT, ROWS[:2], **SHARED)
    for other in ({"params": {"EmptyImage.color": 8}}, {"tier": "rush"}, {"metadata": {"a": "b"}}):
        with pytest.raises(KeyReused):
            led.fleet.submit_many(PORTRAIT, ROWS, **{**SHARED, **other})
    assert values_of(led, first.id)[0] == {"3.color": 7, "3.width": 64}


def test_a_batch_that_was_begun_goes_on_with_the_graph_that_its_template_had(led, overtaken):
    begun = led.fleet.begin_batch(PORTRAIT, **SHARED)
    overtaken()
    again = led.fleet.begin_batch(PORTRAIT, **SHARED)
    assert (again.batch.id, begun.is_replay, again.is_replay) == (begun.batch.id, False, True)
    led.fleet.add_rows(begun.batch.id, ROWS)
    led.fleet.seal_batch(begun.batch.id)
    assert led.fleet.begin_batch(PORTRAIT, **SHARED).batch.id == begun.batch.id
    assert values_of(led, begun.batch.id)[2] == {"3.color": 7, "3.width": 192}


def test_so_does_one_that_is_filled_row_by_row(led, overtaken):
    writer = led.fleet.open_batch(PORTRAIT, **SHARED)
    with pytest.raises(InvalidBatch, match="not begun to be filled in parts"):
        led.fleet.add_rows(writer.id, ROWS)
    overtaken()
    with led.fleet.open_batch(PORTRAIT, **SHARED) as again:
        assert again.id == writer.id
        for row in ROWS:
            again.add(row)
    assert values_of(led, writer.id)[1] == {"3.color": 7, "3.width": 128}


def test_one_whose_graph_nobody_knows_any_more_says_so(led):
    led.fleet.templates.put("portrait", GRAPH, owner="shop")
    first = led.fleet.submit_many(PORTRAIT, ROWS, **SHARED)
    led.redis.delete(keys.template(template_id(GRAPH)))
    assert led.fleet.submit_many(PORTRAIT, ROWS, **SHARED).id == first.id
    led.fleet.templates.delete("portrait", owner="shop")
    with pytest.raises(InvalidBatch, match="was accepted before and stays as it is"):
        led.fleet.submit_many(PORTRAIT, ROWS, **SHARED)


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
