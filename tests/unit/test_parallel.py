from __future__ import annotations

import threading

import pytest

from worker.attempt.parallel import Countdown, run_parallel


def waiting_for(event: threading.Event, value: int):
    """Return work that ends when *event* is set, or when it is told that it is in vain."""

    def work(check):
        while not event.wait(0.01):
            check()
        return value

    return work


def failing(_check):
    raise ValueError("the third")


def test_what_is_returned_comes_in_the_order_of_the_work():
    second_ended = threading.Event()

    def second(_check):
        second_ended.set()
        return 2

    assert run_parallel([waiting_for(second_ended, 1), second], at_once=2) == [1, 2]


def test_no_more_is_under_way_than_allowed():
    lock, now, most = threading.Lock(), 0, 0
    both = threading.Barrier(2, timeout=10)

    def work(_check):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        with lock:
            now -= 1

    run_parallel([work] * 6, at_once=2)
    assert most == 2


def test_the_first_failure_ends_what_is_beside_it_and_begins_nothing_more():
    never, begun = threading.Event(), []

    def late(check):
        begun.append(1)
        waiting_for(never, 3)(check)

    with pytest.raises(ValueError, match="the third"):
        run_parallel([waiting_for(never, 1), failing, late, late], at_once=2)
    # A thread that became free may have begun with one before it heard.
    assert len(begun) < 2
    assert not [one for one in threading.enumerate() if one.name.startswith("side-by-side")]


def test_a_single_piece_of_work_needs_no_thread():
    assert run_parallel([lambda _check: threading.current_thread()], at_once=2) == [
        threading.current_thread()
    ]


def test_no_work_is_done_at_once():
    assert run_parallel([], at_once=2) == []


def test_the_last_to_be_counted_is_told():
    countdown = Countdown(3)
    assert [countdown.is_last() for _ in range(3)] == [False, False, True]
