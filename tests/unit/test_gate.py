"""The gate: how much a worker takes, and how far it looks ahead."""

from __future__ import annotations

import pytest

from tests.graphs import rendering
from worker.scheduling.gate import Gate
from worker.scheduling.node_times import kinds_of
from worker.scheduling.queue_order import QueueOrder
from worker.scheduling.render_times import RenderKind, RenderTimes

KIND = RenderKind("0123456789abcdef", "a" * 64)


def ready_gate(render_times=None, **options):
    gate = Gate(render_times, **options)
    gate.set_ready(ready=True)
    return gate


def paced(*, render_s, turnaround_s=0.05):
    render_times = RenderTimes()
    render_times.on_rendered(KIND, render_s)
    render_times.on_turnaround(turnaround_s)
    return render_times


def posted(gate):
    slot = gate.take_slot()
    slot.on_posted(KIND, on_change=lambda: None)
    return slot


def takes_ahead(gate):
    gate.on_message_seen()
    return gate.is_open()


def test_a_gate_is_closed_until_the_node_is_ready():
    gate = Gate()
    assert not gate.is_open()
    gate.set_ready(ready=True)
    assert gate.is_open()


def test_a_message_that_was_taken_closes_it_before_its_task_begins():
    gate = ready_gate()
    gate.on_message_taken()
    assert not gate.is_open()
    slot = gate.take_slot()
    assert not gate.is_open()
    slot.release()
    assert gate.is_open()


def test_a_slot_is_released_once():
    gate = ready_gate()
    first, second = gate.take_slot(), gate.take_slot()
    first.release()
    first.release()
    assert not gate.is_open()
    second.release()
    assert gate.is_open()


def test_opening_wakes_whoever_asked_for_it():
    gate, calls = Gate(), []
    gate.set_on_open(lambda: calls.append("woken"))
    gate.set_ready(ready=True)
    gate.take_slot().release()
    assert len(calls) == 2


def test_a_message_that_never_became_a_task_does_not_close_it_for_ever():
    gate = ready_gate(arrives_within_s=0.0)
    gate.on_message_taken()
    assert gate.is_open()


def test_the_next_job_is_taken_while_a_short_render_runs_and_a_message_waits():
    gate = ready_gate(paced(render_s=0.5))
    posted(gate)
    assert not gate.is_open()
    assert takes_ahead(gate)


def test_nothing_is_taken_behind_a_render_that_has_long_to_go():
    gate = ready_gate(paced(render_s=60))
    posted(gate)
    assert not takes_ahead(gate)
    assert gate.probe_delay_s() == pytest.approx(58, abs=0.5)


def test_nothing_is_taken_behind_a_render_of_which_nobody_knows_how_long_it_takes():
    gate = ready_gate()
    posted(gate)
    assert not takes_ahead(gate)
    assert gate.probe_delay_s() is None


def test_its_own_progress_tells_when_a_render_of_an_unknown_template_ends():
    gate = ready_gate()
    slot = posted(gate)
    slot.on_progress(0.9)
    assert takes_ahead(gate)


def test_nothing_is_taken_while_another_job_is_still_prepared():
    gate = ready_gate(paced(render_s=0.5))
    posted(gate)
    gate.take_slot()
    assert not takes_ahead(gate)


@pytest.mark.parametrize(
    ("turnaround_s", "ahead"), [(0.05, 1), (0.3, 2)], ids=["a quick node", "a far one"]
)
def test_renders_shorter_than_the_way_to_the_next_one_are_taken_further_ahead(turnaround_s, ahead):
    gate = ready_gate(paced(render_s=0.5, turnaround_s=turnaround_s))
    taken = 0
    while taken < 5 and (not taken or takes_ahead(gate)):
        slot = gate.take_slot()
        slot.on_posted(KIND, on_change=lambda: None)
        gate.render_times.turnaround_s = turnaround_s
        taken += 1
    assert taken == 1 + ahead


def test_the_card_passes_from_one_to_the_next_and_each_hears_of_its_turn():
    gate, heard = ready_gate(), []
    first, second = gate.take_slot(), gate.take_slot()
    first.on_posted(KIND, on_change=lambda: heard.append("first"))
    second.on_posted(KIND, on_change=lambda: heard.append("second"))
    assert heard == ["first"]
    assert second.turn_at is None
    first.release(rendered=True)
    assert heard == ["first", "second"]
    assert second.turn_at is not None


def test_the_node_has_the_last_word_on_whose_turn_it_is():
    gate = ready_gate()
    posted(gate)
    second = posted(gate)
    second.on_executing()
    assert second.turn_at is not None


def test_who_waits_in_the_nodes_queue_hears_that_the_node_became_doubtful():
    gate, heard = ready_gate(), []
    posted(gate)
    gate.take_slot().on_posted(KIND, on_change=lambda: heard.append("think again"))
    gate.set_ready(ready=False)
    assert heard == ["think again"]


def test_an_overdue_render_is_believed_to_take_as_long_again_as_it_is_late():
    render_times = paced(render_s=100)
    assert render_times.remaining_s(KIND, ran_s=90, done=0) == 10
    assert render_times.remaining_s(KIND, ran_s=130, done=0) == 30
    assert render_times.remaining_s(KIND, ran_s=300, done=0) is None


def test_a_graph_handed_in_whole_is_known_by_its_shape():
    gate = ready_gate(paced(render_s=0.5))
    gate.take_slot().on_posted(KIND._replace(template="b" * 64), on_change=lambda: None)
    assert takes_ahead(gate)


def test_what_this_node_rendered_counts_before_what_others_did_and_that_before_the_template():
    render_times = paced(render_s=100)
    other_size = KIND._replace(shape="another")
    assert render_times.expected_s(other_size) == 100
    render_times.on_told("another", 30)
    assert render_times.expected_s(other_size) == 30
    render_times.on_rendered(other_size, 10)
    assert render_times.expected_s(other_size) == 10
    assert render_times.expected_s(KIND) == 100


def test_a_thousand_graphs_of_one_shape_leave_it_known_and_little_behind():
    render_times = RenderTimes()
    for number in range(1_000):
        render_times.on_rendered(RenderKind("shape", str(number)), 5)
        render_times.on_told(str(number), 7)
    assert render_times.expected_s(RenderKind("shape", "new")) == 5
    assert not render_times.knows("0")
    assert render_times.expected_s(RenderKind("new", "999")) == 5


def test_the_pace_says_how_far_the_worker_looks_ahead_and_why():
    assert paced(render_s=0.5, turnaround_s=0.3).summary == (
        "2 ahead: a render takes 0.5 s, the way to the next prompt 0.3 s"
    )
    assert RenderTimes().summary == ""


def test_pinned_jobs_go_first_and_a_closed_gate_asks_for_nothing():
    gate = Gate()
    order = QueueOrder(["comfyfleet.pool.a.any", "comfyfleet.node.gpu-1"], gate=gate)
    assert order.consume(2) == []
    gate.set_ready(ready=True)
    assert order.consume(2) == ["comfyfleet.node.gpu-1", "comfyfleet.pool.a.any"]


def test_the_queue_that_gave_a_message_closes_the_gate_until_its_task_begins():
    gate = ready_gate()
    order = QueueOrder(["comfyfleet.pool.a.any"], gate=gate)
    order.rotate("comfyfleet.pool.a.any")
    assert order.consume(1) == []
    gate.take_slot().release()
    assert order.consume(1) == ["comfyfleet.pool.a.any"]


# --- whole graphs, like none before


def test_of_a_graph_like_none_before_its_classes_tell_and_at_last_what_was_rendered_lately():
    render_times = RenderTimes()
    graph = kinds_of(rendering("a", seed=1, steps=20))
    new = RenderKind("new", "b" * 64, kinds_of(rendering("b", seed=2, steps=40)))
    assert render_times.expected_s(new) is None
    render_times.on_rendered(KIND, 3)
    assert render_times.expected_s(new) == 3
    seconds = {"4": 1.0, "3": 8.0, "8": 0.5, "9": 0.25}
    render_times.node_times.on_measured("shape", graph, dict.fromkeys(graph, 0.0) | seconds)
    assert render_times.expected_s(new) == pytest.approx(17.75)
    render_times.on_told("new", 12)
    assert render_times.expected_s(new) == 12


def test_behind_a_graph_like_none_before_the_next_is_taken_ahead():
    gate = ready_gate(paced(render_s=0.5))
    gate.take_slot().on_posted(RenderKind("new", "b" * 64), on_change=lambda: None)
    assert takes_ahead(gate)


def test_a_prompt_that_has_left_the_card_holds_nobody_up_and_its_time_is_told_once_it_is_sure():
    gate = ready_gate()
    first, second = posted(gate), posted(gate)
    assert first.on_left()
    assert second.turn_at is not None
    assert not second.on_left()
    assert gate.is_open()
    assert gate.render_times.render_s is None
    first.turn_at -= 9  # what it does after the card is not part of its render
    first.release(rendered=True)
    assert gate.render_times.render_s < 1


def test_a_prompt_that_others_may_continue_keeps_the_card_until_it_is_clear_that_none_does():
    gate = ready_gate()
    slot = gate.take_slot()
    slot.on_posted(KIND, on_change=lambda: None, may_continue=True)
    slot.on_left()
    assert not gate.is_open()
    slot.release(rendered=True)
    assert gate.is_open()


def test_what_is_only_guessed_of_a_render_that_takes_steps_is_believed_once_they_bear_it_out():
    render_times = RenderTimes()
    render_times.on_rendered(KIND, 10)
    new = RenderKind("new", "b" * 64, kinds_of(rendering("a", seed=1, steps=20)))
    assert not render_times.is_measured(new)
    assert render_times.remaining_s(new, ran_s=0, done=0) is None
    assert render_times.remaining_s(new, ran_s=4, done=0.05) is None  # it takes far longer
    assert render_times.remaining_s(new, ran_s=4, done=0.35) == 6
    one_step = RenderKind("one", "b" * 64, kinds_of(rendering("a", seed=1, steps=1)))
    assert render_times.remaining_s(one_step, ran_s=4, done=0) == 6
