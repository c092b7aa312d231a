"""Answers that no ComfyUI gives: each is read, or is the node's fault; nothing else comes out.

Every sample is changed in thousands of ways, by a seeded chance.
"""

from __future__ import annotations

import copy
import json
import random

import pytest

from producer.contract.classes.catalog import Catalog
from tests.mutations import mutated
from worker.comfyui.catalog_limits import check_catalog
from worker.comfyui.companion import CompanionStatus
from worker.comfyui.history import HistoryEntry
from worker.comfyui.progress import ProgressTally
from worker.comfyui.refusal import Refusal, lacks_in
from worker.errors import NodeError, PromptFailed, PromptRejected
from worker.foreign_data import MOST_PARTS, TooMuch, read_as_expected, read_json
from worker.node.registration import _facts

MESSAGE = {"node": "2", "prompt_id": "p", "display_node": "2", "timestamp": 1}
ENTRY = {
    "prompt": [1, "p", {"1": {"class_type": "A", "inputs": {}}}, {"client_id": "c"}, ["1"]],
    "outputs": {
        "9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}], "text": ["x"]},
        "10": {"gifs": [{"filename": "a.mp4", "subfolder": "s", "type": "temp"}], "n": [1.5, None]},
    },
    "status": {
        "status_str": "success",
        "completed": True,
        "messages": [
            ["execution_start", {"prompt_id": "p", "timestamp": 1}],
            ["execution_cached", {"nodes": ["1"], "timestamp": 2}],
            [
                "execution_error",
                {
                    "node_id": "3",
                    "node_type": "KSampler",
                    "exception_type": "RuntimeError",
                    "exception_message": "it broke\n",
                    "traceback": ["File x"],
                    "timestamp": 3,
                },
            ],
            ["execution_success", {"prompt_id": "p", "timestamp": 4}],
        ],
    },
}
REFUSED = {
    "error": {"type": "invalid_prompt", "message": "Cannot", "details": "Node ID '#7'"},
    "node_errors": {
        "4": {
            "class_type": "CheckpointLoaderSimple",
            "dependent_outputs": ["9"],
            "errors": [
                {
                    "type": "value_not_in_list",
                    "message": "Value not in list",
                    "details": "ckpt_name: 'x' not in []",
                    "extra_info": {
                        "input_name": "ckpt_name",
                        "input_config": [[], {"tooltip": "t"}],
                        "received_value": "x",
                    },
                }
            ],
        }
    },
}
INFO = {
    "KSampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "sampler_name": [["euler", "ddim"], {"default": "euler"}],
                "ckpt_name": ["COMBO", {"options": ["a.safetensors"]}],
                "image": [["a.png"], {"image_upload": True}],
            },
            "optional": {},
        },
        "output": ["LATENT"],
        "output_node": False,
        "python_module": "nodes",
    }
}
STATS = {
    "system": {"comfyui_version": "0.33.0", "ram_total": 1},
    "devices": [{"name": "cuda:0", "vram_total": 1 << 34, "vram_free": 1}],
}
STATUS = {"executor": {"alive": True, "running_s": 1.5}, "memory": {"vram_free": 1}}


def read_history(found):
    entry = HistoryEntry.parse("p", found, node="gpu-1")
    kept([entry.values, entry.left_out])
    if entry.error:
        error = entry.error
        failed = PromptFailed(
            "gpu-1",
            f"{error.class_type} raised {error.exception_type}: {error.message}",
            graph_node=error.graph_node,
            exception_type=error.exception_type,
        )
        kept([failed.message, failed.graph_node])


def read_refusal(found):
    refusal = Refusal.read(found if isinstance(found, dict) else {})
    rejected = PromptRejected("gpu-1", refusal.message, refusal.node_errors)
    kept(rejected.message)
    lacks_in(rejected.node_errors)


def read_catalog(found):
    catalog = Catalog.from_object_info(found if isinstance(found, dict) else {})
    assert Catalog.from_text(catalog.to_text()).sha == catalog.sha


def read_progress(found):
    tally = ProgressTally(["1", "2"])
    for kind in ("execution_cached", "executing", "progress", "progress_state", "executed"):
        kept(tally.add(kind, found if isinstance(found, dict) else {}).model_dump())


def kept(value):
    """What is written into a record is JSON that every reader takes, and no command."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    if isinstance(value, str):
        assert value.isprintable()


def listing(**models):
    """Return what a node says of a class for each name, whose input offers these models."""
    return {
        name: {"input": {"required": {"ckpt_name": [found, {}]}}, "output": []}
        for name, found in models.items()
    }


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({f"C{number}": {} for number in range(20_001)}, "20,001 classes"),
        (listing(**{"x" * 501: []}), "a name of 501 characters"),
        (listing(A=["x" * 4_097]), "a choice of 4,097 characters"),
        (listing(A=["x" * 4_096] * 8_193), "names of 33,558,538 characters"),
    ],
    ids=["classes", "name", "choice", "all"],
)
def test_a_catalog_beyond_every_node_is_a_fault(info, told):
    with (
        pytest.raises(NodeError, match=told),
        read_as_expected("gpu-1", "what it can run"),
    ):
        check_catalog(Catalog.from_object_info(info))


def test_a_catalog_of_many_models_is_read():
    many = [f"loras/style/{number:06}.safetensors" for number in range(100_000)]
    check_catalog(Catalog.from_object_info(listing(A=many, B=many)))


@pytest.mark.parametrize("sign", [b"[],", b"{},", b"0,"])
def test_json_of_too_many_values_is_not_read(sign):
    with pytest.raises(TooMuch, match="more than 6,000,000"):
        read_json(b"[" + sign * MOST_PARTS + b"0]")


def test_a_history_of_more_files_than_a_record_takes_is_a_fault():
    files = [{"filename": f"{number}.png"} for number in range(20_001)]
    raw = {"outputs": {"9": {"images": files}}, "status": ENTRY["status"]}
    with pytest.raises(NodeError, match="lists more than 20,000 files"):
        HistoryEntry.parse("p", raw, node="gpu-1")


READERS = {
    "history": (ENTRY, read_history),
    "refusal": (REFUSED, read_refusal),
    "catalog": (INFO, read_catalog),
    "stats": (STATS, lambda found: kept(_facts(found if isinstance(found, dict) else {}))),
    "companion": (STATUS, lambda found: CompanionStatus.parse(found) if type(found) is dict else 0),
    "message": (
        MESSAGE | {"nodes": {"2": {"state": "running", "value": 1, "max": 2}}},
        read_progress,
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_whatever_a_node_says_is_read_or_is_its_fault(name):
    sample, read = READERS[name]
    chance = random.Random(name)
    faults = 0
    for _ in range(400):
        found = mutated(copy.deepcopy(sample), chance)
        try:
            with read_as_expected("gpu-1", "its answer"):
                read(found)
        except NodeError:
            faults += 1
    assert faults < 400
