"""Save names: makes each attempt's graph save under file names of its own at the node."""

from __future__ import annotations

import re
from typing import Any, Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.files import check_name_in_graph
from producer.contract.classes.outputs import find_output_graph_nodes
from producer.contract.classes.savers import FOLDER_MAKING, PREFIX, reads_by_prefix
from producer.contract.graph.graph import Graph, GraphNode, literal

#: The folder below which the fleet's files are saved at a node, or the prefix of their names.
OURS: Final = "comfyfleet"

#: An input that no class declares. ComfyUI (0.3.64, 0.33.0) passes it to no class, but includes it
#: in the key of its cache.
_UNDECLARED: Final = "comfyfleet_attempt"

#: The prefix of an earlier attempt's plain names.
_OF_EARLIER: Final = re.compile(rf"{OURS}-[0-9a-f-]{{36}}-\d+-")

#: A folder's name that is kept unchanged; matches neither `..` nor a drive nor a `%token%`.
_PLAIN: Final = re.compile(r"[\w()-][\w .()-]*")

#: UTF-8 bytes: file systems allow 255; ComfyUI adds a counter and a suffix, custom classes a date.
_MAX_ID_BYTES: Final = 24
_MAX_KEPT_BYTES: Final = 60


def attempt_mark(job_id: str, attempt: int) -> str:
    """Return the mark in the names of an attempt's files; unique to the attempt."""
    return f"{job_id}-{attempt}"


def with_save_names(
    graph: Graph, mark: str, *, catalog: Catalog | None = None, is_again: bool = False
) -> Graph:
    """Return *graph* with every saving graph node changed, so that ComfyUI does not answer from its cache.

    ComfyUI does not execute an identical graph node again: its history lists the files of last
    time, which may be gone, and have the graph and workflow of that job in them, perhaps another
    owner's. A text `filename_prefix` of a class that makes folders becomes
    `comfyfleet/{mark}/{graph node}-{old}`, so that ComfyUI's own folder stays quick to list; of
    any other class, which may not make folders, `{old folder}/comfyfleet-{mark}-{graph node}-{old}`.
    `{old}` is the last part of the old prefix, without tokens: a name should not depend on the
    node's clock, and `%date:...%` is no name on Windows. The prefix of a class that reads files by
    it stays. An output without a prefix gets an undeclared input, which only changes the cache key.

    Args:
        mark: of the attempt: letters, digits, `.`, `_` and `-`.
        is_again: change also classes of partners, who are paid for each execution, since an earlier
            attempt ended without success.
    """
    outputs = set(find_output_graph_nodes(graph, catalog))
    renamed = dict(graph)
    for graph_node, found in graph.items():
        old = literal(found["inputs"].get(PREFIX))
        if isinstance(old, str) and _saves(found["class_type"], is_output=graph_node in outputs):
            renamed[graph_node] = _with(found, PREFIX, _name(found, graph_node, old, mark))
        elif graph_node in outputs and (is_again or not _is_paid_for(found, catalog)):
            renamed[graph_node] = _with(found, _UNDECLARED, mark)
    return renamed


def check_kept_prefixes(graph: Graph, *, catalog: Catalog | None = None) -> None:
    """Check the prefixes that `with_save_names` leaves unchanged: of classes that read files by them.

    Raises:
        InvalidInput: one leads out of ComfyUI's folders; names graph node and input.
    """
    outputs = set(find_output_graph_nodes(graph, catalog))
    for graph_node, found in graph.items():
        prefix = literal(found["inputs"].get(PREFIX))
        is_kept = not _saves(found["class_type"], is_output=graph_node in outputs)
        if is_kept and prefix and isinstance(prefix, str):
            check_name_in_graph(graph, graph_node, PREFIX, prefix)


def _saves(class_type: str, *, is_output: bool) -> bool:
    return class_type in FOLDER_MAKING or (is_output and not reads_by_prefix(class_type))


def _is_paid_for(found: GraphNode, catalog: Catalog | None) -> bool:
    return catalog is not None and catalog.is_partner(found["class_type"])


def _name(found: GraphNode, graph_node: str, old: str, mark: str) -> str:
    *folders, last = re.split(r"[/\\]", old)
    id_ = _cleaned(graph_node, _MAX_ID_BYTES)
    if folders[:1] == [OURS] or _OF_EARLIER.match(last):  # from a file of an earlier job
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
