"""What a node says of itself."""

from __future__ import annotations

import pytest

INFO_KEYS = {
    *("input", "input_order", "output", "output_is_list", "output_name", "name", "display_name"),
    *("description", "python_module", "category", "output_node"),
}


def test_object_info_describes_a_class(comfy):
    described = comfy.get("/object_info/SaveImage").json()["SaveImage"]

    assert described.keys() >= INFO_KEYS
    assert described["output_node"] is True
    assert list(described["input"]["required"]) == ["images", "filename_prefix"]
    assert described["input"]["required"]["images"][0] == "IMAGE"
    assert described["input_order"]["required"] == ["images", "filename_prefix"]
    assert described["output"] == (["IMAGE"] if comfy.is_current else [])


def test_object_info_knows_every_class_the_contract_uses(comfy):
    known = comfy.get("/object_info").json()

    used = {"EmptyImage", "LoadImage", "ImageScale", "ImageInvert", "SaveImage", "PreviewImage"}
    assert used | {"SaveAnimatedWEBP", "EmptyLatentImage", "PreviewAny"} <= known.keys()
    assert known["EmptyImage"] == comfy.get("/object_info/EmptyImage").json()["EmptyImage"]


def test_a_combo_lists_its_options_in_the_form_of_its_version(comfy):
    scale = comfy.get("/object_info/ImageScale").json()["ImageScale"]
    animation = comfy.get("/object_info/SaveAnimatedWEBP").json()["SaveAnimatedWEBP"]

    method = animation["input"]["required"]["method"]
    assert "bilinear" in scale["input"]["required"]["upscale_method"][0]
    if comfy.is_current:
        assert method[0] == "COMBO"
        assert "fastest" in method[1]["options"]
    else:
        assert "fastest" in method[0]


def test_an_unknown_class_is_nothing(comfy):
    answer = comfy.get("/object_info/NoSuchClass")

    assert (answer.status_code, answer.json()) == (200, {})


def test_a_loader_lists_the_models_of_its_kind(comfy):
    loader = comfy.get("/object_info/CheckpointLoaderSimple").json()["CheckpointLoaderSimple"]

    assert loader["input"]["required"]["ckpt_name"][0] == comfy.get("/models/checkpoints").json()


def test_models_are_listed_by_kind_and_an_unknown_kind_is_404(comfy):
    kinds = comfy.get("/models").json()

    assert {"checkpoints", "loras", "vae", "text_encoders", "diffusion_models"} <= set(kinds)
    assert [comfy.get(f"/models/{kind}").status_code for kind in ("clip", "unet", "nope")] == [
        *(404, 404, 404)
    ]


def test_system_stats_tell_version_and_memory(comfy):
    stats = comfy.get("/system_stats").json()

    assert stats.keys() == {"system", "devices"}
    assert {"os", "ram_total", "ram_free", "comfyui_version", "argv"} <= stats["system"].keys()
    assert {"name", "type", "vram_total", "vram_free"} <= stats["devices"][0].keys()


def test_features_tell_the_largest_body(comfy):
    features = comfy.get("/features").json()

    assert features["supports_preview_metadata"] is True
    assert features["max_upload_size"] > 0


@pytest.mark.parametrize(
    "path", ["/prompt", "/queue", "/features", "/object_info/EmptyImage", "/models", "/embeddings"]
)
def test_every_route_has_an_api_twin(comfy, path):
    assert comfy.get(f"/api{path}").json() == comfy.get(path).json()


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/jobs"])
def test_an_unknown_path_is_404_and_empty(comfy, path):
    answer = comfy.get(path)

    assert (answer.status_code, answer.content) == (404, b"")


def test_another_method_is_405(comfy):
    answer = comfy.http.delete(f"{comfy.url}/queue", timeout=10)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


def test_a_page_from_elsewhere_may_not_drive_a_node_on_loopback(comfy):
    if "127.0.0.1" not in comfy.url and "localhost" not in comfy.url:
        pytest.skip("the server is not on a loopback address")

    assert comfy.get("/prompt", headers={"Origin": "http://evil.example"}).status_code == 403
    assert comfy.get("/prompt", headers={"Origin": comfy.url}).status_code == 200
