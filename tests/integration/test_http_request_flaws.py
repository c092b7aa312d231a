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
