"""Query parameters that a route has not are refused by every route, and by each in the same sentence."""

from __future__ import annotations

import re

import pytest
import requests

from tests.integration.api_server import problem
from tests.integration.test_http_owners import operations


def test_no_route_takes_a_parameter_that_it_has_not(api, api_url):
    boss = api("boss", scopes="admin")
    described = requests.get(f"{api_url}/v1/openapi.json", timeout=5).json()["paths"]
    asked = [*operations(api_url), ("GET", "/v1/openapi.json")]
    for method, path in asked:
        told = described.get(path, {}).get(method.lower(), {}).get("parameters", [])
        known = [one["name"] for one in told if one["in"] == "query"]
        answer = boss(method, re.sub(r"\{.*?\}", "x", path) + "?zzz=1")
        [flaw] = problem(answer, 422, "invalid-request")["errors"]
        assert flaw["parameter"] == "zzz", (method, path)
        takes = ", ".join(known) or "none"
        assert flaw["detail"] == f"there is no parameter zzz; this takes {takes}"
        assert flaw["allowed"] == known
    assert len(asked) > 70


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/queue?limit=5", "there is no parameter limit; this takes none"),
        ("/v1/jobs?fliter=x", "there is no parameter fliter; did you mean filter?"),
        ("/v1/jobs?filter=a&filter=b&limit=5", "parameter filter comes 2 times; expected it once"),
        ("/v1/batches?Name=x", "there is no parameter Name; did you mean name?"),
        ("/livez?verbose", "there is no parameter verbose; this takes none"),
    ],
)
def test_the_sentence_says_what_is_meant(api, path, sentence):
    told = problem(api("boss", scopes="admin").get(path), 422, "invalid-request")
    assert told["detail"] == told["errors"][0]["detail"] == sentence


def test_a_name_of_any_length_is_told_shortened(api):
    told = problem(api().get("/v1/jobs?" + "ä" * 3_000 + "=1"), 422, "invalid-request")
    assert len(told["errors"][0]["parameter"]) < 250
    assert len(told["detail"]) < 500
