"""Requests of another form than described, asked of a real process: one sentence each, with its place."""

from __future__ import annotations

import pytest

from tests.integration.api_server import GRAPH, problem

JOB = {"graph": GRAPH}


@pytest.mark.parametrize(
    ("asked", "options", "place", "sentence"),
    [
        ("POST /v1/jobs", {}, "#", "the body is missing; expected an object"),
        ("POST /v1/jobs", {"json": [1]}, "#", "the body is a list; expected an object"),
        ("POST /v1/jobs", {"json": {"grph": {}}}, "#/grph", "there is no field grph; did you mean graph?"),
        ("PUT /v1/templates/a", {"json": {"grph": {}}}, "#/grph", "there is no field grph; did you mean graph?"),
        (
            "POST /v1/jobs",
            {"json": JOB, "headers": {"Idempotency-Key": "x" * 600}},
            "idempotency-key",
            "idempotency-key has 600 characters; expected text of 1 to 512 characters",
        ),
        (
            "GET /v1/jobs/x/artifacts/-1",
            {},
            "number",
            'number is "-1"; expected a whole number from 0 to 1,000,000',
        ),
        ("GET /v1/jobs?filtr=x", {}, "filtr", "there is no parameter filtr; did you mean filter?"),
        ("GET /v1/batches?limit=201", {}, "limit", 'limit is "201"; expected a whole number from 1 to 200'),
        (
            "PUT /v1/templates/Bad",
            {"json": JOB},
            "name",
            'name is "Bad"; expected 1 to 63 characters: a to z, 0 to 9, and . _ - after the first',
        ),
    ],
)  # fmt: skip
def test_a_request_is_refused_in_one_sentence(api, asked, options, place, sentence):
    told = problem(api()(*asked.split(), **options), 422, "invalid-request")
    assert told["detail"] == told["errors"][0]["detail"] == sentence
    assert place in (told["errors"][0].get("pointer"), told["errors"][0].get("parameter"))


@pytest.mark.parametrize(
    "body",
    [
        {"last_node_id": 9, "nodes": [{"id": 1}], "links": [], "version": 0.4},
        {"graph": {"nodes": [{"id": 1}], "links": []}},
    ],
    ids=["the body", "its graph"],
)
def test_a_workflow_of_the_editor_is_told_as_such_wherever_it_stands(api, body):
    answer = api().post("/v1/jobs", body)
    assert answer.status_code == 422
    assert "Export (API)" in answer.json()["advice"]


def test_a_workflow_among_graph_nodes_has_a_place_of_its_own(api):
    told = problem(
        api().post("/v1/jobs", {"graph": {**GRAPH, "w": {"nodes": []}}}), 422, "invalid-graph"
    )
    assert "extra_data.extra_pnginfo.workflow" in told["advice"]


def test_rows_are_left_out_by_the_parameter_that_the_api_has(api):
    shop = api()
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()["id"]
    answer = shop(
        "POST", f"/v1/batches/{batch}/rows", data=b'{"params": {"3.color": 1}, "foo": 1}\n',
        headers={"Content-Type": "application/jsonl"},
    )  # fmt: skip
    told = problem(answer, 422, "invalid-rows")
    assert told["advice"] == "mend them, or leave them out with the parameter skip_invalid=true"
    assert "it has foo beside the parts of a row" in told["errors"][0]["detail"]
