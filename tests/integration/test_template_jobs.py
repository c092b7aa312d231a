"""Jobs and batches made of a template keep its graph, and stay the same when they are handed in again, whatever becomes of it."""

from __future__ import annotations

import pytest

from producer.contract.errors import (
    InvalidBatch,
    InvalidJob,
    KeyReused,
)
from producer.contract.graph.graph import template_id, to_bytes
from producer.store import keys
from tests.integration.api_server import GRAPH
from tests.integration.named_graphs import PORTRAIT, coloured


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
