"""The examples of backends, each asked as its customers would, with a fleet whose jobs the test leads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

EXAMPLES = sorted((Path(__file__).parents[2] / "docs/examples").glob("*_backend.py"))
NOBODY = "01a202b8-2e5f-7533-81db-221426b72003"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_fits_on_a_page(path):
    assert len(path.read_text().splitlines()) <= 80


@pytest.mark.parametrize("how", ["from_env", "over_http"])
def test_the_fastapi_backend_hands_in_follows_and_links(comfyfleet, example, monkeypatch, how):
    from fastapi.testclient import TestClient

    module = example("fastapi_backend")
    told = dict(comfyfleet.environment)
    if how == "over_http":
        told = {"API": comfyfleet.api_url, "KEY": comfyfleet.key("shop", ["submit", "read"])}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with TestClient(getattr(module, how)()) as shop:
        headers = {"Idempotency-Key": "order-1"}
        job = shop.post("/pictures", json={"text": "a red fox"}, headers=headers).json()
        assert shop.post("/pictures", json={"text": "a red fox"}, headers=headers).json() == job
        assert comfyfleet.producer.get(job["id"]).params == {"6.text": "a red fox"}
        assert shop.get(f"/pictures/{job['id']}").json()["urls"] == []
        comfyfleet.progress(job["id"], 50)
        comfyfleet.finish(job["id"], pictures=2)
        told = shop.get(f"/pictures/{job['id']}/events").text
        assert '"status":"succeeded"' in told
        [last] = re.findall(r"^id: (\S+)$", told, re.MULTILINE)
        urls = shop.get(f"/pictures/{job['id']}").json()["urls"]
        assert [requests.get(url, timeout=5).content for url in urls] == comfyfleet.pictures(
            job["id"]
        )
        assert (
            '"status":"succeeded"'
            in shop.get(f"/pictures/{job['id']}/events", headers={"Last-Event-ID": last}).text
        )
        assert shop.get(f"/pictures/{NOBODY}").status_code == 404
        assert shop.get(f"/pictures/{NOBODY}/events").status_code == 404
        assert shop.post("/pictures", json={"text": "x"}, headers=headers).status_code == 503


def test_the_flask_backend_needs_an_access_key_alone(comfyfleet, example, monkeypatch):
    module = example("flask_backend")
    monkeypatch.setenv("API", comfyfleet.api_url)
    monkeypatch.setenv("KEY", comfyfleet.key("shop", ["submit", "read"]))
    shop = module.from_env().test_client()
    answer = shop.post("/pictures", data={"text": "a red fox"})
    job = answer.json
    assert (answer.status_code, job["status"], job["done"]) == (202, "queued", False)
    assert comfyfleet.producer.get(job["id"]).owner == "shop"
    assert shop.get(f"/pictures/{job['id']}?wait=0.1").json["status"] == "queued"
    comfyfleet.finish(job["id"])
    done = shop.get(f"/pictures/{job['id']}?wait=5").json
    link = shop.get(done["pictures"][0]).location
    assert requests.get(link, timeout=5).content == comfyfleet.pictures(job["id"])[0]
    failed = shop.post("/pictures", data={"text": "another"}).json["id"]
    comfyfleet.fail(failed, "out_of_memory", message="8 GB are too few")
    assert shop.get(f"/pictures/{failed}?wait=5").json["why"] == "8 GB are too few"
    assert shop.get(f"/pictures/{NOBODY}").status_code == 404
    refused = shop.post("/pictures", data={"photo": (__file__, "a.png")})
    assert (refused.status_code, "10.image" in refused.json["error"]) == (422, True)


def test_the_django_backend_hands_a_night_in_by_rows(comfyfleet, example, monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "django_backend")
    for name, value in comfyfleet.environment.items():
        monkeypatch.setenv(name, value)
    module = example("django_backend")
    import django
    from django.test import Client

    django.setup()
    shop = Client()

    def post(body):
        return shop.post("/nights", body, content_type="application/json")

    order = {"name": "night-0412", "texts": ["a red fox", "a hen"]}
    night = post(order).json()
    assert (night["rows"], post(order).json()["id"]) == (2, night["id"])
    jobs = [job for _, job in comfyfleet.producer.batch_jobs(night["id"])]
    comfyfleet.finish(jobs[0])
    comfyfleet.fail(jobs[1])
    told = shop.get(f"/nights/{night['id']}").json()
    assert (told["done"], told["counts"]["succeeded"], told["counts"]["failed"]) == (True, 1, 1)
    assert requests.get(told["urls"]["1"][0], timeout=5).content == comfyfleet.pictures(jobs[0])[0]
    assert shop.get(f"/nights/{NOBODY}").status_code == 404
    bad = post({"name": "other", "texts": ["a red fox", ["no text"]]})
    assert (bad.status_code, bad.json()["rows"][0]["row"]) == (422, 2)
    module.fleet().close()
