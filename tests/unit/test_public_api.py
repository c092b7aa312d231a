"""The public calls: each has a typed example, and the twins for asyncio take the same options."""

from __future__ import annotations

import ast
import inspect
import typing
from pathlib import Path
from typing import get_type_hints

import pytest

from producer.aio import AsyncProducer
from producer.batch.methods import BatchOptions
from producer.client import Producer
from producer.dead_letters import AsyncDeadLetters, DeadLetters
from producer.http_aio import (
    AsyncHttpDeadLetters,
    AsyncHttpProducer,
    AsyncHttpTemplates,
    AsyncHttpWebhooks,
)
from producer.http_client import HttpProducer
from producer.intake.request import JobOptions
from producer.over_http.dead_letters import HttpDeadLetters
from producer.over_http.templates import HttpTemplates
from producer.over_http.webhooks import HttpWebhooks
from producer.template_methods import AsyncTemplates, Templates
from producer.webhooks.methods import Webhooks
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


@pytest.mark.parametrize(
    "kind", [Producer, AsyncProducer, AsyncHttpProducer, DeadLetters, AsyncDeadLetters]
)
def test_every_public_call_has_a_typed_example(kind):
    assert public(kind) <= CALLED


def test_the_twins_have_the_same_calls():
    twins = public(AsyncProducer) | {"dead_letters"}
    assert public(Producer) - twins == ONLY_SYNC
    assert twins - public(Producer) == ONLY_ASYNC
    assert public(DeadLetters) == public(AsyncDeadLetters)


def arguments(kind, name):
    """Return how a call may be called: of each argument its kind and default; those of `options` by their name."""
    call = getattr(kind, name)
    found = inspect.signature(call).parameters
    told = {n: (p.kind, p.default) for n, p in found.items() if n not in {"self", "options"}}
    if "options" in found:
        options = typing.get_args(typing.get_type_hints(call)["options"])[0]
        told |= dict.fromkeys(typing.get_type_hints(options), KEYWORD)
    return told


KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty)
#: What the library has and the API has not, and why.
NOT_OVER_HTTP = {
    "made_before",  # what the API asks where a key may have no more jobs waiting
    "from_env",  # its settings are the addresses of Redis and S3; an API's address and key are two arguments
    "open_batch",  # rows go in parts: `begin_batch`, `add_rows`, `seal_batch`
    "open_rows",  # what the API counts limits by
    "figures",  # what the API makes `GET /metrics` of
    "missed",  # what the API makes its streams of, and
    "position",  # where they begin; a client goes on by `stream(after=)` and `events`
}
#: Arguments that the library takes and the API does not: what the key says.
BY_THE_KEY = {"owner", "actor", "origin"}
#: Others, by the call that takes them.
NOT_TAKEN = {
    "act": {"limit"},  # a request's bound is the API's
    "begin_action": {"max_waiting"},  # the key's
    "move": {"most"},
}
#: Calls of which the two write the same options in other ways.
LOOSE = {"submit_many", "submit", "begin_batch"}


def test_the_client_over_http_lacks_what_is_named_and_nothing_else():
    ours, theirs = public(Producer), public(HttpProducer)
    assert ours - theirs - {"dead_letters"} == NOT_OVER_HTTP
    assert theirs - ours == {"reader"}  # of events, for all watchers of a process


@pytest.mark.parametrize("name", sorted((public(HttpProducer) & public(Producer)) - {"close"}))
def test_a_call_over_http_takes_the_library_s_arguments_but_those_that_the_key_says(name):
    ours, theirs = arguments(Producer, name), arguments(HttpProducer, name)
    if name in LOOSE:
        assert theirs.keys() <= ours.keys()
        return
    left_out = BY_THE_KEY | NOT_TAKEN.get(name, set())
    wanted = {n: how for n, how in ours.items() if n not in left_out}
    assert theirs.keys() - BY_THE_KEY == wanted.keys()
    for argument, how in wanted.items():
        assert how == KEYWORD or theirs[argument] == how


@pytest.mark.parametrize("name", sorted(public(HttpWebhooks)))
def test_webhooks_over_http_take_the_same_arguments_but_the_owner(name):
    ours, theirs = arguments(Webhooks, name), arguments(HttpWebhooks, name)
    assert theirs == {n: how for n, how in ours.items() if n != "owner"}


@pytest.mark.parametrize("name", sorted(public(Templates)))
def test_templates_over_http_take_the_same_arguments_but_the_owner(name):
    ours, theirs = arguments(Templates, name), arguments(HttpTemplates, name)
    assert theirs.keys() == ours.keys() - {"owner"}
    assert arguments(AsyncTemplates, name) == ours
    assert arguments(AsyncHttpTemplates, name) == theirs


def test_dead_letters_over_http_take_the_same_arguments():
    ours, theirs = public(DeadLetters), public(HttpDeadLetters)
    # A list of any length, and what listing does as it comes to them.
    assert ours - theirs == {"ids", "prune"}
    for name in theirs:
        assert arguments(HttpDeadLetters, name) == arguments(DeadLetters, name)
        assert arguments(AsyncHttpDeadLetters, name) == arguments(DeadLetters, name)


def test_webhooks_over_http_lack_nothing_that_a_client_calls():
    assert public(Webhooks) - public(HttpWebhooks) == {
        "check_hook"
    }  # it is looked at where a job is accepted


@pytest.mark.parametrize(
    ("sync", "twin"), [(HttpProducer, AsyncHttpProducer), (HttpWebhooks, AsyncHttpWebhooks)]
)
def test_the_twins_over_http_have_the_same_calls_with_the_same_arguments(sync, twin):
    assert public(twin) - public(sync) == ({"fanout"} if twin is AsyncHttpProducer else set())
    assert public(sync) - public(twin) == ({"reader"} if sync is HttpProducer else set())
    for name in public(sync) & public(twin) - {"webhooks"}:
        assert arguments(sync, name) == arguments(twin, name), name


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
