"""What a job made, over HTTP: links under which nothing runs, and copies that a key's owner may have."""

from __future__ import annotations

import pytest
import requests

from tests.integration.api_server import GRAPH, problem
from tests.integration.hand_led import hold


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("page.html", "text/html"),
        ("drawing.svg", "image/svg+xml"),
        ("data.xml", "application/xml"),
        ("picture.png", "image/png"),
    ],
)
def test_what_a_browser_would_run_is_served_as_an_attachment(api, led, s3_client, name, media_type):
    shop = api()
    job = led.running(led.fleet.get(shop.submit()["id"]))
    artifact = led.artifact(job, 0, b"<script>").model_copy(
        update={"name": name, "media_type": media_type}
    )
    s3_client.put_object(Bucket="api", Key=artifact.key, Body=b"<script>", ContentType=media_type)
    led.store.commit(hold(job), artifacts=[artifact], values={})

    link = shop.get(f"/v1/jobs/{job.id}/artifacts/0")
    assert (link.status_code, link.headers["cache-control"]) == (302, "no-store")
    served = requests.get(link.headers["location"], timeout=10)
    assert served.content == b"<script>"
    assert served.headers["content-disposition"].startswith(f'attachment; filename="{name}"')


@pytest.mark.parametrize(
    ("deliver", "pointer", "problem_of"),
    [
        ({"to": "s3://elsewhere/{job}-{n}"}, "#/deliver/to", "does not list for copies"),
        ({"to": "s3://shop/{n}"}, "#/deliver/to", "lacks {job}"),
        ({"to": "s3://shop/../{job}-{n}"}, "#/deliver/to", "a part that is .."),
        ({"to": "s3://shop/{job}-{n}", "format": "gif"}, "#/deliver/format", "gif"),
        ({"to": "s3://shop/{job}-{n}", "colour": 7}, "#/deliver/colour", ""),
        ({"to": "s3://shop/{job}-{n}", "quality": 5}, "#/deliver/quality", "webp and jpeg"),
        ({}, "#/deliver/to", ""),
        ("s3://shop/{job}-{n}", "#/deliver", ""),
    ],
)
def test_copies_are_refused_by_the_place_in_the_body(api, deliver, pointer, problem_of):
    answer = api().post("/v1/jobs", {"graph": GRAPH, "deliver": deliver})
    told = problem(answer, 422, "invalid-request")
    assert told["errors"][0]["pointer"] == pointer
    assert problem_of in told["detail"]
    answer = api().post("/v1/batches", {"graph": GRAPH, "deliver": deliver})
    problem(answer, 422, "invalid-request")
