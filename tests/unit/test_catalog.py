from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.classes.catalog import Catalog, GraphNodeClass, Missing
from producer.contract.classes.placement import explain_nobody, who_can_run
from producer.contract.queues import Needs
from tests.unit.graph_samples import catalog_of, seed_graph, step

#: The shape of /object_info: 0.3.64 writes a combo as a list, newer classes as "COMBO".
OBJECT_INFO = {
    "CheckpointLoaderSimple": {
        "input": {"required": {"ckpt_name": [["a.safetensors", "sub\\b.ckpt"], {"tooltip": "t"}]}},
        "output": ["MODEL", "CLIP", "VAE"],
        "output_node": False,
    },
    "UpscaleModelLoader": {
        "input": {"required": {"model_name": ["COMBO", {"options": [], "multiselect": False}]}},
        "output": ["UPSCALE_MODEL"],
        "output_node": False,
    },
    "OddLoader": {
        "input": {
            "required": {"weights": ["COMBO", {"options": ["None", 5, "x.gguf"]}]},
            "optional": {"mode": [["fast", "slow"]]},
        },
        "output": ["MODEL"],
        "output_node": False,
    },
    "LoadImage": {
        "input": {"required": {"image": [["x.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
        "output_node": False,
    },
    "LoadVideo": {
        "input": {"required": {"file": ["COMBO", {"options": [], "video_upload": True}]}},
        "output": ["VIDEO"],
        "output_node": False,
    },
    "LoadImageOutput": {
        "input": {"required": {"image": ["COMBO", {"image_upload": True, "remote": {}}]}},
        "output": ["IMAGE", "MASK"],
        "output_node": False,
    },
    "SaveImage": {
        "input": {
            "required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "x"}]},
            "hidden": {"prompt": "PROMPT"},
        },
        "output": [],
        "output_node": True,
    },
}
CATALOG = Catalog.from_object_info(OBJECT_INFO)


def test_object_info_is_digested_to_what_the_contract_needs():
    models = {"ckpt_name": ("a.safetensors", "sub\\b.ckpt")}
    assert CATALOG.classes == {
        "CheckpointLoaderSimple": GraphNodeClass(outputs=3, models=models),
        "UpscaleModelLoader": GraphNodeClass(outputs=1, models={"model_name": ()}),
        "OddLoader": GraphNodeClass(outputs=1, models={"weights": ("None", "x.gguf")}),
        "LoadImage": GraphNodeClass(outputs=2, files=("image",)),
        "LoadVideo": GraphNodeClass(outputs=1, files=("file",)),
        "LoadImageOutput": GraphNodeClass(outputs=2, files=("image",)),
        "SaveImage": GraphNodeClass(outputs=0, is_output=True),
    }


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"input": None, "output": None, "output_node": None},
        {"input": {"required": None, "optional": []}, "output": "IMAGE"},
        {"input": {"required": {"a": None, "b": [], "c": "INT", "d": [None], "e": [["x"], 5]}}},
        {"input": {"required": {"a": ["COMBO"], "b": ["COMBO", {"options": "x.ckpt"}]}}},
    ],
)
def test_a_class_that_says_odd_things_is_still_a_class(found):
    catalog = Catalog.from_object_info({"Odd": found, "Odder": None})
    assert catalog.classes == {"Odd": GraphNodeClass()}


def test_what_a_catalog_does_not_know_it_says():
    assert CATALOG.outputs_of("LoadImage") == 2
    assert CATALOG.outputs_of("Nobody") is None
    assert CATALOG.files_of("LoadImage") == ("image",)
    assert CATALOG.files_of("Nobody") == ()


def test_a_catalog_lists_the_models_of_all_its_classes():
    assert CATALOG.models == {"a.safetensors", "sub\\b.ckpt", "None", "x.gguf"}


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
classes = st.builds(
    GraphNodeClass,
    outputs=st.none() | st.integers(0, 40),
    is_output=st.booleans(),
    files=st.lists(names, max_size=2).map(tuple),
    models=st.dictionaries(names, st.lists(names, max_size=3).map(tuple), max_size=3),
)


@given(st.dictionaries(names, classes, max_size=6).map(Catalog), st.randoms())
def test_a_catalog_comes_back_from_its_text_and_its_hash_knows_no_order(catalog, shuffler):
    text = catalog.to_text()
    assert text.isascii()
    back = Catalog.from_text(text)
    assert back == catalog
    pairs = [*catalog.classes.items()]
    shuffler.shuffle(pairs)
    assert Catalog(dict(pairs)).sha == back.sha == catalog.sha


def test_the_hash_tells_catalogs_apart():
    fewer = {name: found for name, found in OBJECT_INFO.items() if name != "LoadVideo"}
    assert Catalog.from_object_info(fewer).sha != CATALOG.sha


def test_uploaded_pictures_do_not_change_the_hash():
    load = OBJECT_INFO["LoadImage"]
    more = {"input": {"required": {"image": [["x.png", "y.png"], {"image_upload": True}]}}}
    assert Catalog.from_object_info({**OBJECT_INFO, "LoadImage": {**load, **more}}) == CATALOG


def test_a_newer_version_may_add_to_the_text():
    text = b'{"classes": {"A": [1, 0, [], {}, 0, 0, "new"]}, "lists": [], "new": 1}'
    written = base64.b85encode(zlib.compress(text)).decode()
    assert Catalog.from_text(written) == catalog_of(A={"outputs": 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no catalog",
        "ä",
        base64.b85encode(b"not zlib").decode(),
        base64.b85encode(zlib.compress(b"[]")).decode(),
        base64.b85encode(zlib.compress(b'{"lists": [], "classes": {"A": [1]}}')).decode(),
        base64.b85encode(zlib.compress(b'{"lists": 5, "classes": {}}')).decode(),
    ],
)
def test_what_is_no_catalog_is_refused(text):
    with pytest.raises(ValueError, match="this is no catalog"):
        Catalog.from_text(text)


def test_the_catalog_of_a_large_node_stays_under_12_kb():
    chance = random.Random(5)
    words = ["Load", "Save", "Image", "Latent", "Mask", "Model", "Video", "Audio", "Encode"]
    loras = [f"style_{chance.randrange(10**6)}.safetensors" for _ in range(200)]
    info = {
        f"{''.join(chance.sample(words, 3))}{number}": {
            "input": {"required": {"lora_name": [loras]} if number % 20 == 0 else {}},
            "output": ["IMAGE"] * chance.randrange(4),
            "output_node": number % 15 == 0,
        }
        for number in range(447)
    }
    assert len(Catalog.from_object_info(info).to_text()) < 12_000


def lacks(*steps) -> list[Missing]:
    return CATALOG.missing({str(number): found for number, found in enumerate(steps)})


def test_nothing_is_missing_where_classes_and_models_are_there():
    fit = [
        step("CheckpointLoaderSimple", ckpt_name="sub\\b.ckpt"),
        step("CheckpointLoaderSimple", ckpt_name="sub/b.ckpt"),
        step("CheckpointLoaderSimple", ckpt_name=["7", 0]),
        step("CheckpointLoaderSimple"),
        step("OddLoader", weights="None", mode="unheard of"),
        step("LoadImage", image="not yet uploaded.png"),
    ]
    assert lacks(*fit) == []


@pytest.mark.parametrize(
    ("found", "input_", "message"),
    [
        (step("LoadImages"), None, "has no class LoadImages (graph node 0); the nearest it has: "),
        (step("Zzz"), None, "the node has no class Zzz (graph node 0)"),
        (
            step("CheckpointLoaderSimple", ckpt_name="b.safetensors"),
            "ckpt_name",
            "b.safetensors (graph node 0, CheckpointLoaderSimple.ckpt_name); the nearest it has: a.s",
        ),
        (step("CheckpointLoaderSimple", ckpt_name="sub/c.ckpt"), "ckpt_name", r"has: sub\b.ckpt"),
        (step("UpscaleModelLoader", model_name="4x.pth"), "model_name", "has no model 4x.pth"),
        (step("OddLoader", weights={"__value__": "y.onnx"}), "weights", "has no model y.onnx"),
        (step("OddLoader", weights=""), "weights", "has no model without a name (graph node 0"),
    ],
)
def test_what_is_missing_is_named_with_what_is_near(found, input_, message):
    (lack,) = lacks(found)
    assert (lack.graph_node, lack.class_type) == ("0", found["class_type"])
    assert lack.input == input_
    assert message in lack.message
    assert not CATALOG.can_run({"0": found})
    assert not CATALOG.has(lack)


def test_a_node_has_what_another_lacks_if_it_offers_it_for_the_same_input():
    assert CATALOG.has(Missing("0", "CheckpointLoaderSimple", "ckpt_name", "sub\\b.ckpt"))
    assert not CATALOG.has(Missing("0", "UpscaleModelLoader", "model_name", "sub\\b.ckpt"))
    assert CATALOG.has(Missing("0", "OddLoader", None, "OddLoader"))


GRAPH = {
    "4": step("CheckpointLoaderSimple", ckpt_name="b.safetensors"),
    "5": step("Depth", image=["4", 0]),
    "6": step("Depth", image=["5", 0]),
}


def node(*, model: str = "b.safetensors", others: tuple[str, ...] = ("Depth",)) -> Catalog:
    loader = {"models": {"ckpt_name": (model,)}}
    return catalog_of(CheckpointLoaderSimple=loader, **{name: {} for name in others})


def test_the_nodes_that_have_everything_can_run_it():
    catalogs = {"a": node(), "b": node(model="c.safetensors"), "c": node(), "d": node(others=())}
    assert who_can_run(GRAPH, catalogs) == ["a", "c"]


def test_a_name_in_another_case_is_near_however_short():
    catalog = node(model="Sub/4x_T.ckpt")
    graph = {"4": step("CheckpointLoaderSimple", ckpt_name="SUB\\4X_t.CKPT")}
    (missing,) = catalog.missing(graph)
    assert missing.nearest == ["Sub/4x_T.ckpt"]


@pytest.mark.parametrize("name", ["Reroute", "PrimitiveNode", "Note"])
def test_no_extension_is_asked_for_what_only_the_editor_has(name):
    graph = {"1": {"class_type": name, "inputs": {}}}
    error = explain_nobody(graph, {"a": node()})
    assert f"{name} is the editor's own and no node has it" in str(error)


@pytest.mark.parametrize(
    ("catalogs", "graph_node", "message"),
    [
        ({}, None, "no living node is there to run the graph"),
        (
            {"a": node(others=()), "b": node(model="z.ckpt", others=())},
            "5",
            (
                "no node has class Depth (graph node 5); looked at a and b "
                "(install the extension that brings Depth, then restart that ComfyUI)"
            ),
        ),
        (
            {"a": node(model="b2.safetensors"), "b": node(model="bb.safetensors")},
            "4",
            (
                "no node has model b.safetensors (graph node 4, CheckpointLoaderSimple.ckpt_name); "
                "looked at a and b (the nearest to b.safetensors: b2.safetensors and bb.safetensors)"
            ),
        ),
        (
            {"a": node(model="z.ckpt", others=())},
            "4",
            (
                "no node has model b.safetensors (graph node 4, CheckpointLoaderSimple.ckpt_name) and "
                "class Depth (graph node 5); looked at a "
                "(put b.safetensors into the models folder of a node of this pool)"
            ),
        ),
        (
            {"a": node(others=()), "b": node(model="z.ckpt")},
            "5",
            (
                "no node has everything: a lacks class Depth (graph node 5) and b lacks model "
                "b.safetensors (graph node 4, CheckpointLoaderSimple.ckpt_name) "
                "(bring all of it together on one node)"
            ),
        ),
    ],
)
def test_when_no_node_can_run_it_the_error_says_what_is_missing_where(
    catalogs, graph_node, message
):
    error = explain_nobody(GRAPH, catalogs)
    assert str(error) == message
    assert (error.graph_node, error.field) == (graph_node, "graph")


def test_a_long_list_of_nodes_is_cut_short():
    catalogs = {f"gpu-{number:02}": node(others=()) for number in range(64)}
    assert "looked at gpu-00, gpu-01, gpu-02 and 61 more" in str(explain_nobody(GRAPH, catalogs))


def test_a_plain_node_cannot_run_the_seed_prompt_and_says_each_thing_it_lacks():
    missing = [(lack.input, lack.name) for lack in CATALOG.missing(seed_graph())]
    assert ("ckpt_name", "sd_xl_base_1.0.safetensors") in missing
    assert (None, "HEDPreprocessor") in missing


@pytest.mark.parametrize("drawn", ["sub/b.ckpt", "sub\\b.ckpt"])
@pytest.mark.parametrize("listed", ["sub/b.ckpt", "sub\\b.ckpt"])
def test_a_model_is_found_and_posted_by_the_nodes_own_spelling(drawn, listed):
    class_ = GraphNodeClass(models={"ckpt_name": ("a.safetensors", listed)})
    catalog = Catalog({"CheckpointLoaderSimple": class_})
    graph = {"4": step("CheckpointLoaderSimple", ckpt_name=drawn), "5": step("Odd", x="a\\b")}
    assert catalog.missing({"4": graph["4"]}) == []
    assert catalog.serves(Needs.of("default", models=[drawn]))
    posted = catalog.with_own_spelling(graph)
    assert posted["4"]["inputs"]["ckpt_name"] == listed
    assert posted["5"] is graph["5"]
    assert graph["4"]["inputs"]["ckpt_name"] == drawn
