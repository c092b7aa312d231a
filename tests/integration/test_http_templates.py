"""Templates over HTTP: named, asked for by jobs and batches, changed only where the caller knows what is there."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidGraph, InvalidJob, TemplateChanged, TemplateNotFound
from producer.contract.graph.graph import template_id
from producer.contract.graph.named_graphs import NamedGraph
from producer.http_client import HttpProducer
from tests.integration.api_server import GRAPH, problem

PATH = "/v1/templates/portrait"
OTHER = {**GRAPH, "3": {**GRAPH["3"], "inputs": {**GRAPH["3"]["inputs"], "color": 7}}}


def put(client, graph=GRAPH, path=PATH, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("PUT", path, json={"graph": graph}, headers=named)


def test_a_graph_is_named_read_listed_changed_and_forgotten(api):
    shop = api()
    made = put(shop)
    assert (made.status_code, made.headers["location"]) == (201, PATH)
    assert made.json() == {**made.json(), "name": "portrait", "revision": 1, "graph_nodes": 2}
    read = shop.get(PATH)
    assert read.json()["graph"] == GRAPH
    assert read.headers["etag"] == made.headers["etag"] == put(shop).headers["etag"]
    assert put(shop).status_code == 200
    changed = put(shop, OTHER)
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    assert shop.get("/v1/templates").json() == {"templates": [changed.json()]}
    assert shop("DELETE", PATH).status_code == 204
    problem(shop.get(PATH), 404, "not-found")
    problem(shop("DELETE", PATH), 404, "not-found")


def test_a_job_and_a_batch_are_made_from_a_template(api, led):
    shop = api()
    digest = put(shop).json()["template"]
    job = shop.post("/v1/jobs", {"template": "portrait", "params": {"3.color": 255}}).json()
    assert (job["template"], job["params"]) == (digest, {"3.color": 255})
    batch = shop.post("/v1/batches", {"template": "portrait"})
    assert batch.status_code == 201, batch.text
    put(shop, OTHER)
    rows = f"/v1/batches/{batch.json()['id']}/rows"
    headers = {"Content-Type": "application/jsonl"}
    assert shop("POST", rows, data=b'{"3.color": 1}\n', headers=headers).status_code == 200
    assert shop.post(f"/v1/batches/{batch.json()['id']}/seal").status_code == 200
    [row] = led.fleet.jobs(f"batch:{batch.json()['id']}").jobs
    assert (row.template, row.owner) == (digest, "shop")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "expected either graph, or template with the name of one; there is neither of them"),
        ({"graph": GRAPH, "template": "portrait"}, "there is both"),
        ({"template": "portrat"}, "there is no template portrat; did you mean portrait?"),
    ],
)
def test_what_names_no_graph_is_refused(api, led, body, words):
    shop = api()
    put(shop)
    for path in ("/v1/jobs", "/v1/batches"):
        told = problem(shop.post(path, body), 422, "invalid-request")
        assert words in told["detail"]
        [flaw] = told["errors"]
        assert flaw["pointer"] == ("#/template" if body.keys() == {"template"} else "#/graph")
    assert led.fleet.jobs().jobs == []


def test_a_change_is_refused_where_another_came_first(api):
    shop = api()
    first = put(shop, If_None_Match="*").headers["etag"]
    told = problem(put(shop, OTHER, If_None_Match="*"), 412, "precondition-failed")
    assert f'"{told["error"]["etag"]}"' == first
    assert put(shop, OTHER, If_Match=first).status_code == 200
    problem(put(shop, GRAPH, If_Match=first), 412, "precondition-failed")
    problem(shop("DELETE", PATH, headers={"If-Match": first}), 412, "precondition-failed")
    problem(put(shop, path="/v1/templates/fox", If_Match="*"), 412, "precondition-failed")
    problem(put(shop, If_Match='"*"'), 422, "invalid-request")  # an etag in quotes, and of none
    problem(shop("DELETE", PATH, headers={"If-None-Match": "*"}), 422, "invalid-request")
    told = problem(put(shop, If_Match="3"), 422, "invalid-request")
    assert told["errors"][0]["parameter"] == "If-Match"
    problem(put(shop, If_None_Match='"3-a"'), 422, "invalid-request")
    assert shop.get(PATH).json()["graph"] == OTHER


def test_who_has_what_is_there_is_told_so_in_place_of_it(api):
    shop = api()
    etag = put(shop).headers["etag"]

    def asked(known, method="GET", path=PATH):
        answer = shop(method, path, headers={"If-None-Match": known})
        return answer.status_code, answer.headers.get("etag"), len(answer.content)

    for known in (etag, f"W/{etag}", f'"a,b", {etag}', "*", f'"0-a",W/{etag}'):
        assert asked(known) == asked(known, "HEAD") == (304, etag, 0)
    told = shop.get(PATH, headers={"If-None-Match": etag})
    assert told.headers.keys().isdisjoint({"content-type", "content-length"})
    for known in ('"0-a"', etag.strip('"'), f'"x{etag[1:]}', '"*"', ""):
        status, tag, size = asked(known)
        assert (status, tag, size > 100) == (200, etag, True)
    assert asked("*", path="/v1/templates")[0] == 200  # it sends none
    problem(shop.get("/v1/templates/none", headers={"If-None-Match": "*"}), 404, "not-found")
    put(shop, OTHER)
    assert asked(etag)[0] == 200
    assert (
        shop("PUT", PATH, json={"graph": GRAPH}, headers={"If-None-Match": "*"}).status_code == 412
    )


def test_a_bad_graph_or_name_leaves_what_was_there(api):
    shop = api()
    before = put(shop).json()
    told = problem(put(shop, {"3": {"inputs": {}}}), 422, "invalid-graph")
    assert told["errors"][0]["pointer"] == "#/graph/3"
    problem(put(shop, path="/v1/templates/Portrait"), 422, "invalid-request")
    secret = {"prompt": GRAPH, "extra_data": {"api_key_comfy_org": "s3cr3t"}}
    told = problem(put(shop, secret), 422, "invalid-request")
    assert "s3cr3t" not in str(told)
    assert shop.get("/v1/templates").json() == {"templates": [before]}


def test_a_template_is_its_owner_s_and_its_key_s_to_change(api):
    shop, press = api("shop"), api("press")
    put(shop)
    assert press.get("/v1/templates").json() == {"templates": []}
    told = problem(press.post("/v1/jobs", {"template": "portrait"}), 422, "invalid-request")
    assert told["detail"].startswith("there is no template portrait")
    assert put(press, OTHER).status_code == 201
    assert shop.get(PATH).json()["graph"] == GRAPH
    problem(put(api("shop", scopes="read"), OTHER), 403, "forbidden")
    problem(api("shop", scopes="submit").get(PATH), 403, "forbidden")
    assert api("shop", scopes="read").get(PATH).json()["graph"] == GRAPH


def test_the_client_over_http_does_as_the_library_does(api, led):
    key = api()
    with HttpProducer(key.url, key.key) as remote:
        put, is_new = remote.templates.put_once("portrait", GRAPH, must_be_new=True)
        assert (is_new, put) == (True, led.fleet.templates.list(owner="shop")[0])
        assert put == remote.templates.put("portrait", GRAPH, if_match=put.etag)
        assert remote.templates.get("portrait") == led.fleet.templates.get("portrait", owner="shop")
        assert remote.templates.list() == [put]
        assert remote.templates.check(NamedGraph("portrait")) == led.fleet.templates.check(GRAPH)
        assert remote.templates.check(OTHER).params["3.color"].default == 7
        assert remote.submit(NamedGraph("portrait"), params={"3.color": 9}).template == put.template
        batch = remote.submit_many(NamedGraph("portrait"), [{"3.color": 1}])
        [row] = led.fleet.jobs(f"batch:{batch.id}").jobs
        assert row.template == template_id(GRAPH)
        remote.templates.put("copy", NamedGraph("portrait"))
        for call, error in (
            (lambda: remote.templates.put("portrait", OTHER, if_match="9-0123456789ab"), TemplateChanged),
            (lambda: remote.templates.put("portrait", OTHER, must_be_new=True), TemplateChanged),
            (lambda: remote.templates.put("portrait", {"3": GRAPH["3"]}), InvalidGraph),
            (lambda: remote.templates.put("A b", GRAPH), InvalidJob),
            (lambda: remote.templates.delete("portrait", if_match='a"b'), InvalidJob),
            (lambda: remote.templates.get("fox"), TemplateNotFound),
            (lambda: remote.templates.delete("a/../b?c"), TemplateNotFound),
            (lambda: remote.submit(NamedGraph("fox")), InvalidJob),
            (lambda: remote.templates.check(NamedGraph("fox")), TemplateNotFound),
        ):  # fmt: skip
            with pytest.raises(error):
                call()
        assert remote.templates.get("copy").graph == GRAPH
        remote.templates.delete("portrait", if_match=put.etag)
        assert [one.name for one in remote.templates.list()] == ["copy"]
