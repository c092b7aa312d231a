"""Which errors of a node only mean that it is away with what it rendered."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from worker.attempt.kept_outputs import KeptOutputs, wait_limit_s
from worker.attempt.render_state import RenderState
from worker.comfyui.client import PromptPlace
from worker.comfyui.history import OutputFile
from worker.errors import (
    NodeFault,
    NodeTimeout,
    NodeUnreachable,
    OutputDamaged,
    OutputMissing,
    OutputPending,
    PromptLost,
    SpoolFault,
)

AWAY = NodeUnreachable("gpu-01", "nobody took the connection")
OURS = OutputFile("3", "images", 0, "x.png", "comfyfleet/job-1", "output")
TEMPORARY = OutputFile("3", "images", 0, "x.png", "", "temp")
PLAIN = OutputFile("3", "images", 0, "x.png", "", "output")


class Node:
    """A node that says where the prompt is, or raises what it is told to."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.pauses = 0

    def find_prompt(self, _) -> PromptPlace:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pause(self, _) -> None:
        self.pauses += 1

    def wait_until_back(self, error, output=OURS, *, within_s=60) -> bool:
        entry = SimpleNamespace(prompt_id="p", duration_s=None)
        kept = KeptOutputs(self, entry, node="gpu-01", mark="job-1", within_s=within_s)
        return kept.wait_until_back(error, output, pause=self.pause)


@pytest.mark.parametrize("error", [AWAY, NodeTimeout("gpu-01", "silent")])
def test_a_node_is_waited_for_until_it_answers_again(error):
    node = Node(AWAY, NodeFault("gpu-01", "answered 500, as it starts"), PromptPlace.FINISHED)
    assert node.wait_until_back(error)
    assert node.pauses == 2


def test_one_that_stays_away_is_given_up():
    assert not Node(AWAY).wait_until_back(AWAY, within_s=0)


@pytest.mark.parametrize("error", [AWAY, OutputDamaged("gpu-01", "short"), NodeFault("gpu-01", "")])
def test_what_a_node_that_is_there_does_not_give_counts(error):
    assert not Node(PromptPlace.FINISHED).wait_until_back(error)


@pytest.mark.parametrize("output", [TEMPORARY, PLAIN])
def test_what_a_restarted_node_may_have_lost_is_lost(output):
    with pytest.raises(PromptLost, match="restarted"):
        Node(AWAY, PromptPlace.UNKNOWN).wait_until_back(AWAY, output)


def test_a_file_of_this_attempt_alone_outlives_a_restart_of_its_node():
    assert Node(AWAY, PromptPlace.UNKNOWN).wait_until_back(AWAY)


def test_what_a_node_that_was_restarted_no_longer_has_is_lost():
    missing = OutputMissing("gpu-01", "404")
    with pytest.raises(PromptLost, match="no longer has"):
        Node(PromptPlace.UNKNOWN).wait_until_back(missing)
    assert not Node(PromptPlace.FINISHED).wait_until_back(missing)
    assert not Node(AWAY).wait_until_back(missing)


def test_a_file_is_waited_for_as_long_as_the_node_writes_any(monkeypatch):
    now = 0.0
    monkeypatch.setattr("worker.attempt.kept_outputs.time.monotonic", lambda: now)
    entry = SimpleNamespace(prompt_id="p", duration_s=None)
    kept = KeptOutputs(Node(), entry, node="gpu-01", mark="job-1", within_s=60)
    for now, written, expected in (  # noqa: B007 - the clock reads it
        (0, "7", True),
        (50, "7", True),
        (70, "8", True),
        (120, "8", True),
        (131, "8", False),
        (132, None, True),
        (200, None, False),
    ):
        pending = OutputPending("gpu-01", "not yet", written=written)
        assert kept.wait_until_back(pending, OURS, pause=lambda _: None) is expected


def test_the_workers_own_full_disk_is_waited_for():
    assert Node(PromptPlace.FINISHED).wait_until_back(
        SpoolFault("gpu-01", "No space left on device")
    )
    assert not Node(PromptPlace.FINISHED).wait_until_back(
        SpoolFault("gpu-01", "no space"), within_s=0
    )


def test_a_long_render_is_waited_for_longer_and_none_for_ever():
    assert [wait_limit_s(seconds) for seconds in (3, 200, 3600)] == [120, 400, 900]


@pytest.mark.parametrize(("is_rendered", "given_up"), [(False, True), (True, False)])
def test_a_worker_that_comes_back_waits_longer_for_what_has_rendered(
    is_rendered, given_up, monkeypatch
):
    state = RenderState(client_id=None, is_rendered=is_rendered)
    state.on_no_answer()
    assert not state.is_away_too_long
    now = state.began + 60
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert state.is_away_too_long is given_up
