"""Outputs of a graph: the graph nodes that save or show something, and the part of the graph they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.links import ancestors, links_of
from producer.contract.classes.savers import WEBSOCKET_ONLY
from producer.contract.errors import InvalidGraph
from producer.contract.graph.graph import Graph, describe

#: Core classes with `output_node: true` in /object_info of 0.3.64 and 0.33.0 whose names do not
#: begin with Save or Preview, and the one custom class that nearly every video graph ends in.
_OUTPUT_CLASSES: Final = frozenset(
    {
        "CLIPSave",
        "CheckpointSave",
        "ImageCompare",
        "ImageOnlyCheckpointSave",
        "LoraSave",
        "LossGraphNode",
        "MaskPreview",
        "ModelSave",
        "SAM3_TrackPreview",
        "VAESave",
        "VHS_VideoCombine",
    }
)

#: Core classes that end a graph whose SaveImage was forgotten. The list need not be complete: ComfyUI
#: ignores a class that was taken for an output by mistake, and refuses a graph with no other output.
_INNER_CLASSES: Final = frozenset(
    {
        "CLIPTextEncode",
        "CheckpointLoaderSimple",
        "ControlNetApply",
        "ControlNetApplyAdvanced",
        "CreateVideo",
        "EmptyImage",
        "EmptyLatentImage",
        "ImageScale",
        "ImageUpscaleWithModel",
        "KSampler",
        "KSamplerAdvanced",
        "LatentUpscale",
        "LoadImage",
        "LoraLoader",
        "LoraLoaderModelOnly",
        "SamplerCustom",
        "SamplerCustomAdvanced",
        "VAEDecode",
        "VAEDecodeTiled",
        "VAEEncode",
    }
)


def output_graph_nodes(graph: Graph, catalog: Catalog | None = None) -> list[str]:
    """Return the ids of the graph nodes that save or show something, in the graph's order.

    The catalog decides for the classes it has. Of others, output nodes are: well-known names,
    names that begin with Save or Preview, and unknown classes that have links to others and none
    to themselves: to lose a result is worse than to ask ComfyUI for one too many.

    Raises:
        InvalidGraph: there is none, or all of them send pictures over the websocket only.
    """
    outputs = find_output_graph_nodes(graph, catalog)
    if not outputs:
        raise InvalidGraph(
            "the graph has no output node: nothing in it saves or shows what it makes",
            field="graph",
            advice="add a SaveImage or PreviewImage to it and export it again",
        )
    if all(graph[output]["class_type"] in WEBSOCKET_ONLY for output in outputs):
        raise InvalidGraph(
            f"{describe(graph, outputs[0])} sends its pictures over the websocket only, to nobody "
            "who would keep them, and the graph has no other output",
            field="graph",
            graph_node=outputs[0],
            advice="use SaveImage in its place",
        )
    return outputs


def find_output_graph_nodes(graph: Graph, catalog: Catalog | None = None) -> list[str]:
    """Return the same ids as `output_graph_nodes`, without its checks; perhaps none."""
    sources = {link.source for found in graph.values() for link in links_of(found)}

    def is_output(graph_node: str) -> bool:
        class_type = graph[graph_node]["class_type"]
        if catalog and class_type in catalog.classes:
            return catalog.classes[class_type].is_output
        if class_type.startswith(("Save", "Preview")) or class_type in _OUTPUT_CLASSES:
            return True
        is_last = graph_node not in sources and any(links_of(graph[graph_node]))
        return is_last and class_type not in _INNER_CLASSES

    return [graph_node for graph_node in graph if is_output(graph_node)]


def cut(graph: Graph, outputs: Iterable[str]) -> Graph:
    """Return the part of *graph* that *outputs* need: they and all graph nodes that they link to.

    The graph nodes are shared with *graph*, not copied.
    """
    needed = ancestors(graph, outputs)
    return {graph_node: found for graph_node, found in graph.items() if graph_node in needed}
