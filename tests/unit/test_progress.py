"""Progress as counted from the messages of one prompt."""

from __future__ import annotations

import pytest

from worker.comfyui.progress import ProgressTally


def state(graph_node, is_done, value=0.0, maximum=1.0, display=None):
    return {
        "state": "finished" if is_done else "running",
        "value": value,
        "max": maximum,
        "display_node_id": display or graph_node,
    }


def test_a_run_counts_up_to_all_of_its_graph_nodes():
    tally = ProgressTally(["1", "2", "3", "4"])
    seen = [
        tally.add("execution_start", {}),
        tally.add("execution_cached", {"nodes": ["1"]}),
        tally.add("progress_state", {"nodes": {"2": state("2", is_done=False)}}),
        tally.add("executing", {"node": "2", "display_node": "2"}),
        tally.add("progress", {"node": "2", "value": 5, "max": 10}),
        tally.add("progress_state", {"nodes": {"2": state("2", is_done=True, value=10)}}),
        tally.add("executed", {"node": "3", "display_node": "3", "output": {}}),
        tally.add("execution_success", {}),
        tally.add("executing", {"node": None}),
    ]
    assert [p.graph_nodes_done for p in seen] == [0, 1, 1, 1, 1, 2, 3, 4, 4]
    assert [p.percent for p in seen] == [0, 25, 25, 25, 37.5, 50, 75, 100, 100]
    assert {p.graph_nodes for p in seen} == {4}
    assert (seen[4].graph_node, seen[4].value, seen[4].max) == ("2", 5, 10)


def test_a_step_of_progress_is_not_undone_by_the_state_that_follows_it():
    tally = ProgressTally(["2"])
    tally.add("progress", {"node": "2", "value": 5, "max": 10})
    late = {"nodes": {"2": state("2", is_done=False, value=4, maximum=10)}}
    assert tally.add("progress_state", late).value == 5


def test_what_a_graph_node_expands_into_shows_as_that_one_and_is_not_counted():
    tally = ProgressTally(["2"])
    tally.add("executing", {"node": "2.0.0.1", "display_node": "2"})
    progress = tally.add("progress", {"node": "2.0.0.1", "value": 1, "max": 4})
    assert (progress.graph_node, progress.value) == ("2", 1)
    states = {"2.0.0.1": state("2.0.0.1", is_done=True, display="2")}
    assert tally.add("progress_state", {"nodes": states}).graph_nodes_done == 0


def test_an_interrupted_run_keeps_what_it_reached():
    tally = ProgressTally(["1", "2"])
    tally.add("execution_cached", {"nodes": ["1"]})
    reached = tally.add("progress", {"node": "2", "value": 3, "max": 6})
    assert tally.add("execution_interrupted", {"node_id": "2"}) == reached
    assert tally.add("executing", {"node": None}) == reached


def test_without_the_graph_it_counts_what_it_hears_and_knows_no_total():
    tally = ProgressTally([])
    tally.add("execution_cached", {"nodes": ["1", "2"]})
    progress = tally.add("executed", {"node": "3", "display_node": "3"})
    assert (progress.graph_nodes_done, progress.graph_nodes, progress.percent) == (3, 0, None)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("execution_cached", {"nodes": None}),
        ("progress", {"node": ["2"], "value": "x", "max": float("nan")}),
        ("progress", {"node": "1", "value": 10**400, "max": -(10**400)}),
        ("progress_state", {"nodes": [1]}),
        ("progress_state", {"nodes": {"1": None, "2": {"state": []}}}),
        ("executing", {}),
        ("executed", {"node": {}}),
        ("of a later version", {"node": "1"}),
    ],
)
def test_odd_messages_do_no_harm(kind, data):
    assert ProgressTally(["1"]).add(kind, data).graph_nodes_done == 0
