"""Models that a graph loads: its base models, by which jobs are queued and models stay loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from producer.contract.classes.model_names import plain_name
from producer.contract.graph.graph import Graph, GraphNode, literal

#: Inputs that name a base model in any class: core's loaders, and the extensions that copy them
#: (UnetLoaderGGUF, Efficient Loader, ...). Only models count that take tens of seconds to load
#: and most of the memory. A LoRA, VAE, CLIP or ControlNet is small, or changes with every job;
#: to count them would spread jobs that share their base model over many queues.
_BASE_INPUTS: Final = frozenset({"ckpt_name", "base_ckpt_name", "refiner_ckpt_name", "unet_name"})

#: Loaders of diffusion models whose input has another name.
_BASE_INPUT_OF_CLASS: Final = {
    "DiffusersLoader": "model_path",
    "DiffusionModelLoaderKJ": "model_name",
    "HyVideoModelLoader": "model",
    "NunchakuFluxDiTLoader": "model_path",
    "NunchakuQwenImageDiTLoader": "model_name",
    "WanVideoModelLoader": "model",
}

#: Classes whose `ckpt_name` is no base model: parts read out of a checkpoint, depth estimators
#: and pose detectors, frame interpolation.
_SMALL_LOADERS: Final = ("AudioVAELoader", "TextEncoderLoader", "Preprocessor", " VFI")

_NO_MODEL: Final = frozenset({"", "None", "none"})


def base_models(graph: Graph) -> tuple[str, ...]:
    """Return the base models that *graph* names, sorted, without duplicates, parts joined by `/`.

    Pass a cut graph: a loader that no output needs never runs. A linked name is left out: it is
    known only while the graph runs.
    """
    return tuple(sorted({name for found in graph.values() for name in _base_models(found)}))


def loaders(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the base models that each graph node loads, of those that load any; see `base_models`."""
    found = {graph_node: tuple(_base_models(node)) for graph_node, node in graph.items()}
    return {graph_node: models for graph_node, models in found.items() if models}


def _base_models(graph_node: GraphNode) -> Iterator[str]:
    class_type = graph_node["class_type"]
    if class_type.endswith(_SMALL_LOADERS):
        return
    for name, value in graph_node["inputs"].items():
        if name in _BASE_INPUTS or _BASE_INPUT_OF_CLASS.get(class_type) == name:
            model = literal(value)
            if isinstance(model, str) and model not in _NO_MODEL:
                yield plain_name(model)
