from __future__ import annotations

import pytest

from producer.contract.classes.files import (
    FileInput,
    base_name,
    check_file_name,
    input_files,
    split_annotation,
)
from producer.contract.classes.models import base_models
from producer.contract.classes.save_names import check_kept_prefixes
from producer.contract.errors import InvalidInput
from tests.unit.graph_samples import catalog_of, seed_graph, step


def test_the_seed_prompt_reads_two_pictures():
    files = input_files(seed_graph())
    assert [file.address for file in files] == ["34.image", "38.image"]
    assert [split_annotation(file.value) for file in files] == [
        ("clipspace/clipspace-mask-1645940.7000000002.png", "input"),
        ("beijing1 (2).webp", "input"),
    ]


def test_a_catalog_adds_the_uploads_of_classes_that_are_not_well_known():
    graph = {
        "1": step("OddLoader", clip="a.mov", name="b"),
        "2": step("LoadLatent", latent="c.latent"),
    }
    catalog = catalog_of(OddLoader={"files": ("clip",)}, LoadLatent={})
    assert input_files(graph, catalog) == [
        FileInput("1", "clip", "a.mov"),
        FileInput("2", "latent", "c.latent"),
    ]
    assert input_files(graph) == [FileInput("2", "latent", "c.latent")]


@pytest.mark.parametrize(
    ("found", "values"),
    [
        (step("LoadImage", image=["4", 0]), []),
        (step("LoadImage"), []),
        (step("LoadImage", image={"__value__": "x.png"}), ["x.png"]),
        (step("LoadImage", image=""), [""]),
        (step("LoadImage", image="none"), ["none"]),
        (step("Load3D", model_file="none"), []),
        (step("Load3D", model_file="a.glb"), ["a.glb"]),
        (step("Painter", mask=""), []),
        (step("Painter", mask="painter/1.png [temp]"), ["painter/1.png [temp]"]),
    ],
)
def test_only_an_input_that_names_a_file_counts(found, values):
    assert [file.value for file in input_files({"1": found})] == values


@pytest.mark.parametrize(
    ("value", "name", "folder"),
    [
        ("x.png", "x.png", "input"),
        ("x.png [input]", "x.png", "input"),
        ("sub/x.png [output]", "sub/x.png", "output"),
        ("x.png [temp]", "x.png", "temp"),
        ("x [input] [temp]", "x [input]", "temp"),
        ("x.png[input]", "x.png[input]", "input"),
        ("x [other]", "x [other]", "input"),
        (" [input]", "", "input"),
    ],
)
def test_an_annotation_is_split_off_where_comfyui_would(value, name, folder):
    assert split_annotation(value) == (name, folder)


@pytest.mark.parametrize(
    "name",
    [
        "x.png",
        "a/b/c.png",
        "日本 (2).webp",
        "a..b.png",
        "...png",
        "clipspace/m-1.7.png",
        "x [input]",
    ],
)
def test_a_name_that_stays_in_its_folder_is_taken(name):
    assert check_file_name(name, field="34.image") == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("a\0.png", "has control characters"),
        ("a\n.png", "has control characters"),
        ("/etc/passwd", "is an absolute path"),
        ("\\\\host\\share", "is an absolute path"),
        ("C:x.png", "begins with a drive letter"),
        ("c:/x.png", "begins with a drive letter"),
        ("../x.png", "leads out of its folder"),
        ("a/../../x.png", "leads out of its folder"),
        ("a\\..\\x.png", "leads out of its folder"),
        ("..", "leads out of its folder"),
        ("a\\x.png", "has a backslash"),
        ("x.png[input]", "needs a blank before its last bracket"),
        ("a/" + "日" * 80, "is too long"),
    ],
)
def test_a_name_that_may_lead_elsewhere_is_refused(name, message):
    with pytest.raises(InvalidInput, match=rf"file name '.*' {message}.* \(name a file") as caught:
        check_file_name(name, field="34.image")
    assert caught.value.field == "34.image"


def test_a_prefix_by_which_a_class_finds_files_is_checked():
    said = r"graph node 7 \(VHS_SelectLatest\), input filename_prefix: file name '.*' leads out"
    with pytest.raises(InvalidInput, match=said) as caught:
        check_kept_prefixes({"7": step("VHS_SelectLatest", filename_prefix="../../x")})
    assert (caught.value.field, caught.value.graph_node) == ("7.filename_prefix", "7")


@pytest.mark.parametrize("prefix", ["", "D:\\renders\\portrait", "../../x", "/abs/x", "x" * 5_000])
def test_a_prefix_that_is_replaced_is_not_judged(prefix):
    check_kept_prefixes({"9": step("SaveImage", images=["1", 0], filename_prefix=prefix)})
    check_kept_prefixes({"9": step("Image Save", images=["1", 0], filename_prefix=prefix)})


def test_the_names_of_the_seed_prompt_are_good():
    check_kept_prefixes(seed_graph())


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("me.png", "me.png"),
        ("sub/me.png [output]", "me.png"),
        ("C:\\Users\\me\\a b.png", "a b.png"),
        ("clipspace\\mask-1.png [input]", "mask-1.png"),
        ("", "input"),
        ("iVBORw0KGgo" * 400, "input"),
        ("https://example.org/", "input"),
    ],
)
def test_a_file_takes_its_name_from_a_value_that_may_be_anything(value, name):
    assert base_name(value) == name


def test_the_base_model_of_the_seed_prompt_is_its_checkpoint():
    assert base_models(seed_graph()) == ("sd_xl_base_1.0.safetensors",)


@pytest.mark.parametrize(
    ("found", "models"),
    [
        (step("UNETLoader", unet_name="flux.safetensors"), ("flux.safetensors",)),
        (step("UnetLoaderGGUF", unet_name="flux-Q4.gguf"), ("flux-Q4.gguf",)),
        (step("DiffusersLoader", model_path="sd"), ("sd",)),
        (step("Eff", base_ckpt_name="b", refiner_ckpt_name="None"), ("b",)),
        (step("Eff", base_ckpt_name="b", refiner_ckpt_name="a"), ("a", "b")),
        (step("CheckpointLoaderSimple", ckpt_name=["4", 0]), ()),
        (step("LoraLoader", lora_name="l.safetensors"), ()),
        (step("VAELoader", vae_name="v.safetensors"), ()),
        (step("UpscaleModelLoader", model_name="4x.pth"), ()),
        (step("LTXVAudioVAELoader", ckpt_name="ltx.safetensors"), ()),
        (step("DepthAnythingPreprocessor", ckpt_name="depth.pth"), ()),
        (step("RIFE VFI", ckpt_name="rife47.pth"), ()),
    ],
)
def test_only_what_is_slow_to_load_is_a_base_model(found, models):
    assert base_models({"1": found, "2": found}) == models
