"""Files that strangers name by a form: only what is public, handed in, or their owner's own is read."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
from aiohttp import web
from PIL import Image

from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.errors import InvalidInput, InvalidJob, InvalidParam, InvalidRows
from producer.contract.ids import new_job_id
from producer.intake.input_policy import InputPolicy
from tests.integration.scripted_node import scripted_node
from tests.unit.test_picture_size import bomb

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


PICTURE = picture()
SHA256 = hashlib.sha256(PICTURE).hexdigest()


@pytest.fixture
def web_server():
    async def answer(request: web.Request) -> web.Response:
        contents = {
            "/fox.png": web.Response(body=PICTURE, content_type="image/png"),
            "/page.png": web.Response(text="<html>", content_type="text/html"),
            "/bomb.png": web.Response(body=bomb(90_000, 90_000), content_type="image/png"),
            "/away": web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        }
        return contents.get(request.path, web.Response(status=404))

    paths = ("/fox.png", "/page.png", "/bomb.png", "/away", "/gone.png")
    with scripted_node({f"GET {path}": answer for path in paths}) as server:
        yield server


@pytest.fixture
def fleet(led_with_s3, web_server):
    """A producer that strangers' requests reach."""
    host = web_server.url.removeprefix("http://")
    settings = led_with_s3.settings.model_copy(
        update={"trusted_hosts": host, "max_input_bytes": 1_000_000}
    )
    with Producer(settings, input_policy=InputPolicy.forms_only(buckets=["shop"])) as fleet:
        yield fleet


def submit(fleet, form, **options):
    return fleet.submit(GRAPH, inputs={"1.image": form}, **options)


def test_a_file_at_an_address_is_fetched_when_it_is_handed_in(fleet, web_server):
    [file] = submit(fleet, {"url": f"{web_server.url}/fox.png?token=1"}).inputs.values()
    assert (file.name, file.sha256, file.bytes) == ("fox.png", SHA256, len(PICTURE))


def test_bytes_may_come_as_base64(fleet):
    text = base64.b64encode(PICTURE).decode()
    for form in (text, f"data:image/png;base64,{text}"):
        [file] = submit(fleet, {"base64": form}).inputs.values()
        assert (file.name, file.sha256) == ("x.png", SHA256)


def test_an_upload_is_its_owners(fleet):
    upload = fleet.upload(PICTURE, owner="shop", name="me.png")
    assert fleet.upload(PICTURE, owner="shop", name="me.png") == upload
    [file] = submit(fleet, {"upload": upload.id}, owner="shop").inputs.values()
    assert (file.name, file.sha256) == ("me.png", SHA256)
    for owner in ("", "gallery"):
        with pytest.raises(InvalidInput, match="there is no upload"):
            submit(fleet, {"upload": upload.id}, owner=owner)


def test_what_a_job_made_can_be_read_by_its_owners_next(fleet, led_with_s3):
    made = led_with_s3.succeeded(led_with_s3.queued(owner="shop"), contents=(PICTURE,))
    [artifact] = made.artifacts
    form = {
        "artifact": {"job": made.id, "graph_node": artifact.graph_node, "index": artifact.index}
    }
    for one in (form, {"artifact": {"job": made.id}}):
        [file] = submit(fleet, one, owner="shop").inputs.values()
        assert (file.source, file.sha256) == (artifact.key, SHA256)
    with pytest.raises(InvalidInput, match="there is no job"):
        submit(fleet, form, owner="gallery")
    with pytest.raises(InvalidInput, match="has no such file; it has"):
        submit(fleet, {"artifact": {"job": made.id, "graph_node": "9", "index": 7}}, owner="shop")
    waiting = led_with_s3.queued(owner="shop")
    with pytest.raises(InvalidInput, match="is queued, and has made no file"):
        submit(fleet, {"artifact": {"job": waiting.id}}, owner="shop")


def test_rows_name_files_by_forms_too(fleet, web_server):
    form = {"url": f"{web_server.url}/fox.png"}
    fleet.submit_many(GRAPH, [Row({}, {"1.image": form}, {})] * 3)
    assert web_server.asked.count("GET /fox.png") == 1
    with pytest.raises(InvalidRows) as refused:
        fleet.submit_many(GRAPH, [Row({}, {"1.image": {"url": "http://10.0.0.7/"}}, {})])
    assert refused.value.rows[0].column == "1.image.url"


REFUSED = [
    ({"url": "{}/page.png"}, "inputs.1.image.url", "is no file, but text/html"),
    ({"url": "{}/bomb.png"}, "inputs.1.image.url", "claims 90,000 by 90,000 pixels"),
    ({"url": "{}/away"}, "inputs.1.image.url", "is no public host"),
    ({"url": "{}/gone.png"}, "inputs.1.image.url", "answers with status 404"),
    ({"url": "http://localhost/x"}, "inputs.1.image.url", "is no public host"),
    ({"url": "file:///etc/passwd"}, "inputs.1.image.url", "is no address of the form"),
    ({"url": 7}, "inputs.1.image.url", "is a number; expected text"),
    ({"url": None}, "inputs.1.image.url", "is null; expected text"),
    ({"url": ""}, "inputs.1.image.url", "is empty; expected text"),
    ({"base64": "_-8="}, "inputs.1.image.base64", "expected + and /"),
    ({"url": "https://a\ud800/"}, "inputs.1.image.url", ""),
    ({"base64": "no base64!"}, "inputs.1.image.base64", "is no base64"),
    ({"base64": "data:image/png;base64,äöü"}, "inputs.1.image.base64", "is no base64"),
    ({"base64": "A" * 2_000_000}, "inputs.1.image.base64", "the limit is 1,000,000"),
    ({"base64": "PGh0bWw+"}, "inputs.1.image.base64", "is a web page, no picture"),
    ({"upload": "../../etc/passwd"}, "inputs.1.image.upload", "expected the id of an upload"),
    ({"upload": "0" * 64}, "inputs.1.image.upload", "there is no upload"),
    ({"artifact": {"job": "x"}}, "inputs.1.image.artifact", "there is no job x"),
    ({"artifact": {"job": str(new_job_id())}}, "inputs.1.image.artifact", "there is no job"),
    ({"artifact": {"job": 7}}, "inputs.1.image.artifact.job", "expected the id of a job"),
    ({"artifact": {"job": "x", "index": -1}}, "inputs.1.image.artifact.index", "whole number"),
    ({"artifact": {"job": "x", "index": True}}, "inputs.1.image.artifact.index", "whole number"),
    ({"artifact": {"job": "x", "graph_node": 9}}, "inputs.1.image.artifact.graph_node", "text"),
    ({"artifact": {"key": "jobs/x"}}, "inputs.1.image.artifact", "must be"),
    ({"artifact": "x"}, "inputs.1.image.artifact", "must be"),
    ({"s3": "s3://others/x.png"}, "inputs.1.image", "does not read"),
    ({"s3": "shop/x.png"}, "inputs.1.image.s3", "expected s3://BUCKET/KEY"),
    ({"path": "/etc/passwd"}, "inputs.1.image", "has path; expected one of url, base64"),
    ({"url": "https://a.example/", "base64": ""}, "inputs.1.image", "has url, base64"),
    ({}, "inputs.1.image", "has nothing; expected one of"),
    ({7: 7}, "inputs.1.image", "has 7; expected one of"),
    ("/etc/hostname", "inputs.1.image", "does not read"),
    ("node:x.png", "inputs.1.image", "does not read"),
    (["url"], "inputs.1.image", "expected a path"),
]  # fmt: skip


def test_base64_may_be_broken_into_lines(fleet):
    lines = base64.encodebytes(PICTURE).decode()
    assert lines.count("\n") > 1
    for text in (lines, f"data:image/png;base64,{lines}".replace("\n", "\r\n")):
        job = submit(fleet, {"base64": text})
        assert job.inputs["1.image"].sha256 == hashlib.sha256(PICTURE).hexdigest()


def test_one_file_is_named_by_one_address(fleet):
    form = {"base64": base64.b64encode(PICTURE).decode()}
    with pytest.raises(InvalidInput, match="another address names, too") as refused:
        fleet.submit(GRAPH, inputs={"1.image": form, "LoadImage.image": form})
    assert refused.value.field == "inputs.LoadImage.image"


def refusal(fleet, form) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        submit(fleet, form)
    return refused.value


def test_anything_else_is_refused_by_its_field_and_nothing_is_stored(
    fleet, led_with_s3, web_server
):
    for form, field, why in REFUSED:
        if isinstance(form, dict) and isinstance(url := form.get("url"), str):
            form = {**form, "url": url.replace("{}", web_server.url)}  # noqa: PLW2901
        error = refusal(fleet, form)
        assert why in str(error)
        assert error.field.startswith(field)
        assert len(str(error)) < 500
    assert led_with_s3.redis.keys("comfyfleet:job:*") == []
    assert led_with_s3.stored_keys() == set()


def test_a_policy_may_forbid_forms(led_with_s3):
    with (
        Producer(led_with_s3.settings, input_policy=InputPolicy.bytes_only()) as fleet,
        pytest.raises(InvalidInput, match="a form that this producer does not read"),
    ):
        submit(fleet, {"base64": base64.b64encode(PICTURE).decode()})


def test_an_upload_that_no_job_could_read_is_refused(fleet, led_with_s3):
    for content, options, field in (
        (b"", {}, "content"),
        ("path", {}, "content"),
        (bomb(99_999, 99_999), {}, "content"),
        (PICTURE, {"owner": "a:b"}, "owner"),
        (PICTURE, {"name": 7}, "name"),
    ):
        with pytest.raises(InvalidJob) as refused:
            fleet.upload(content, **options)
        assert refused.value.field == field
    assert led_with_s3.stored_keys() == set()


NAMED_TWICE = (
    "params.Fox.image names a file, 'b.png', and inputs has one for the same input: inputs.1.image"
)
TITLED = {**GRAPH, "1": {**GRAPH["1"], "_meta": {"title": "Fox"}}}
FORM = {"base64": base64.b64encode(PICTURE).decode()}


def test_a_param_names_no_other_file_than_the_one_that_is_handed_in(fleet, web_server, led_with_s3):
    url, named = {"url": f"{web_server.url}/fox.png"}, {"Fox.image": "b.png"}
    with pytest.raises(InvalidParam) as refused:
        fleet.submit(TITLED, params=named, inputs={"1.image": url})
    told = refused.value
    assert (told.message, told.field, told.graph_node) == (NAMED_TWICE, "params.Fox.image", "1")
    assert led_with_s3.fleet.jobs().jobs == []
    # What a file without a name is called, and the name that the graph has anyway, are no other file.
    assert (
        fleet.submit(TITLED, params=named, inputs={"1.image": FORM}).inputs["1.image"].name
        == "b.png"
    )
    assert fleet.submit(TITLED, params={"Fox.image": "x.png"}, inputs={"1.image": url}).inputs
    none_yet = {**TITLED, "1": {**TITLED["1"], "class_type": "Painter", "inputs": {"mask": ""}}}
    made = fleet.submit(none_yet, params={"Fox.mask": "b.png"}, inputs={"1.mask": url})
    assert made.inputs.keys() == {"1.mask"}
    ours = led_with_s3.fleet.submit(TITLED, params=named, inputs={"1.image": "node:"})
    assert ours.inputs["1.image"].source == "node:b.png"


def test_a_row_s_param_names_no_other_file_than_the_one_that_is_handed_in(fleet, web_server):
    url, named = {"url": f"{web_server.url}/fox.png"}, {"Fox.image": "b.png"}

    def refused(*rows, **shared):
        with pytest.raises(InvalidRows) as caught:
            fleet.submit_many(TITLED, rows, **shared)
        return [(row.row, row.column, row.message) for row in caught.value.rows]

    of_batch = NAMED_TWICE.replace("inputs has one", "the batch has one for all of its rows")
    both = Row(named, {"1.image": url})
    assert refused({}, named, both, inputs={"1.image": FORM}) == [
        (2, "Fox.image", of_batch),
        (3, "Fox.image", NAMED_TWICE),
    ]
    of_all = NAMED_TWICE.replace("Fox.image", "1.image")
    assert refused({}, inputs={"1.image": url}, params=named) == [(1, "1.image", of_all)]
    # A row's own file stands in place of what the batch names, whatever that is.
    batch = fleet.submit_many(TITLED, [Row({}, {"1.image": url})], params=named)
    assert batch.rows == 1
