"""The gate: how much a worker takes."""

from __future__ import annotations

from worker.queue_order import GATE, Gate, QueueOrder


def test_a_gate_is_closed_until_the_node_is_ready():
    gate = Gate()
    assert not gate.is_open()
    gate.set_ready(ready=True)
    assert gate.is_open()


def test_a_message_that_was_taken_closes_it_before_its_task_begins():
    gate = Gate()
    gate.set_ready(ready=True)
    gate.expect()
    assert not gate.is_open()
    slot = gate.begin()
    assert not gate.is_open()
    slot.release()
    assert gate.is_open()


def test_a_slot_is_released_once():
    gate = Gate()
    gate.set_ready(ready=True)
    first, second = gate.begin(), gate.begin()
    first.release()
    first.release()
    assert not gate.is_open()
    second.release()
    assert gate.is_open()


def test_opening_wakes_whoever_asked_for_it():
    gate, calls = Gate(), []
    gate.on_open(lambda: calls.append("woken"))
    gate.set_ready(ready=True)
    gate.begin().release()
    assert len(calls) == 2


def test_a_message_that_never_became_a_task_does_not_close_it_for_ever():
    gate = Gate(arrives_within_s=0.0)
    gate.set_ready(ready=True)
    gate.expect()
    assert gate.is_open()


def test_pinned_jobs_go_first_and_a_closed_gate_asks_for_nothing():
    order = QueueOrder(["comfyfleet.pool.a.any", "comfyfleet.node.gpu-1"])
    assert order.consume(2) == []
    GATE.set_ready(ready=True)
    try:
        assert order.consume(2) == ["comfyfleet.node.gpu-1", "comfyfleet.pool.a.any"]
    finally:
        GATE.set_ready(ready=False)
