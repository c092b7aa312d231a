"""The command, as a person runs it: another process, an empty folder."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import pytest

from producer.store.connection import connect
from tests.graphs import picture, raising, sample, sleeping

JOB_FIELDS = {"id", "status", "attempt", "node", "timings", "artifacts", "prompt_id", "queue"}


@pytest.fixture(autouse=True)
def files(tmp_path):
    """Write files into the folder where the command runs; JSON of what is no bytes."""

    def write(**contents):
        for name, content in contents.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / name).write_bytes(data)

    write(g=sleeping(), picture=picture(), words=b"hello", nothing=b"")
    return write


def test_submit_prints_the_id_and_job_wait_the_artifacts(comfyfleet):
    submitted = comfyfleet("submit", "g")
    assert submitted.returncode == 0
    job_id = submitted.stdout.strip()
    waited = comfyfleet("job", "wait", job_id)
    assert waited.returncode == 0
    key, pixels, media_type, _ = waited.stdout.strip().split("\t")
    assert key.startswith(f"jobs/{job_id}/1/")
    assert (pixels, media_type) == ("32x32", "image/png")


def test_submit_waits_and_prints_the_record_as_json(comfyfleet):
    done = comfyfleet("submit", "g", "--wait", "--json", "--metadata", "order=7")
    record = json.loads(done.stdout)
    assert set(record) >= JOB_FIELDS
    assert (record["status"], record["done"], record["metadata"]) == (
        "succeeded",
        True,
        {"order": "7"},
    )
    assert set(record["timings"]) >= {"queued", "preparing", "rendering", "fetching", "storing"}


def test_an_envelope_from_elsewhere_runs_and_its_key_is_shown_nowhere(
    comfyfleet, files, fleet, stack
):
    key, workflow = "comfyui-s3cret", {"id": "wf-1", "nodes": []}
    files(envelope={"workflow": workflow, "output": sleeping()}, key=f"{key}\n".encode())
    done = comfyfleet("submit", "envelope", "--api-key-file", "key", "--wait", "--json")
    record = json.loads(done.stdout)
    assert (record["status"], record["secrets"]) == ("succeeded", ["api_key_comfy_org"])
    shown = comfyfleet("job", "show", record["id"])
    told = [done.stdout, done.stderr, shown.stdout, shown.stderr]
    told += [path.read_text(errors="replace") for path in stack.logs_dir.iterdir()]
    assert not [text for text in told if key in text]
    assert "api_key_comfy_org" in shown.stdout
    again = comfyfleet("job", "retry", record["id"])
    assert again.returncode == 4
    assert "--api-key-file FILE" in again.stderr
    again = comfyfleet("job", "retry", record["id"], "--api-key-file", "key")
    assert fleet.wait(again.stdout.strip(), timeout=timedelta(seconds=60)).secrets


def test_the_graph_in_a_picture_is_submitted(comfyfleet, tmp_path):
    assert comfyfleet("submit", "g", "--output", "out").returncode == 0
    [made] = (tmp_path / "out").iterdir()
    assert comfyfleet("submit", str(made), "--set", "2.nonce=7", "--wait").returncode == 0
    refused = comfyfleet("submit", "picture")
    assert (refused.returncode, "the picture holds no graph" in refused.stderr) == (4, True)


def test_submit_copies_the_pictures_into_a_folder(comfyfleet, files, tmp_path):
    files(m=sample("model_free.json"))
    done = comfyfleet("submit", "m", "--input", "Picture.image=picture", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [
        ".png",
        ".png",
        ".webp",
    ]


def test_job_show_gives_urls_on_demand(comfyfleet):
    job_id = comfyfleet("submit", "g", "--wait", "--json").stdout
    job_id = json.loads(job_id)["id"]
    plain = json.loads(comfyfleet("job", "show", job_id, "--json").stdout)
    assert "url" not in plain["artifacts"][0]
    signed = json.loads(comfyfleet("job", "show", job_id, "--json", "--urls").stdout)
    assert "X-Amz-Signature" in signed["artifacts"][0]["url"]
    told = comfyfleet("job", "show", job_id).stdout
    assert "rendering" in told
    assert plain["artifacts"][0]["key"] in told


def test_job_fetch_checks_what_it_copies(comfyfleet, tmp_path):
    record = json.loads(comfyfleet("submit", "g", "--wait", "--json").stdout)
    fetched = comfyfleet("job", "fetch", record["id"], "here")
    [artifact] = record["artifacts"]
    content = (tmp_path / fetched.stdout.strip()).read_bytes()
    assert hashlib.sha256(content).hexdigest() == artifact["sha256"]


def test_a_failed_job_is_status_1_and_says_where(comfyfleet, files):
    files(bad=raising(text="no such colour"))
    done = comfyfleet("submit", "bad", "--wait")
    assert done.returncode == 1
    assert "graph node 2" in done.stderr
    assert "no such colour" in done.stderr
    [job_id] = set(re.findall(r"[0-9a-f-]{36}", done.stderr))
    shown = " ".join(comfyfleet("job", "show", job_id).stdout.split())
    assert "alike: ComfyFleetRaise RuntimeError: no such colour" in shown
    assert re.search(r"on \S+, for \d+\.\d s, rendered \d+\.\d s, alike", shown)


def test_patience_that_runs_out_is_status_5(comfyfleet, files):
    files(slow=sleeping(3))
    done = comfyfleet("submit", "slow", "--wait", "--timeout", "0.3")
    assert done.returncode == 5
    assert "it goes on" in done.stderr


def test_cancel_says_what_it_met(comfyfleet):
    record = json.loads(comfyfleet("submit", "g", "--wait", "--json").stdout)
    assert comfyfleet("job", "cancel", record["id"]).stdout.split() == [record["id"], "ended"]


def test_node_list_shows_every_node_as_json_lines(comfyfleet, stack):
    lines = comfyfleet("node", "list", "--json").stdout.splitlines()
    nodes = {node["name"]: node for node in map(json.loads, lines)}
    assert set(nodes) >= {node.name for node in stack.nodes}
    assert nodes[stack.nodes[0].name]["state"] == "ready"


def with_change(**changes):
    """Return the sample graph with inputs changed, as `graph_node__input=value`."""
    graph = json.loads(sample("model_free.json"))
    for place, value in changes.items():
        graph_node, _, name = place.removeprefix("n").partition("__")
        target = graph[graph_node] if name == "class_type" else graph[graph_node]["inputs"]
        target[name] = value
    return graph


GOOD_INPUT = ("--input", "Picture.image=picture")

REFUSALS = {
    "not JSON": (b'{"1": ', GOOD_INPUT, "not JSON: .* at line 1, column 7"),
    "not a graph": ([1, 2], GOOD_INPUT, "expected a graph.* this is a list"),
    "UI format": ({"nodes": [], "links": []}, GOOD_INPUT, "API format(.|\n)*Export \\(API\\)"),
    "no output": (
        {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}},
        (),
        "no output node",
    ),
    "missing graph node": (
        with_change(n4__images=["33", 0]),
        GOOD_INPUT,
        "graph node 4 .SaveImage., input images: links to graph node 33",
    ),
    "missing slot": (
        with_change(n4__images=["3", 7]),
        GOOD_INPUT,
        "takes output 7 of graph node 3 .ImageInvert., which has 1",
    ),
    "unknown class": (
        with_change(n3__class_type="ImageInvrt"),
        GOOD_INPUT,
        "no node has class ImageInvrt .graph node 3.(.|\n)*ImageInvert",
    ),
    "unknown model": (
        sample().replace(b"sd_xl_base", b"sd_xl_bse"),
        ("--input", "34.image=picture", "--input", "38.image=picture"),
        "no node has model sd_xl_bse_1.0.safetensors .graph node 40(.|\n)*sd_xl_base_1.0",
    ),
    "unknown address": (
        with_change(),
        (*GOOD_INPUT, "--set", "Nope.x=3"),
        "nothing in the graph has the address 'Nope.x'",
    ),
    "unknown input": (
        with_change(),
        (*GOOD_INPUT, "--set", "6.colour=3"),
        "graph node 6 .EmptyImage. has no input 'colour'(.|\n)*6.color",
    ),
    "missing file": (
        with_change(),
        ("--input", "Picture.image=nowhere.png"),
        "'nowhere.png' for graph node 1 cannot be read: No such file",
    ),
    "empty file": (with_change(), ("--input", "1.image=nothing"), "'nothing' .* is empty"),
    "no picture": (
        with_change(),
        ("--input", "1.image=words"),
        "'words' for graph node 1 is text, no picture: it begins with b'hello'",
    ),
    "no file": (with_change(), (), "graph node 1 .LoadImage. reads 'picture.png', which was not"),
    "traversal in a name": (
        with_change(),
        ("--input", "1.image=node:../../etc/passwd"),
        "'../../etc/passwd' leads out",
    ),
    "unknown pool": (with_change(), (*GOOD_INPUT, "--pool", "video"), "there is no pool 'video'"),
    "unknown node": (with_change(), (*GOOD_INPUT, "--pin", "x"), "there is no node 'x'"),
    "no time": (with_change(), (*GOOD_INPUT, "--start-within", "nan"), "--start-within nan is no"),
    "unknown tier": (with_change(), (*GOOD_INPUT, "--tier", "x"), "tiers are rush, default"),
}


def titled_alike():
    """Return the sample graph with two graph nodes of one title."""
    graph = with_change()
    for graph_node in ("4", "5"):
        graph[graph_node]["_meta"] = {"title": "Out"}
    return graph


REFUSALS["ambiguous title"] = (
    titled_alike(),
    (*GOOD_INPUT, "--set", "Out.images=1"),
    "Out.images is ambiguous: graph node 4 .*graph node 5",
)


#: A process each: of those that are refused alike the others are tested before a release.
OFTEN = ("not JSON", "UI format", "unknown class", "unknown input", "no file", "unknown pool")


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, marks=() if one in OFTEN else pytest.mark.release) for one in REFUSALS],
)
def test_what_cannot_work_is_refused_by_name_and_nothing_is_made(comfyfleet, files, fleet, case):
    graph, options, said = REFUSALS[case]
    files(graph=graph)
    before = records(fleet)
    done = comfyfleet("submit", "graph", *options)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert re.search(said, done.stderr), done.stderr
    assert records(fleet) == before


def test_a_graph_over_the_limit_is_refused(comfyfleet):
    done = comfyfleet("submit", "g", COMFYFLEET_MAX_GRAPH_BYTES="100")
    assert done.returncode == 4
    assert "the limit is 100 bytes" in done.stderr


def test_refusals_are_json_when_asked_for(comfyfleet, files):
    files(graph=with_change(n3__class_type="ImageInvrt"))
    done = comfyfleet("submit", "graph", *GOOD_INPUT, "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["type"], error["graph_node"]) == ("NoNodeCanRun", "3")


UNREACHABLE = {
    "Redis": (
        {"COMFYFLEET_REDIS_URL": "redis://me:hunter2@127.0.0.1:1/0"},
        "Redis at 127.0.0.1:1/0 does not answer(.|\n)*COMFYFLEET_REDIS_URL",
    ),
    "S3": (
        {"COMFYFLEET_S3_ENDPOINT_URL": "http://127.0.0.1:1"},
        "http://127.0.0.1:1 does not answer(.|\n)*COMFYFLEET_S3_ENDPOINT_URL",
    ),
    "bucket": ({"COMFYFLEET_S3_BUCKET": "no-such"}, "there is no bucket no-such at http"),
    "credentials": (
        {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "hunter2"},
        "bucket comfyfleet at http.* refuses us .InvalidAccessKeyId.(.|\n)*AWS_ACCESS_KEY_ID",
    ),
}


@pytest.mark.parametrize("which", UNREACHABLE)
def test_what_does_not_serve_is_named_and_no_password_shown(comfyfleet, files, which):
    environment, said = UNREACHABLE[which]
    files(graph=with_change())
    done = comfyfleet("submit", "graph", *GOOD_INPUT, **environment)
    assert done.returncode == 3, done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_worker_does_not_start_without_its_bucket(comfyfleet):
    done = comfyfleet(
        *("worker", "--comfyui", "http://127.0.0.1:1", "--name", "lonely"),
        COMFYFLEET_S3_BUCKET="no-such",
    )
    assert done.returncode == 3
    assert "bucket no-such" in done.stderr


def test_a_second_worker_of_one_name_is_refused(comfyfleet, stack):
    name = stack.nodes[0].name
    done = comfyfleet("worker", "--comfyui", "http://127.0.0.1:1", "--name", name)
    assert done.returncode == 79
    assert f"node {name} is already served" in done.stderr


def test_a_name_that_is_none_is_refused(comfyfleet):
    done = comfyfleet("worker", "--comfyui", "http://127.0.0.1:1", "--name", "GPU 1")
    assert done.returncode == 2
    assert "--name: 'GPU 1' is no name" in done.stderr


def records(fleet) -> int:
    with connect(fleet.settings) as redis:
        return sum(1 for _ in redis.scan_iter("comfyfleet:job:*"))


def test_a_wait_that_is_over_says_how_long_it_was(comfyfleet, files):
    files(long=sleeping(30))
    done = comfyfleet("submit", "long", "--wait", "--timeout", "0.5")
    assert done.returncode == 5
    assert re.search(r"job \S+ is still (queued|running) after 0\.5 s; it goes on", done.stderr)
    job = re.search(r"job (\S+) is still", done.stderr)[1]
    again = comfyfleet("job", "wait", job, "--timeout", "0.2")
    assert "after 0.2 s" in again.stderr
    assert comfyfleet("job", "cancel", job).returncode == 0


def test_node_check_tells_a_health_check_whether_a_node_has_a_living_worker(comfyfleet):
    named = comfyfleet("node", "check", "standin-1", "standin-2", "--ready")
    assert (named.returncode, named.stdout) == (0, "standin-1\tready\nstandin-2\tready\n")
    by_environment = comfyfleet("node", "check", COMFYFLEET_NODE_NAME="standin-1")
    assert by_environment.stdout == "standin-1\tready\n"
    unknown = comfyfleet("node", "check", "nobody", "standin-1")
    assert (unknown.returncode, "nobody\tunknown" in unknown.stdout) == (1, True)
