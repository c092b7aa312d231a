"""What is told of a graph before a job is made of it: by the nodes that live, as they told what they have."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from producer.cli.main import app
from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import InvalidGraph, InvalidJob, InvalidParam
from producer.contract.graph.graph import template_id
from producer.contract.graph.named_graphs import NamedGraph
from producer.store.node_store import NodeStore
from tests.integration.hand_led import LEASE

MODELS = ["film_v1.safetensors", "film_v2.safetensors"]


def info(models=MODELS, widest=512, **more):
    loads = {"ckpt_name": [models, {}], "width": ["INT", {"min": 16, "max": widest}], **more}
    known = {"python_module": "nodes", "output_node": False, "output": ["IMAGE"]}
    saves = {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}
    return {
        "Paint": {**known, "input": {"required": loads}},
        "LoadImage": {**known, "input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
        "SaveImage": {**known, "input": {"required": saves}, "output": [], "output_node": True},
    }  # fmt: skip


def graph(model="film_v2.safetensors", **inputs):
    return {
        "1": {
            "class_type": "Paint",
            "inputs": {"ckpt_name": model, "width": 64, **inputs},
            "_meta": {"title": "Painter"},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
        "3": {"class_type": "Nobody", "inputs": {"left": 1}},
    }


def register(led, name, told, *, pool="default", silent=False):
    catalog = Catalog.from_object_info(told)
    rules = InputRules.from_object_info(told, version="0.33.0")
    fields = {
        "pool": pool,
        "url": "http://127.0.0.1:1",
        "state": "ready",
        "host": "here",
        **({} if silent else {"catalog": catalog.to_text(), "catalog_sha": catalog.sha}),
        "rules": rules.to_text(),
        "rules_sha": rules.sha,
        "rules_for": catalog.sha,
    }
    NodeStore(led.redis, lease=LEASE).register(name, worker=f"{name}:w", fields=fields)


def test_each_node_is_told_with_what_it_lacks_and_refuses(led):
    register(led, "gpu-01", info())
    register(led, "gpu-02", info(MODELS[:1]), pool="video")
    register(led, "gpu-03", {"SaveImage": info()["SaveImage"]})
    register(led, "gpu-04", info(widest=32))
    register(led, "gpu-05", info(), silent=True)
    told = led.fleet.templates.check(graph())
    assert (told.runs_on, told.template, told.graph_nodes) == (1, template_id(graph()), 3)
    assert told.models == ["film_v2.safetensors"]
    fits = {fit.node: fit for fit in told.nodes}
    assert [name for name, fit in fits.items() if fit.can_run] == ["gpu-01"]
    [lack] = fits["gpu-02"].lacks
    assert (lack.graph_node, lack.input, lack.name) == ("1", "ckpt_name", "film_v2.safetensors")
    assert (lack.nearest, fits["gpu-02"].pool) == (["film_v1.safetensors"], "video")
    assert [(one.input, one.name) for one in fits["gpu-03"].lacks] == [(None, "Paint")]
    [refused] = fits["gpu-04"].refuses
    assert (refused.graph_node, refused.input) == ("1", "width")
    assert refused.message == "64 is too large; it takes 16 to 32"
    assert not fits["gpu-05"].is_known
    assert [fit.node for fit in led.fleet.templates.check(graph(), pool="video").nodes] == [
        "gpu-02"
    ]
    assert led.fleet.templates.check(graph(), params={"Painter.width": 32}).runs_on == 2
    assert led.fleet.jobs().jobs == []


def test_values_that_a_job_may_set_are_told_as_the_able_nodes_take_them(led):
    mode = [["plain", "checked"], {}]
    told_by = {
        "mode": mode,
        "cfg": ["FLOAT", {"min": 0.5}],
        "tiled": ["BOOLEAN", {}],
        "text": ["STRING", {}],
        "seed": ["INT", {"min": 0, "max": 2**64 - 1}],
    }
    register(led, "gpu-01", info(**told_by))
    register(led, "gpu-02", info(widest=1024, **{**told_by, "mode": [["plain", "drawn"], {}]}))
    register(led, "gpu-03", info(MODELS[:1], widest=9000, **told_by))
    inputs = {"mode": "plain", "cfg": 7.5, "tiled": False, "text": "a fox", "seed": 2**64 - 1, "own": {"a": 1}}  # fmt: skip
    params = led.fleet.templates.check(graph(**inputs)).params
    assert "3.left" not in params  # no output needs it
    assert "2.images" not in params  # a link
    shown = {
        address: (form.type, form.default, form.min, form.max, form.choices)
        for address, form in params.items()
    }
    assert shown == {
        "1.ckpt_name": ("MODEL", "film_v2.safetensors", None, None, MODELS),
        "1.width": ("INT", 64, 16, 1024, None),
        "1.mode": ("COMBO", "plain", None, None, ["plain", "checked", "drawn"]),
        "1.cfg": ("FLOAT", 7.5, 0.5, None, None),
        "1.tiled": ("BOOLEAN", False, None, None, None),
        "1.text": ("STRING", "a fox", None, None, None),
        "1.seed": ("INT", 2**64 - 1, 0, 2**64 - 1, None),
        "1.own": ("JSON", {"a": 1}, None, None, None),
        "2.filename_prefix": ("STRING", "x", None, None, None),
    }
    assert (params["1.width"].title, params["1.width"].class_type) == ("Painter", "Paint")


def test_a_file_is_told_as_one_and_needs_not_be_handed_in(led):
    register(led, "gpu-01", info())
    reads = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    told = led.fleet.templates.check(reads)
    assert (told.runs_on, told.params["1.image"].type, told.params["1.image"].choices) == (
        1,
        "FILE",
        None,
    )


def test_a_graph_is_checked_while_no_node_lives(led):
    told = led.fleet.templates.check(graph(seed=7, cfg=1.5, tiled=True))
    assert (told.runs_on, told.nodes) == (0, [])
    types = {address: form.type for address, form in told.params.items()}
    assert types["1.seed"] == "INT"
    assert (types["1.cfg"], types["1.tiled"], types["1.ckpt_name"]) == (
        "FLOAT",
        "BOOLEAN",
        "STRING",
    )


def test_what_no_node_could_make_sense_of_is_refused(led):
    register(led, "gpu-01", info())
    for call, error in (
        (lambda: led.fleet.templates.check({"1": graph()["1"]}), InvalidGraph),
        (lambda: led.fleet.templates.check(graph(), params={"1.hue": 1}), InvalidParam),
        (lambda: led.fleet.templates.check(graph(), pool="viedo"), InvalidJob),
        (lambda: led.fleet.templates.check(graph(), pool="No pool"), InvalidJob),
        (lambda: led.fleet.templates.check(NamedGraph("portrait")), InvalidJob),
    ):
        with pytest.raises(error):
            call()


def test_a_check_of_a_large_graph_and_many_models_is_bounded(led):
    models = [f"m{number:05}.safetensors" for number in range(3_000)]
    register(led, "gpu-01", info(models))
    register(led, "gpu-02", {"SaveImage": info()["SaveImage"]})
    many = {str(n): {"class_type": "Paint", "inputs": {"ckpt_name": models[n], "width": 64}} for n in range(1_500)}  # fmt: skip
    wants = {f"i{n}": [str(n), 0] for n in range(1_500)}
    many["s"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0], "filename_prefix": "x", **wants}}  # fmt: skip
    told = led.fleet.templates.check(many)
    assert (told.runs_on, len(told.params), told.more_params) == (1, 2_000, 1_001)
    assert len(told.model_dump_json()) < 3_000_000
    first, later = told.params["0.ckpt_name"], told.params["20.ckpt_name"]
    assert (len(first.choices), first.more_choices) == (2_000, 1_000)
    assert (later.choices, later.more_choices) == ([], 3_000)


def test_the_api_tells_the_same_of_a_template_and_of_a_graph(led, api):
    register(led, "gpu-01", info())
    register(led, "gpu-02", info(MODELS[:1]))
    shop = api()
    shop("PUT", "/v1/templates/portrait", json={"graph": graph()})
    by_name = shop.post("/v1/templates/portrait/check").json()
    assert by_name == shop.post("/v1/templates/check", {"graph": graph()}).json()
    assert by_name["runs_on"] == 1
    assert by_name["params"]["1.width"] == {
        "graph_node": "1",
        "class_type": "Paint",
        "input": "width",
        "title": "Painter",
        "type": "INT",
        "default": 64,
        "min": 16,
        "max": 512,
        "more_choices": 0,
    }
    set_ = shop.post("/v1/templates/portrait/check", {"params": {"1.ckpt_name": MODELS[0]}}).json()
    assert set_["runs_on"] == 2
    # The process serves other tests, and would believe for 5 s that these nodes are there: a check looks anew.
    led.redis.delete(*led.redis.scan_iter("comfyfleet:node*"))
    assert shop.post("/v1/templates/check", {"graph": graph()}).json()["nodes"] == []


@pytest.fixture
def command(led, monkeypatch):
    """Return what runs the command, in this process: each of its own would take a second to start."""
    monkeypatch.setenv("COMFYFLEET_REDIS_URL", led.settings.redis_url)
    return lambda *words: CliRunner().invoke(app, words)


def test_templates_are_led_by_the_command(led, command, tmp_path):
    register(led, "gpu-01", info())
    register(led, "gpu-02", info(MODELS[:1]))
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(graph()))
    put = command("template", "put", "portrait", str(file), "--owner", "shop", "--new", "--json")
    assert json.loads(put.stdout)["revision"] == 1, put.stderr
    again = command("template", "put", "portrait", str(file), "--owner", "shop", "--new")
    assert (again.exit_code, "a template portrait already" in again.stderr) == (4, True)
    check = command("template", "check", "portrait", "--owner", "shop")
    assert check.exit_code == 0, check.stderr
    assert "gpu-01\tdefault\tready\tcan run it" in check.stdout
    assert "gpu-02\tdefault\tready\tlacks model film_v2.safetensors" in check.stdout
    assert "1.width\tPainter\tINT\t64\tfrom 16 to 512" in check.stdout
    nobody = command("template", "check", str(file), "--set", "1.width=15")
    assert (nobody.exit_code, "refuses 1.width" in nobody.stdout) == (1, True)
    job = command("submit", "template:portrait", "--owner", "shop", "--set", "1.width=32", "--json")
    assert json.loads(job.stdout)["params"] == {"1.width": 32}
    graph_ = command("template", "show", "portrait", "--owner", "shop", "--graph")
    assert json.loads(graph_.stdout) == graph()
    assert command("template", "delete", "portrait", "--owner", "shop").exit_code == 0
    assert command("template", "list").stdout == ""
    gone = command("submit", "template:portrait", "--owner", "shop")
    assert (gone.exit_code, "there is no template portrait" in gone.stderr) == (4, True)
