"""The public calls: each has a typed example, and the twins for asyncio take the same options."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from producer.aio import AsyncProducer
from producer.batch.methods import BatchOptions
from producer.client import Producer
from producer.dead_letters import AsyncDeadLetters, DeadLetters
from producer.http_client import HttpProducer
from producer.intake.request import JobOptions
from tests import typed_calls

EXAMPLES = ast.parse(Path(typed_calls.__file__).read_text())
CALLED = {node.attr for node in ast.walk(EXAMPLES) if isinstance(node, ast.Attribute)}
#: What only one of the two has, and why.
ONLY_SYNC = {
    "open_batch",  # rows come one by one: a thread of its own is the way to do that from a loop
}
ONLY_ASYNC = {"fanout"}  # a loop's watchers; threads have one reader a process


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [Producer, AsyncProducer, DeadLetters, AsyncDeadLetters])
def test_every_public_call_has_a_typed_example(kind):
    assert public(kind) <= CALLED


def test_the_twins_have_the_same_calls():
    twins = public(AsyncProducer) | {"dead_letters"}
    assert public(Producer) - twins == ONLY_SYNC
    assert twins - public(Producer) == ONLY_ASYNC
    assert public(DeadLetters) == public(AsyncDeadLetters)


def test_the_client_over_http_has_no_call_that_the_library_lacks():
    assert public(HttpProducer) <= public(Producer) | {"webhooks"}


@pytest.mark.parametrize("name", sorted(public(HttpProducer) & public(Producer)))
def test_a_call_over_http_takes_no_other_arguments_than_the_library_s(name):
    call, twin = getattr(Producer, name), getattr(HttpProducer, name)
    ours = inspect.signature(call).parameters
    theirs = inspect.signature(twin).parameters
    assert theirs.keys() - {"options"} <= ours.keys()
    for argument in theirs.keys() - {"options"}:
        assert (theirs[argument].kind, theirs[argument].default) == (
            ours[argument].kind,
            ours[argument].default,
        )


@pytest.mark.parametrize(
    ("call", "options", "own"),
    [
        (Producer.submit, JobOptions, {"graph"}),
        (Producer.submit_many, BatchOptions, {"graph", "rows"}),
    ],
)
def test_the_options_that_are_handed_on_are_those_of_the_call(call, options, own):
    told = {
        name: hint
        for name, hint in get_type_hints(call).items()
        if name not in {"self", "return", *own}
    }
    assert get_type_hints(options) == told


@pytest.mark.parametrize("name", sorted(public(Producer) & public(AsyncProducer)))
def test_a_twin_takes_the_same_arguments(name):
    call, twin = getattr(Producer, name), getattr(AsyncProducer, name)
    theirs = inspect.signature(twin).parameters
    if "options" in theirs:  # held to the call by their types, above
        return
    ours = inspect.signature(call).parameters
    assert {n: (p.kind, p.default) for n, p in theirs.items()} == {
        n: (p.kind, p.default) for n, p in ours.items()
    }
