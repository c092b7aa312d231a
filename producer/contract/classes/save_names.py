"""The names that a graph saves under, at a node."""

from __future__ import annotations

import re
from typing import Any, Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.files import check_name_in_graph
from producer.contract.classes.outputs import find_output_graph_nodes
from producer.contract.classes.savers import FOLDER_MAKING, LISTING, PREFIX, reads_by_prefix
from producer.contract.graph.graph import Graph, GraphNode, literal

#: All that the fleet has saved lies below a folder of this name, or in files that begin so.
OURS: Final = "comfyfleet"

#: An input that no class declares. ComfyUI (0.3.64, 0.33.0) hands it to no class, and counts it
#: into the key of its cache.
_UNDECLARED: Final = "comfyfleet_attempt"

#: How the plain names of an earlier attempt begin.
_OF_EARLIER: Final = re.compile(rf"{OURS}-[0-9a-f-]{{36}}-\d+-")

#: A folder's name that stays as it is; neither `..` nor a drive or a token is among them.
_PLAIN: Final = re.compile(r"[\w()-][\w .()-]*")

#: File systems take 255 bytes; ComfyUI adds a counter and an ending, custom classes a date.
_MAX_ID_BYTES: Final = 24
_MAX_KEPT_BYTES: Final = 60


def attempt_mark(job_id: str, attempt: int) -> str:
    """Return what the names of an attempt's files contain, and no other's."""
    return f"{job_id}-{attempt}"


def with_save_names(
    graph: Graph, mark: str, *, catalog: Catalog | None = None, is_again: bool = False
) -> Graph:
    """Return *graph* with every graph node that saves made to differ from those of other attempts.

    ComfyUI does not save an identical graph again: it names the files of last time, which may be
    gone. A text `filename_prefix` of a class that makes folders becomes
    `comfyfleet/{mark}/{graph node}-{old}`, so that ComfyUI's own folder stays quick to list; of
    any other class `comfyfleet-{mark}-{graph node}-{old}`, as it may take it for a plain name,
    in the folder that was asked for. The old name gives only its last part, without tokens: a
    name should not depend on the clock of a node, and `%date:...%` is no name on Windows. What a
    class reads by stays. An output without such an input gets one that nobody reads.

    Args:
        mark: of the attempt: letters, digits, `.`, `_` and `-`.
        is_again: whether what core classes show anew each time is to differ as well, because an
            attempt before this one ended badly.
    """
    outputs = set(find_output_graph_nodes(graph, catalog))
    renamed = dict(graph)
    for graph_node, found in graph.items():
        old = literal(found["inputs"].get(PREFIX))
        if isinstance(old, str) and _saves(found["class_type"], is_output=graph_node in outputs):
            renamed[graph_node] = _with(found, PREFIX, _name(found, graph_node, old, mark))
        elif graph_node in outputs and (is_again or not _only_shows(found, catalog)):
            renamed[graph_node] = _with(found, _UNDECLARED, mark)
    return renamed


def check_kept_prefixes(graph: Graph, *, catalog: Catalog | None = None) -> None:
    """Check the prefixes that go to nodes as they are: of classes that find files by them.

    Raises:
        InvalidInput: one leads out of ComfyUI's folders; graph node and input are named.
    """
    outputs = set(find_output_graph_nodes(graph, catalog))
    for graph_node, found in graph.items():
        prefix = literal(found["inputs"].get(PREFIX))
        is_kept = not _saves(found["class_type"], is_output=graph_node in outputs)
        if is_kept and prefix and isinstance(prefix, str):
            check_name_in_graph(graph, graph_node, PREFIX, prefix)


def _saves(class_type: str, *, is_output: bool) -> bool:
    return class_type in FOLDER_MAKING or (is_output and not reads_by_prefix(class_type))


def _only_shows(found: GraphNode, catalog: Catalog | None) -> bool:
    """Tell whether it is a core class without a prefix: its file stays while its result is cached."""
    class_type = found["class_type"]
    if PREFIX in found["inputs"] and class_type in FOLDER_MAKING:
        return False
    return class_type in LISTING or bool(catalog and catalog.is_core(class_type))


def _name(found: GraphNode, graph_node: str, old: str, mark: str) -> str:
    *folders, last = re.split(r"[/\\]", old)
    id_ = _cleaned(graph_node, _MAX_ID_BYTES)
    if folders[:1] == [OURS] or _OF_EARLIER.match(last):  # the graph is from a picture of ours
        last = _OF_EARLIER.sub("", last).removeprefix(f"{id_}-")
    own = "-".join(filter(None, (id_, _cleaned(last))))
    if found["class_type"] in FOLDER_MAKING:
        return f"{OURS}/{mark}/{own}"
    kept = [folder if _PLAIN.fullmatch(folder) else _cleaned(folder) for folder in folders]
    return "/".join((*filter(None, kept), f"{OURS}-{mark}-{own}"))


def _with(found: GraphNode, name: str, value: Any) -> GraphNode:
    return {**found, "inputs": {**found["inputs"], name: value}}


def _cleaned(text: str, max_bytes: int = _MAX_KEPT_BYTES) -> str:
    clean = re.sub(r"[^\w.-]+", "_", text).strip("._-").encode()[:max_bytes]
    return clean.decode(errors="ignore")
