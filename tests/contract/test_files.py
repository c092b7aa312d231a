"""Files: what is handed out under which name, and what is taken in."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.contract.comfy import fresh
from tests.contract.graphs import graph_node, picture, png, save

ODD_NAME = "日本 beijing1 (2).png"


@pytest.fixture
def saved(comfy):
    """A file that a prompt saved, as history names it."""
    return comfy.run(picture("contract/view"))["outputs"]["2"]["images"][0]


def name() -> str:
    """Return a file name that was not used before."""
    return f"contract-{fresh()}.png"


def test_a_saved_file_is_handed_out_whole(comfy, saved):
    answer = comfy.view(saved)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["Content-Disposition"] == f'filename="{saved["filename"]}"'
    assert Image.open(io.BytesIO(answer.content)).size == (64, 48)


def test_view_knows_conditions_and_ranges(comfy, saved):
    whole = comfy.view(saved)

    same = comfy.view(saved, headers={"If-None-Match": whole.headers["ETag"]})
    part = comfy.view(saved, headers={"Range": "bytes=8-15"})
    beyond = comfy.view(saved, headers={"Range": "bytes=999999999-"})

    assert (same.status_code, same.content) == (304, b"")
    assert (part.status_code, part.content) == (206, whole.content[8:16])
    assert beyond.status_code == 416


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 404),
        ("?filename=&type=output", 400),
        ("?filename=nope.png", 404),
        ("?filename=contract&type=output", 404),
        ("?filename=a.png&type=models", 400),
        ("?filename=a.png&type=", 400),
        ("?filename=/etc/passwd", 400),
        ("?filename=../a.png", 400),
        ("?filename=a..b.png", 400),
        ("?filename=a.png&subfolder=../..", 403),
        ("?filename=passwd&subfolder=/etc", 403),
        ("?filename=a.png&subfolder=nope", 404),
    ],
)
def test_view_refuses(comfy, query, status):
    answer = comfy.get(f"/view{query}")

    assert (answer.status_code, answer.content) == (status, b"")


def test_view_drops_a_directory_in_the_name(comfy, saved):
    found = comfy.get("/view", params={**saved, "filename": f"elsewhere/{saved['filename']}"})
    without_subfolder = comfy.get("/view", params={"filename": f"contract/{saved['filename']}"})

    assert found.status_code == 200
    assert without_subfolder.status_code == 404


def test_an_annotated_name_says_the_folder(comfy):
    stored = comfy.upload(name(), png(), type="temp").json()

    answer = comfy.get("/view", params={"filename": f"{stored['name']} [temp]"})

    assert answer.status_code == 200


@pytest.mark.parametrize("extension", [".html", ".svg", ".js", ".css", ".xml"])
def test_what_a_browser_would_run_is_disarmed_today(current, extension):
    stored = current.upload(f"contract-{fresh()}{extension}", b"<a/>").json()

    answer = current.get("/view", params={"filename": stored["name"], "type": "input"})

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")


def test_view_converts_on_request(comfy, saved):
    preview = comfy.get("/view", params={**saved, "preview": "webp;50"})
    alpha = comfy.get("/view", params={**saved, "channel": "rgb"})

    assert preview.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(preview.content)).format == "WEBP"
    assert Image.open(io.BytesIO(alpha.content)).mode == "RGB"


def test_an_upload_of_the_same_bytes_keeps_its_name(comfy):
    filename, content = name(), png()

    answers = [comfy.upload(filename, content).json() for _ in range(2)]

    assert answers == [{"name": filename, "subfolder": "", "type": "input"}] * 2


def test_an_upload_of_other_bytes_is_renamed(comfy):
    filename = name()
    comfy.upload(filename, png())

    renamed = [comfy.upload(filename, png()).json()["name"] for _ in range(2)]

    stem = filename.removesuffix(".png")
    assert renamed == [f"{stem} (1).png", f"{stem} (2).png"]


@pytest.mark.parametrize(("word", "overwrites"), [("true", True), ("1", True), ("True", False)])
def test_overwrite_counts_only_as_true_or_1(comfy, word, overwrites):
    filename, content = name(), png()
    comfy.upload(filename, png())

    answer = comfy.upload(filename, content, overwrite=word).json()

    assert (answer["name"] == filename) is overwrites
    viewed = comfy.get("/view", params={"filename": answer["name"], "type": "input"})
    assert viewed.content == content


def test_an_uploaded_file_is_loaded_from_its_subfolder(comfy):
    stored = comfy.upload(ODD_NAME, png(40, 30), subfolder="contract/odd", overwrite="true").json()
    load = f"{stored['subfolder']}/{stored['name']} [input]"
    graph = {"1": graph_node("LoadImage", image=load), "2": save("1")}

    entry = comfy.run(graph)

    assert stored == {"name": ODD_NAME, "subfolder": "contract/odd", "type": "input"}
    body = comfy.view(entry["outputs"]["2"]["images"][0]).content
    assert Image.open(io.BytesIO(body)).size == (40, 30)


def test_an_upload_cannot_leave_its_folder(comfy):
    assert comfy.upload(name(), png(), subfolder="../..").status_code == 400


def test_an_upload_needs_a_file_called_image(comfy):
    without = comfy.post("/upload/image", files={"picture": ("a.png", png())})
    in_words = comfy.post("/upload/image", files={"image": (None, "words")})
    as_json = comfy.post("/upload/image", json={"image": "words"})

    assert [one.status_code for one in (without, in_words, as_json)] == [400, 500, 400]


def test_nobody_checks_that_an_upload_is_a_picture(comfy):
    stored = comfy.upload(f"contract-{fresh()}.sh", b"")

    assert stored.status_code == 200


def test_a_mask_becomes_the_alpha_of_its_original(comfy):
    original = comfy.upload(name(), png()).json()
    mask = io.BytesIO()
    Image.new("RGBA", (32, 24), (0, 0, 0, 7)).save(mask, "PNG")
    reference = f'{{"filename": "{original["name"]}", "type": "input", "subfolder": ""}}'

    stored = comfy.post(
        "/upload/mask",
        files={"image": (name(), mask.getvalue())},
        data={"original_ref": reference},
    ).json()

    body = comfy.get("/view", params={"filename": stored["name"], "type": "input"}).content
    assert Image.open(io.BytesIO(body)).getpixel((0, 0))[3] == 7


@pytest.mark.parametrize("image", ["../outside.png", "/etc/hostname"])
def test_loading_from_outside_the_input_folder_is_refused_today(current, image):
    answer = current.submit({"1": graph_node("LoadImage", image=image), "2": save("1")})

    assert answer.status_code == 400
    assert answer.json()["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"


def test_a_file_that_is_no_picture_fails_at_run_time(comfy):
    stored = comfy.upload(f"contract-{fresh()}.png", b"no picture").json()
    entry = comfy.run({"1": graph_node("LoadImage", image=stored["name"]), "2": save("1")})

    assert entry["status"]["messages"][-1][0] == "execution_error"
    assert "UnidentifiedImageError" in entry["status"]["messages"][-1][1]["exception_type"]
