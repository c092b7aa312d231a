from __future__ import annotations

import time

from producer.contract.classes.placement import explain_nobody
from producer.contract.near_names import near_names
from tests.unit.graph_samples import catalog_of, step

MODELS = tuple(f"models/juggernaut_{number:05}_xl.safetensors" for number in range(5_000))


def test_the_names_most_like_it_are_found():
    known = ["VAEDecode", "KSamplerAdvanced", "KSampler"]
    assert near_names("KSampleer", known, count=2) == ["KSampler", "KSamplerAdvanced"]
    assert near_names("zzz", known) == []
    assert near_names("a" * 5_000, ["a" * 4_000]) == ["a" * 4_000]


def test_of_thousands_of_unknown_names_only_what_is_told_is_looked_for():
    graph = {
        str(number): step("Loader", ckpt_name=f"jugernaut_{number}.safetensor")
        for number in range(2_000)
    }
    catalog = catalog_of(Loader={"models": {"ckpt_name": MODELS}})
    began = time.process_time()
    error = explain_nobody(graph, {"a": catalog})
    assert time.process_time() - began < 2
    assert "the nearest to jugernaut_0.safetensor: models/juggernaut_" in error.advice
