"""Shares of a process: of what is fetched, of the pace of bodies, of threads that admit; and what it does not share."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest

from producer.contract.errors import InvalidInput, InvalidSettings, TooManyRequests
from producer.grouped_calls import GroupedCalls
from producer.http.__main__ import serve
from producer.http.body_pace import OVER_S, SLOWEST, BodyPace
from producer.http.held_bodies import HeldBodies
from producer.http.long_calls import LongCalls
from producer.http.problems import Problem
from producer.intake.fetch_limits import FETCHED_WITHIN_S, FetchLimits, FetchUse


def test_an_owner_has_a_share_of_what_is_fetched_at_once_and_all_have_a_bound():
    limits = FetchLimits(at_once=3, of_owner=2)
    with ExitStack() as busy:
        for owner in ("shop", "shop", "press"):
            busy.enter_context(limits.turn(owner, FetchUse()))
        for owner, words in (("shop", "for this owner"), ("press", "3 files"), ("new", "3 files")):
            with pytest.raises(TooManyRequests, match=words), limits.turn(owner, FetchUse()):
                pass
    with limits.turn("shop", FetchUse()):  # they have ended
        pass


def test_a_request_has_a_bound_of_files_and_of_seconds():
    limits, use = FetchLimits(files=2), FetchUse()
    for _ in range(2):
        with limits.turn("shop", use) as left_s:
            assert left_s <= FETCHED_WITHIN_S
    with pytest.raises(InvalidInput, match="2 files") as told, limits.turn("shop", use):
        pass
    assert told.value.field == "inputs"  # of all of it: no row is left out for that
    slow = FetchUse(files=1, seconds=50.0)
    with limits.turn("shop", slow) as left_s:
        assert left_s == pytest.approx(FETCHED_WITHIN_S - 50)
    slow.seconds = FETCHED_WITHIN_S
    with pytest.raises(InvalidInput, match="60 s"), FetchLimits().turn("shop", slow):
        pass


def test_a_body_that_came_fast_may_not_rest_upon_that():
    pace = BodyPace()
    assert not pace.is_too_slow(16 << 20, waited_s=0.1)
    assert not pace.is_too_slow(
        1, waited_s=OVER_S
    )  # the first seconds count with what came in them
    assert not pace.is_too_slow(1, waited_s=OVER_S / 2)
    assert pace.is_too_slow(1, waited_s=OVER_S / 2)


def test_a_body_that_comes_steadily_is_not_too_slow():
    pace = BodyPace()
    assert not any(pace.is_too_slow(2 * SLOWEST, waited_s=1) for _ in range(100))


def test_bodies_are_forgotten_with_their_requests():
    bodies = HeldBodies(400)
    first, second = bodies.of("shop"), bodies.of("shop")
    first.take(100)
    with pytest.raises(Problem, match="this owner"):
        second.take(1)
    first.release()
    second.take(100)
    for owner in ("a", "b", "c"):
        bodies.of(owner).take(100)
    with pytest.raises(Problem, match="this process"):
        bodies.of("d").take(1)


def test_calls_with_threads_of_their_own_wait_for_no_others():
    may_end = Event()

    async def ask(threads):
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy = asyncio.ensure_future(asyncio.to_thread(may_end.wait, 10))
        calls = GroupedCalls(list)
        calls.threads = threads
        assert await asyncio.wait_for(calls(7), 5) == 7
        may_end.set()
        assert await busy

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(ask(threads))


def test_the_fleets_own_bucket_is_none_that_strangers_may_read(monkeypatch):
    monkeypatch.setenv("COMFYFLEET_S3_BUCKET", "renders")
    monkeypatch.setenv("COMFYFLEET_API_INPUT_BUCKETS", "shop, renders")
    with pytest.raises(InvalidSettings, match="fleet's own bucket renders"):
        serve()


def test_calls_that_look_at_much_wait_for_their_turn_and_one_owner_s_keep_no_other_from_it():
    asyncio.run(taking_turns())


async def call_begun(calls, began):
    async with calls.turn("shop", has_begun=True):
        began.append("begun")


async def taking_turns():
    calls = LongCalls(at_once=2, of_owner=1, waiting=1, within_s=0.05)
    done = asyncio.Event()
    began: list[str] = []

    async def call(owner):
        async with calls.turn(owner):
            began.append(owner)
            await done.wait()

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(call("shop"))
        await asyncio.sleep(0)
        waits = asyncio.ensure_future(call("shop"))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="2 requests of this owner") as told:
            await call("shop")
        assert (told.value.status_code, told.value.headers["Retry-After"]) == (429, "2")
        tasks.create_task(call("press"))
        await asyncio.sleep(0)
        assert began == ["shop", "press"]
        for late in (waits, call("third")):  # neither a turn of its owner's, nor one of all
            with pytest.raises(Problem, match=r"have taken more than 0\.05 s"):
                await late
        begun = asyncio.ensure_future(call_begun(calls, began))
        await asyncio.sleep(0.1)
        assert not begun.done()  # whose answer is on its way waits for as long as it takes
        done.set()
        await first
        await begun
        await call("shop")
    async with calls.turn("third"):
        pass
    assert calls._owners == {}
