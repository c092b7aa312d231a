"""The HTTP API keeps to its own description: some requests of each route, by every check of schemathesis."""

from __future__ import annotations

from producer.contract.access import Scope
from tests.fuzz.http_api import asked


def test_every_route_answers_as_it_is_described(api_url, led, tmp_path):
    key = led.fleet.keys.create("fuzz", owner="fuzz", scopes=[Scope.ADMIN]).secret
    report = asked(api_url, key, tmp_path, cases=60, seed=1, phases="fuzzing")
    assert report.broken == []
    assert report.cases >= 30
