"""Whatever a node said, its failure and its progress can be written down."""

from __future__ import annotations

from producer.contract.jobs import JobError, Progress

HALF = "a\ud800\x1b[31m"


def test_half_a_character_in_a_failure_is_shown_and_written():
    error = JobError(cause="node_fault", message=HALF, graph_node=HALF, node=HALF, advice=HALF)
    assert error.message == "a\\ud800\x1b[31m"
    assert JobError.model_validate_json(error.model_dump_json()) == error


def test_half_a_character_in_progress_is_shown_and_written():
    progress = Progress(graph_node=HALF)
    assert Progress.model_validate_json(progress.model_dump_json()) == progress
