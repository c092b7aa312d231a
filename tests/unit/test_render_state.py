"""What the wait for a prompt remembers: which progress is worth a write."""

from __future__ import annotations

from producer.contract.jobs import Progress
from worker.attempt.render_state import RenderState
from worker.comfyui.preview_frames import PreviewFrame


def written(state, steps, *, every_s):
    return [
        step
        for step in steps
        if state.must_write(Progress(graph_node="3", value=step, max=20), every_s=every_s)
    ]


def test_progress_is_written_as_it_comes_while_somebody_watches():
    assert written(RenderState(client_id="x"), [1, 1, 2, 2, 3], every_s=0) == [1, 2, 3]


def test_while_nobody_does_the_first_is_written_and_the_next_after_a_while():
    state = RenderState(client_id="x")
    assert written(state, [1, 2, 3, 4], every_s=60) == [1]
    assert written(state, [4, 5], every_s=0) == [4, 5]  # somebody has come


def test_no_progress_is_not_written():
    assert not RenderState(client_id="x").must_write(Progress(), every_s=0)


def preview():
    return PreviewFrame(None, None, "image/jpeg", b"...")


def test_a_preview_is_handed_on_once_and_the_next_one_a_while_later():
    state, first = RenderState(client_id="x"), preview()
    assert state.must_show(first, every_s=0)
    assert not state.must_show(first, every_s=0)
    assert not state.must_show(preview(), every_s=60)
    assert state.must_show(preview(), every_s=0)


def test_a_store_that_takes_no_preview_is_left_alone_for_a_while():
    state = RenderState(client_id="x")
    state.on_not_shown()
    assert not state.must_show(preview(), every_s=0)
