"""Graphs to test with: the user's own, small ones, and any one that Hypothesis thinks of."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.graph.graph import Graph, GraphNode, parse_graph

SEED_PROMPT = Path(__file__).parent.parent / "data" / "seed_prompt.json"

LIMIT = 1 << 20


def seed_graph() -> Graph:
    return parse_graph(SEED_PROMPT.read_bytes(), max_bytes=LIMIT)


def step(class_type: str, *, title: str | None = None, **inputs) -> GraphNode:
    meta = {"_meta": {"title": title}} if title else {}
    return {"class_type": class_type, "inputs": inputs, **meta}


def parsed(graph) -> Graph:
    return parse_graph(json.dumps(graph), max_bytes=LIMIT)


def catalog_of(**classes: dict) -> Catalog:
    return Catalog({name: GraphNodeClass(**found) for name, found in classes.items()})


names = st.text("abcABC. _:é日", min_size=1, max_size=6)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)


@st.composite
def graphs(draw) -> Graph:
    """Any sound graph: links run only from earlier graph nodes to later ones."""
    ids = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    graph: Graph = {}
    for graph_node in ids:
        links = (
            st.tuples(st.sampled_from([*graph]), st.just(0)).map(list) if graph else st.nothing()
        )
        graph[graph_node] = step(
            draw(st.sampled_from(["SaveImage", "KSampler", "Custom"])),
            title=draw(st.none() | names),
            **draw(st.dictionaries(names, scalars | links, max_size=4)),
        )
    return graph
