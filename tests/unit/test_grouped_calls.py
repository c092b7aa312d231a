"""Calls from asyncio that go together while others are under way."""

from __future__ import annotations

import asyncio
from threading import Event

from producer.grouped_calls import GroupedCalls

SOON_S = 10


class Doubling:
    """Doubles numbers once it may, and keeps which came together."""

    def __init__(self):
        self.groups = []
        self.may_go_on = Event()
        self.has_begun = Event()

    def __call__(self, numbers):
        self.groups.append(list(numbers))
        self.has_begun.set()
        assert self.may_go_on.wait(SOON_S)
        return [ValueError(f"{n} is odd") if n % 2 else 2 * n for n in numbers]


def begun(call):
    return asyncio.to_thread(call.has_begun.wait, SOON_S)


def test_what_comes_while_one_is_under_way_goes_together():
    call = Doubling()

    async def ask():
        grouped = GroupedCalls(call)
        first = asyncio.ensure_future(grouped(2))
        await begun(call)
        others = [asyncio.ensure_future(grouped(number)) for number in (4, 5, 6)]
        await asyncio.sleep(0)
        call.may_go_on.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, four, five, six = asyncio.run(asyncio.wait_for(ask(), SOON_S))
    assert (first, four, six) == (4, 8, 12)
    assert isinstance(five, ValueError)  # its own, and nobody else's
    assert call.groups == [[2], [4, 5, 6]]


def test_whoever_goes_away_before_it_begins_is_left_out():
    call = Doubling()

    async def ask():
        grouped = GroupedCalls(call)
        first = asyncio.ensure_future(grouped(2))
        await begun(call)
        gone, stays = asyncio.ensure_future(grouped(4)), asyncio.ensure_future(grouped(6))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        call.may_go_on.set()
        return await asyncio.gather(first, stays)

    assert asyncio.run(asyncio.wait_for(ask(), SOON_S)) == [4, 12]
    assert call.groups == [[2], [6]]


def test_one_that_takes_long_holds_up_nobody_for_long():
    call = Doubling()

    async def ask():
        grouped = GroupedCalls(call)
        stuck = asyncio.ensure_future(grouped(2))
        await begun(call)
        waiting = []
        while len(call.groups) < 2:  # the stuck one is still under way
            waiting.append(asyncio.ensure_future(grouped(4)))
            await asyncio.sleep(0.02)
        call.may_go_on.set()
        return await asyncio.gather(stuck, *waiting)

    answers = asyncio.run(asyncio.wait_for(ask(), SOON_S))
    assert answers == [4, *[8] * (len(answers) - 1)]


def test_a_fault_of_all_is_told_to_each():
    def broken(_):
        raise OSError("away")

    async def ask():
        grouped = GroupedCalls(broken)
        return await asyncio.gather(grouped(1), grouped(2), return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(ask())] == [OSError, OSError]


def test_it_serves_one_loop_after_another():
    grouped = GroupedCalls(list)

    async def ask():
        return [await grouped(1), await grouped(2)]

    assert [asyncio.run(ask()) for _ in range(2)] == [[1, 2], [1, 2]]


def test_none_is_left_waiting_when_a_group_has_just_ended():
    grouped = GroupedCalls(list)

    async def ask(number):
        return [await grouped(number) for _ in range(50)]

    async def ask_all():
        return await asyncio.gather(*(ask(number) for number in range(5)))

    assert asyncio.run(asyncio.wait_for(ask_all(), SOON_S)) == [[n] * 50 for n in range(5)]
