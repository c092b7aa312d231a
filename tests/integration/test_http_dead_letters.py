"""Dead letters over HTTP: listed, read, made again, dropped, by who administers the fleet."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob, JobNotFound
from producer.http_client import HttpProducer
from tests.integration.api_server import problem

NOBODY = "01a202b8-2e5f-7533-81db-221426b72003"
PATH = "/v1/dead-letters"


@pytest.fixture
def boss(api):
    return api("boss", scopes="admin")


def test_they_are_listed_counted_made_again_and_dropped(boss, led):
    first, last = led.failed(cause="out_of_memory"), led.failed()
    letters = boss.get(PATH).json()["dead_letters"]
    assert [letter["id"] for letter in letters] == [last.id, first.id]
    assert len(boss.get(f"{PATH}?limit=1").json()["dead_letters"]) == 1
    assert boss.get(f"{PATH}/causes").json() == {
        "causes": {"execution_error": 1, "out_of_memory": 1}
    }
    one = boss.get(letters[0]["links"]["self"]).json()
    assert (one["cause"], one["job"]["links"]["self"]) == ("execution_error", one["links"]["job"])
    again = boss.post(one["links"]["redrive"])
    assert (again.status_code, again.json()["retry_of"]) == (201, last.id)
    told = boss.post(one["links"]["redrive"])
    assert (told.status_code, told.headers["idempotent-replayed"]) == (200, "true")
    assert told.headers["location"] == again.headers["location"]
    assert told.json()["id"] == again.json()["id"]
    assert "idempotent-replayed" not in again.headers
    assert boss("DELETE", f"{PATH}/{first.id}").status_code == 204
    assert boss.get(PATH).json() == {"dead_letters": []}
    assert led.fleet.get(first.id).status == "failed"


def test_what_is_none_is_not_found(boss, led):
    cancelled, waiting = led.cancelled(), led.queued()
    for job in (cancelled.id, waiting.id, NOBODY, "x"):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/redrive")):
            problem(boss(method, f"{PATH}/{job}{path}"), 404, "not-found")
    dead = led.failed()
    [flaw] = problem(boss.post(f"{PATH}/{dead.id}/redrive", {"secrets": {"x": 1}}), 422, "invalid-request")["errors"]  # fmt: skip
    assert flaw["pointer"] == "#/secrets"
    problem(boss.get(f"{PATH}?limit=1001"), 422, "invalid-request")


def test_one_that_cannot_be_made_again_says_why(boss, led):
    dead = led.failed()
    led.redis.delete(f"comfyfleet:template:{dead.template}")
    told = problem(boss.post(f"{PATH}/{dead.id}/redrive"), 409, "conflict")
    assert "has expired" in told["detail"]


def test_they_are_for_who_administers_the_fleet(api, led):
    dead = led.failed(led.queued(owner="shop"))
    ops = api("shop", scopes="submit,read,operate")
    for method, path in (("GET", ""), ("GET", "/causes"), ("GET", f"/{dead.id}"), ("DELETE", f"/{dead.id}"), ("POST", f"/{dead.id}/redrive")):  # fmt: skip
        problem(ops(method, f"{PATH}{path}"), 403, "forbidden")
    assert len(led.fleet.dead_letters.ids()) == 1


def test_the_client_does_what_the_library_does(boss, led):
    dead, other = led.failed(), led.failed()
    with HttpProducer(boss.url, boss.key) as fleet:
        assert fleet.dead_letters.list() == led.fleet.dead_letters.list()
        assert fleet.dead_letters.list(0) == []
        assert fleet.dead_letters.show(dead.id) == led.fleet.dead_letters.show(dead.id)
        assert fleet.dead_letters.causes() == led.fleet.dead_letters.causes()
        made = fleet.dead_letters.redrive_once(dead.id)
        assert (made.job.retry_of, made.is_replay) == (dead.id, False)
        assert fleet.dead_letters.redrive_once(dead.id).is_replay
        assert fleet.dead_letters.redrive(dead.id).id == made.job.id
        assert (fleet.dead_letters.drop(other.id), fleet.dead_letters.drop(other.id)) == (True, False)  # fmt: skip
        for call in (fleet.dead_letters.show, fleet.dead_letters.redrive):
            with pytest.raises(InvalidJob, match="no dead letter"):
                call(led.cancelled().id)
            with pytest.raises(InvalidJob, match="no job id"):
                call("x")
        with pytest.raises(JobNotFound):
            fleet.dead_letters.redrive(NOBODY)
