"""A graph's shape: equal for jobs that take as long, whatever they are called and whatever they show."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.classes.cost_inputs import cost_of
from producer.contract.classes.links import is_link
from producer.contract.classes.shapes import shape_of
from producer.contract.params.params import set_params
from tests.graphs import rendering, sleeping
from tests.unit.graph_samples import graphs, seed_graph, step

SHAPE = shape_of(seed_graph())


def with_value(address, value):
    graph_node, name = address.split(".")
    graph = seed_graph()
    assert name in graph[graph_node]["inputs"]
    graph[graph_node]["inputs"][name] = value
    return graph


def renumbered(graph, chance):
    """Return *graph* with other ids, its graph nodes and their inputs in another order."""
    ids = chance.sample(range(10_000), len(graph))
    new = {old: f"n{number}" for old, number in zip(graph, ids, strict=True)}

    def value(found):
        return [new[found[0]], found[1]] if is_link(found) else found

    pairs = [
        (
            new[old],
            {
                **found,
                "inputs": shuffled({n: value(v) for n, v in found["inputs"].items()}, chance),
            },
        )
        for old, found in graph.items()
    ]
    return shuffled(dict(pairs), chance)


def shuffled(mapping, chance):
    pairs = list(mapping.items())
    chance.shuffle(pairs)
    return dict(pairs)


@settings(max_examples=40)
@given(graphs(), st.randoms(use_true_random=False))
def test_neither_ids_nor_any_order_make_another_shape(graph, chance):
    assert shape_of(renumbered(graph, chance)) == shape_of(graph)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("3.seed", 1),
        ("3.denoise", 0.5),
        ("3.denoise", "0.5"),
        ("3.cfg", 7.5),
        ("3.scheduler", "simple"),
        ("6.text", "a red house, 1024x768"),
        ("6.text", "style.safetensors"),
        ("9.filename_prefix", "night/{n}"),
        ("9.filename_prefix", "of.ckpt"),
        ("3.steps", 26.0),
        ("3.steps", "26"),
        ("5.width", "1024"),
    ],
)
def test_what_decides_no_cost_makes_no_other_shape(address, value):
    assert shape_of(with_value(address, value)) == SHAPE


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("5.width", 512),
        ("5.height", 1024),
        ("5.batch_size", 4),
        ("3.steps", 8),
        ("3.steps", "8"),
        ("3.cfg", 1.0),
        ("3.sampler_name", "heun"),
        ("40.ckpt_name", "other.safetensors"),
        ("3.positive", ["6", 0]),
        ("8.vae", ["40", 1]),
    ],
)
def test_another_size_model_method_or_link_makes_another_shape(address, value):
    assert shape_of(with_value(address, value)) != SHAPE


@settings(max_examples=40)
@given(graphs(), st.data())
def test_another_class_makes_another_shape(graph, data):
    graph_node = data.draw(st.sampled_from([*graph]))
    changed = {**graph, graph_node: {**graph[graph_node], "class_type": "Another"}}
    assert shape_of(changed) != shape_of(graph)


@pytest.mark.parametrize(
    "name",
    [
        *("width", "longest_side", "megapixels", "upscale_by", "tile_size", "left"),
        *("steps", "end_at_step", "num_inference_steps", "numFrames", "max_iterations"),
        *(
            "batch_size",
            "number_of_frames",
            "video_length",
            "seconds",
            "amount",
            "select_every_nth",
        ),
    ],
)
def test_a_number_that_says_how_much_is_computed_counts(name):
    assert cost_of(name, 3) != cost_of(name, 4)


@pytest.mark.parametrize(
    "name",
    [
        *("seed", "noise_seed", "seedValue", "frame_seed", "nonce", "random_number", "value"),
        *("batch_index", "frame_number", "frame_rate", "batch_id", "denoise", "strength_model"),
        *("guidance_scale", "cfg_scale", "lora_scale", "blur_amount", "color", "x", "shift"),
    ],
)
def test_a_number_that_says_something_else_does_not(name):
    assert cost_of(name, 3) is cost_of(name, 4) is None


def test_no_two_values_of_several_sizes_meet():
    shapes = {
        shape_of(set_params(seed_graph(), {"5.width": w, "5.height": h, "3.steps": s}))
        for w in (512, 768, 1024)
        for h in (512, 768, 1024)
        for s in (4, 20, 26)
    }
    assert len(shapes) == 27


def test_it_counts_which_of_two_alike_is_linked_to():
    loaders = {"1": step("Load"), "2": step("Load")}

    def graph(*sources):
        users = ("Decode", "Scale", "Save", "Blur")
        return loaders | {
            str(number): step(class_type, image=[source, 0])
            for number, (class_type, source) in enumerate(zip(users, sources, strict=True), 3)
        }

    assert shape_of(graph("1", "1", "2", "2")) == shape_of(graph("2", "2", "1", "1"))
    assert shape_of(graph("1", "1", "2", "2")) != shape_of(graph("1", "2", "1", "2"))


def test_a_number_that_comes_over_links_counts_where_it_decides_cost():
    def graph(*, width, seed, fixed="fixed"):
        return {
            "1": step("PrimitiveInt", value=width, control_after_generate=fixed),
            "2": step("SimpleMath", a=["1", 0], value="a*2"),
            "3": step("PrimitiveInt", value=seed),
            "4": step("EmptyLatentImage", width=["2", 0], height=64, batch_size=1),
            "5": step("KSampler", seed=["3", 0], latent_image=["4", 0]),
            "6": step("SaveImage", images=["5", 0]),
        }

    assert shape_of(graph(width=512, seed=1)) == shape_of(graph(width=512, seed=2))
    assert shape_of(graph(width=512, seed=1)) != shape_of(graph(width=640, seed=1))


def test_a_size_taken_from_a_picture_brings_none_of_the_seed_behind_it():
    def graph(seed):
        return {
            "1": step("CheckpointLoaderSimple", ckpt_name="a.safetensors"),
            "2": step("KSampler", model=["1", 0], seed=seed, denoise=seed / 100),
            "3": step("GetImageSize", image=["2", 0]),
            "4": step("EmptyLatentImage", width=["3", 0], height=["3", 1], batch_size=1),
            "5": step("SaveImage", images=["4", 0]),
        }

    assert shape_of(graph(1)) == shape_of(graph(2))


def test_a_model_is_one_however_its_folder_is_written():
    graphs_ = [rendering(model, seed=1) for model in ("sub\\x.safetensors", "sub/x.safetensors")]
    assert (
        shape_of(graphs_[0]) == shape_of(graphs_[1]) != shape_of(rendering("x.safetensors", seed=1))
    )


def test_the_files_that_come_with_a_job_are_not_in_it():
    def graph(name):
        return {
            "1": step("LoadImage", image=name),
            "2": step("Load3D", model_file=name),
            "3": step("SaveImage", images=["1", 0], mesh=["2", 0]),
        }

    assert shape_of(graph("a.png")) == shape_of(graph("b.glb"))


def test_values_in_params_and_in_the_graph_come_to_one_shape():
    whole = sleeping(0.5, nonce=7)
    template = sleeping(0.1, nonce=0)
    assert shape_of(set_params(template, {"2.seconds": 0.5, "2.nonce": 7})) == shape_of(whole)


def test_a_chain_of_twenty_thousand_graph_nodes_has_a_shape():
    chain = {str(n): step("Blur", image=[str(n - 1), 0]) for n in range(1, 20_000)}
    assert len(shape_of({"0": step("LoadImage", image="a.png"), **chain})) == 16


def test_every_process_finds_the_same_shape():
    script = (
        "import json, sys; from producer.contract.classes.shapes import shape_of;"
        "print(shape_of(json.load(sys.stdin)))"
    )
    graph = json.dumps(renumbered(seed_graph(), random.Random(1)))
    for hash_seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            input=graph,
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == SHAPE
