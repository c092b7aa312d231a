"""What one owner has of open batches, retries and lists over HTTP, whatever others do."""

from __future__ import annotations

import base64
import json

import pytest

from producer.contract.errors import OwnerBacklogFull
from producer.contract.ids import new_batch_id, new_job_id
from producer.listing import cursors
from producer.store import keys, limits
from tests.integration.api_server import GRAPH, problem
from tests.integration.carried_actions import carry_all


def added(client, batch, count):
    headers = {"Content-Type": "application/jsonl"}
    return client("POST", f"/v1/batches/{batch}/rows", data=b"{}\n" * count, headers=headers)


@pytest.mark.parametrize("limit", ["of the key", "of the owner"])
def test_rows_of_open_batches_count_as_if_they_waited(api, led, limit):
    shop = api("shop", max_waiting=300 if limit == "of the key" else None)
    if limit == "of the owner":
        led.fleet.limit_owner("shop", max_waiting=300)
    first, second = (shop.post("/v1/batches", {"graph": GRAPH}).json()["id"] for _ in range(2))
    assert added(shop, first, 200).status_code == 200
    told = problem(added(shop, second, 200), 429, "backlog-full")
    assert "has 200 jobs waiting" in told["detail"]
    assert shop.get(f"/v1/batches/{second}").json()["rows"] == 0
    assert added(shop, second, 100).status_code == 200
    assert shop.post(f"/v1/batches/{first}/cancel").status_code == 200
    assert shop.post(f"/v1/batches/{second}/seal").status_code == 200


def test_the_store_counts_rows_of_all_open_batches_of_an_owner(led):
    led.fleet.limit_owner("shop", max_waiting=300)
    first, second = (led.fleet.begin_batch(GRAPH, owner="shop").batch.id for _ in range(2))
    led.fleet.add_rows(first, [{}] * 200)
    led.fleet.add_rows(second, [{}] * 100)
    with pytest.raises(OwnerBacklogFull, match="its limit is 300"):
        led.fleet.add_rows(second, [{}] * 100)
    assert led.fleet.open_rows("shop") == 300


def test_an_owner_has_so_many_open_batches(api, led):
    shop = api("shop")
    made = [led.fleet.begin_batch(GRAPH, owner="shop").batch.id for _ in range(limits.MOST_OPEN)]
    told = problem(shop.post("/v1/batches", {"graph": GRAPH}), 429, "backlog-full")
    assert "100 open batches" in told["detail"]
    assert api("press").post("/v1/batches", {"graph": GRAPH}).status_code == 201
    led.fleet.cancel_batch(made[0])
    assert shop.post("/v1/batches", {"graph": GRAPH}).status_code == 201


def test_batches_of_others_hide_none(api, led):
    shop = api("shop")
    mine = shop.post("/v1/batches", {"graph": GRAPH, "name": "night"}).json()["id"]
    theirs = led.fleet.begin_batch(GRAPH, owner="press").batch.id
    record, opened = led.redis.hgetall(keys.batch(theirs)), led.redis.zscore(keys.BATCHES, theirs)
    with led.redis.pipeline(transaction=False) as pipe:
        for _ in range(1_100):
            batch = new_batch_id()
            pipe.hset(keys.batch(batch), mapping=record)
            pipe.expire(keys.batch(batch), 600)
            pipe.zadd(keys.BATCHES, {batch: opened + 1})
        pipe.execute()
    assert [batch["id"] for batch in shop.get("/v1/batches").json()["batches"]] == [mine]
    problem(shop.get("/v1/jobs?filter=batch:night"), 409, "conflict")  # it is found, and still open


def test_a_retry_keeps_to_the_tiers_and_the_room_of_its_key(api, led):
    boss, weak = api("shop"), api("shop", max_waiting=2, top_tier="batch")
    rush = boss.submit(tier="rush")["id"]
    patient = [boss.submit(tier="batch")["id"] for _ in range(3)]
    for job in (rush, *patient):
        assert boss.post(f"/v1/jobs/{job}/cancel").status_code == 200
    problem(weak.post(f"/v1/jobs/{rush}/retry", {}), 422, "invalid-request")
    wanted = {"action": "retry", "filter": "status:cancelled"}
    assert weak.post("/v1/actions", {**wanted, "dry_run": True}).json()["matched"] == 3
    told = acted(weak, led, **wanted)
    assert (told["state"], told["done"]) == ("failed", 2)
    assert told["error"] == "owner shop has 2 jobs waiting; its limit is 2"
    problem(weak.post("/v1/actions", wanted), 429, "backlog-full")
    assert acted(boss, led, **wanted)["done"] == 2


def test_a_retry_that_is_asked_for_again_is_found_though_nothing_more_may_wait(api):
    weak = api("shop", max_waiting=1)
    job = weak.submit()["id"]
    assert weak.post(f"/v1/jobs/{job}/cancel").status_code == 200
    first, again = (weak.post(f"/v1/jobs/{job}/retry") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


def test_an_action_that_is_asked_for_again_is_found_though_nothing_more_may_wait(api):
    shop, weak = api("shop"), api("shop", max_waiting=1)
    wanted, named = {"action": "retry", "filter": "status:cancelled"}, {"Idempotency-Key": "a"}
    first = weak.post("/v1/actions", wanted, headers=named)
    shop.submit()
    again = weak.post("/v1/actions", wanted, headers=named)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    told = [answer.headers.get("idempotent-replayed") for answer in (first, again)]
    assert told == [None, "true"]
    for other in ({"Idempotency-Key": "b"}, {}):
        problem(weak.post("/v1/actions", wanted, headers=other), 429, "backlog-full")


def acted(client, led, **wanted):
    """Ask for an action, have it carried out, and return it."""
    path = client.post("/v1/actions", wanted).json()["links"]["self"]
    carry_all(led)
    return client.get(path).json()


def position(cursor):
    text = cursor.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))[1]["after"]


def test_a_cursor_names_no_job_of_another_owner(api):
    shop, press = api("shop"), api("press")
    for client in (shop, press, shop, press, shop):
        assert client.post(f"/v1/jobs/{client.submit()['id']}/cancel").status_code == 200
    mine = {job["id"] for job in shop.get("/v1/jobs").json()["jobs"]}
    named, cursor = [], ""
    for _ in range(len(mine)):
        page = shop.get(f"/v1/jobs?filter=status:cancelled&limit=1{cursor}").json()
        assert len(page["jobs"]) == 1
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
        named.append(position(page["cursor"]).split()[-1])
    assert len(named) >= 2
    assert set(named) <= mine


def test_a_page_of_nothing_goes_on_after_no_job_of_others(api, led):
    shop = api("shop")
    mine = shop.submit()["id"]
    assert shop.post(f"/v1/jobs/{mine}/cancel").status_code == 200
    ended = led.redis.zscore(keys.ended("cancelled"), mine)
    others = {str(new_job_id()): int(ended) - number // 3 for number in range(6_000)}
    led.redis.zadd(keys.ended("cancelled"), {mine: ended - 10_000, **others})
    page = shop.get("/v1/jobs?filter=status:cancelled").json()
    assert page["jobs"] == []
    assert position(page["cursor"]).split()[-1] not in others
    page = shop.get(f"/v1/jobs?filter=status:cancelled&cursor={page['cursor']}").json()
    assert [job["id"] for job in page["jobs"]] == [mine]


def test_a_filter_with_many_names_looks_at_the_batches_once(api, led):
    shop = api("shop")
    for name in ("night", "day"):
        shop.post("/v1/batches", {"graph": GRAPH, "name": name})
    led.redis.config_resetstat()
    filters = "-batch:night,day," + ",".join(["night"] * 100), "-batch:night " + "-batch:day " * 50
    for words in filters:
        assert shop.get("/v1/jobs", params={"filter": words}).status_code == 200
    # Of each batch, name and spec, in the list of the owner and in that of all.
    assert led.redis.info("commandstats")["cmdstat_hmget"]["calls"] <= 2 * 2 * 2 + 20


def test_a_cursor_that_was_built_by_hand_tells_of_no_batch_of_others(api, led):
    shop, press = api("shop"), api("press")
    answers = []
    for batch in (
        press.post("/v1/batches", {"graph": GRAPH}).json()["id"],
        led.fleet.submit_many(GRAPH, [{}], owner="press").id,
        new_batch_id(),
    ):
        mine = shop.post("/v1/batches", {"graph": GRAPH}).json()["id"]
        added(shop, mine, 3)
        assert shop.post(f"/v1/batches/{mine}/seal").status_code == 200
        path = f"/v1/jobs?filter=batch:{mine}&limit=1"
        content, _, _ = shop.get(path).json()["cursor"].partition(".")
        told = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
        told[1] |= {"batches": [batch], "after": ""}
        built = json.dumps(told).encode()
        cursor = f"{cursors._encoded(built)}.{cursors._sum(built)}"
        answer = problem(shop.get(f"{path}&cursor={cursor}"), 404, "not-found")
        answers.append(answer["detail"].replace(batch, "it"))
    assert len(set(answers)) == 1
