"""What the stand-in has beside the contract: pictures that speak, models that warm up, a journal."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import websocket
from PIL import Image

from infra.standin.options import StandinOptions
from infra.standin.painter import paint, read_facts
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy, Ears
from tests.contract.graphs import graph_node, png, save, sleeping

pytestmark = pytest.mark.skipif(bool(REAL_URL), reason="says nothing of a real ComfyUI")

SEED_PROMPT = Path(__file__).parents[1] / "data" / "seed_prompt.json"
WARM, COLD = "sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors"


def rendering(seed=7, text="a quiet harbour", model=WARM, steps=3):
    """Return the smallest graph that renders."""
    return {
        "4": graph_node("CheckpointLoaderSimple", ckpt_name=model),
        "5": graph_node("EmptyLatentImage", width=320, height=256, batch_size=2),
        "6": graph_node("CLIPTextEncode", text=text, clip=["4", 1]),
        "3": graph_node(
            "KSampler",
            model=["4", 0],
            seed=seed,
            steps=steps,
            cfg=5,
            denoise=1,
            sampler_name="euler",
            scheduler="karras",
            latent_image=["5", 0],
            positive=["6", 0],
            negative=["6", 0],
        ),
        "8": graph_node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": save("8", "rendered"),
    }


@pytest.fixture
def options(tmp_path):
    """How the stand-in of this test behaves."""
    return StandinOptions(directory=tmp_path, step_seconds=0.005, load_seconds=0.05)


@pytest.fixture
def comfy(options):
    """A stand-in of one's own."""
    with standin_thread(options) as node, Comfy(node.url) as known:
        yield known


def journal(comfy):
    """Return the stand-in's journal."""
    return comfy.get("/standin/journal").json()


def test_a_picture_says_job_seed_and_text_in_its_pixels_and_its_chunks(comfy):
    entry = comfy.run(rendering(), extra_data={"job_id": "job-1"})

    for index, file in enumerate(entry["outputs"]["9"]["images"]):
        body = comfy.view(file).content
        facts = read_facts(body)
        assert (facts["job"], facts["prompt"]) == ("job-1", entry["prompt"][1])
        assert (facts["seed"], facts["text"], facts["batch_index"]) == (7, "a quiet harbour", index)
        image = Image.open(io.BytesIO(body))
        assert image.size == (320, 256)
        assert json.loads(image.text["standin"])["job"] == "job-1"


def test_the_seed_sample_renders_when_its_inputs_are_there(comfy):
    seed = json.loads(SEED_PROMPT.read_text())
    comfy.upload("clipspace-mask-1645940.7000000002.png", png(), subfolder="clipspace")
    comfy.upload("beijing1 (2).webp", png())

    entry = comfy.run(seed["prompt"], client_id=seed["client_id"])

    kinds = {file["type"] for shown in entry["outputs"].values() for file in shown["images"]}
    assert entry["status"]["status_str"] == "success"
    assert kinds == {"output", "temp"}


def test_facts_survive_an_edge_of_a_picture_that_is_too_small():
    facts = {"seed": 1}

    assert read_facts(paint(64, 1, facts)) == facts
    assert read_facts(paint(2, 2, facts)) is None
    assert read_facts(Image.new("RGB", (64, 64))) is None


def test_a_model_loads_when_it_is_not_the_warm_one(comfy):
    for seed, model in enumerate((WARM, WARM, COLD, WARM)):
        comfy.run(rendering(seed, model=model))
    comfy.post("/free", json={"unload_models": True})
    comfy.run(rendering(99, model=WARM))

    loads = [note["model_loads"] for note in journal(comfy)["prompts"]]
    assert loads == [[WARM], [], [COLD], [WARM], [WARM]]


def test_only_the_previous_prompt_is_kept(comfy):
    first, second = rendering(1), rendering(2)
    for graph in (first, second, first):
        comfy.run(graph)

    assert [note["renders"] for note in journal(comfy)["prompts"]] == [1, 1, 1]


def test_the_journal_tells_every_prompt_and_counts(comfy):
    graph = rendering()
    for _ in range(2):
        comfy.run(graph, client_id="me", extra_data={"job_id": "job-1"})
    comfy.submit({})

    told = journal(comfy)

    first, second = told["prompts"]
    assert (first["client_id"], first["job"], first["outcome"]) == ("me", "job-1", "success")
    assert first["started_ms"] <= first["ended_ms"] <= second["started_ms"]
    assert (first["renders"], second["renders"]) == (1, 0)
    assert sorted(second["cached"]) == sorted(graph)
    assert told["counts"] == {
        "posts": 3,
        "refused": 1,
        "success": 2,
        "renders": 1,
        "model_loads": 1,
    }


def test_a_node_that_ends_drops_its_sockets_at_once(options):
    with standin_thread(options) as node, Comfy(node.url) as known:
        known.queue_prompt(sleeping(60))
        ears = Ears(f"ws{node.url.removeprefix('http')}/ws")
        began = time.monotonic()

    assert time.monotonic() - began < 2
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ears.until(lambda one: one["type"] == "execution_success")
    ears.close()


def test_a_taken_port_is_an_error(options):
    with standin_thread(options) as node:
        taken = replace(options, port=int(node.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"), standin_thread(taken):
            pass


def test_a_render_takes_its_steps(tmp_path):
    with standin_thread(StandinOptions(directory=tmp_path, step_seconds=0.05)) as node:
        with Comfy(node.url) as comfy:
            comfy.run(rendering(steps=6))
        (note,) = node.journal.as_json()["prompts"]

    assert note["ended_ms"] - note["started_ms"] >= 800  # 0.5 s of loading, six steps of 50 ms


def test_the_sampler_sends_previews_when_told_to(options):
    with standin_thread(replace(options, previews=True)) as node, Comfy(node.url) as comfy:
        ears = comfy.listen()
        ears.until_done(comfy.queue_prompt(rendering(), client_id=ears.sid))

    assert [frame[:8] for frame in ears.frames] == [b"\0\0\0\1\0\0\0\1"] * 3


@pytest.mark.parametrize(
    ("version", "by_option", "by_prompt", "frames"),
    [
        ("0.33.0", False, "latent2rgb", 3),
        ("0.33.0", True, "none", 0),
        ("0.33.0", True, "default", 3),
        ("0.3.64", False, "latent2rgb", 0),
    ],
)
def test_a_prompt_may_choose_its_previews_on_newer_nodes(
    options, version, by_option, by_prompt, frames
):
    node = replace(options, version=version, previews=by_option)
    with standin_thread(node) as node, Comfy(node.url) as comfy:
        ears = comfy.listen()
        chosen = {"preview_method": by_prompt}
        ears.until_done(comfy.queue_prompt(rendering(), client_id=ears.sid, extra_data=chosen))
    assert len(ears.frames) == frames


def test_classes_and_models_can_be_added(options):
    extra = {
        "Upscale4x": {"input": {"required": {"image": ["IMAGE"]}}, "output": ["IMAGE"]},
        "Keep": {"input": {"required": {"image": ["IMAGE"]}}, "output": [], "output_node": True},
    }
    graph = rendering(model="own.safetensors") | {
        "10": graph_node("Upscale4x", image=["8", 0]),
        "11": graph_node("Keep", image=["10", 0]),
    }
    own = replace(options, classes=extra, models={"checkpoints": ("own.safetensors",)})
    with standin_thread(own) as node, Comfy(node.url) as comfy:
        entry = comfy.run(graph)
        described = comfy.get("/object_info/Keep").json()["Keep"]

    assert len(entry["outputs"]["11"]["images"]) == 2
    assert described["output_node"] is True


@pytest.mark.parametrize(
    ("class_type", "inputs", "key", "type_"),
    [
        ("VHS_VideoCombine", {"frame_rate": 8.0, "loop_count": 0}, "gifs", "image/gif"),
        ("SaveAnimatedPNG", {"fps": 6.0, "compress_level": 1}, "images", "image/png"),
    ],
)
def test_moving_pictures_stand_under_their_keys(comfy, class_type, inputs, key, type_):
    video = {"format": "image/gif", "pingpong": False, "save_output": True}
    extra = video if key == "gifs" else {}
    saver = graph_node(class_type, images=["8", 0], filename_prefix="moving", **{**inputs, **extra})

    (file,) = comfy.run(rendering() | {"12": saver})["outputs"]["12"][key]

    answer = comfy.view(file)
    assert answer.headers["Content-Type"] == type_
    assert Image.open(io.BytesIO(answer.content)).n_frames == 2


def test_sound_and_latents_are_files_too(comfy):
    graph = rendering() | {
        "20": graph_node("EmptyAudio", duration=0.1, sample_rate=44100, channels=2),
        "21": graph_node("SaveAudio", audio=["20", 0], filename_prefix="sound/s"),
        "22": graph_node("SaveLatent", samples=["3", 0], filename_prefix="latents/l"),
    }

    outputs = comfy.run(graph)["outputs"]

    for shown, key in ((outputs["21"], "audio"), (outputs["22"], "latents")):
        assert comfy.view(shown[key][0]).status_code == 200


def test_pictures_differ_by_seed_and_have_the_colours_of_their_prompt():
    fox, again = (paint(64, 64, {"seed": seed, "text": "a red fox"}) for seed in (1, 2))
    boat = paint(64, 64, {"seed": 1, "text": "a paper boat"})
    assert fox.tobytes() != again.tobytes()
    # The lower left corner is the nearest hill, whatever its shape.
    assert fox.getpixel((0, 63)) == again.getpixel((0, 63)) != boat.getpixel((0, 63))
