"""What holds for every route of the HTTP API, whoever adds one."""

from __future__ import annotations

from fastapi.routing import APIRoute

from producer.http.app import _PARTS
from producer.http.long_calls import LONG
from producer.http.strict_json import StrictRoute

ROUTES = [route for part in _PARTS for route in part.router.routes if isinstance(route, APIRoute)]


def test_every_body_of_json_is_read_strictly_and_none_without_its_scope():
    loose = [one.path for one in ROUTES if one.body_field and not isinstance(one, StrictRoute)]
    assert loose == []


def test_routes_whose_calls_look_at_much_have_a_share_of_the_threads():
    of_share = {
        f"{next(iter(one.methods))} {one.path}"
        for one in ROUTES
        if LONG in one.dependencies or "its_turn" in one.endpoint.__code__.co_names
    }
    assert of_share == {
        "GET /v1/jobs",
        "GET /v1/batches",
        "GET /v1/batches/{batch_id}/rows",
        "GET /v1/batches/{batch_id}/results.jsonl",
        "GET /v1/batches/{batch_id}/errors.jsonl",
        "POST /v1/actions",
        "POST /v1/moves",
        "POST /v1/batches/{batch_id}/move",
        "GET /v1/queue",
        "GET /v1/owners",
        "GET /v1/pools",
        "PUT /v1/templates/{name}",
        "GET /v1/templates/{name}",
        "POST /v1/templates/check",
        "POST /v1/templates/{name}/check",
    }
