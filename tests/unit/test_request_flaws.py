"""What is wrong with the form of a request is one sentence: the field, what is there, and what was expected."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from producer.http import actions, batches, jobs, nodes, submissions, webhooks
from producer.http.request_flaws import flaw_of

GOOD = {"graph": {}}
NAME = "expected 1 to 63 characters: a to z, 0 to 9, and . _ - after the first"
TIERS = "expected rush, default, batch or idle"


def route(router, method, path=""):
    return next(
        one
        for one in router.routes
        if isinstance(one, APIRoute) and one.path == router.prefix + path and method in one.methods
    )


SUBMIT = route(submissions.router, "POST")
LIST = route(jobs.router, "GET")
ACT = route(actions.router, "POST")
DRAIN = route(nodes.router, "POST", "/nodes/{name}/drain")
HOOK = route(webhooks.router, "POST")
ARTIFACT = route(jobs.router, "GET", "/{job_id}/artifacts/{number}")


def flaws(asked, place, value, name=""):
    """Return what pydantic finds in a value that a route takes, as FastAPI hands it on."""
    of_place = {"body": "body_params", "query": "query_params", "path": "path_params"}[place]
    params = getattr(asked.dependant, of_place)
    field = next(one for one in params if not name or one.name == name).field_info
    try:
        TypeAdapter(field.annotation if not name else field.rebuild_annotation()).validate_python(
            value
        )
    except ValidationError as exc:
        return [
            flaw_of({**found, "loc": (place, *([name] if name else []), *found["loc"])}, asked)
            for found in exc.errors()
        ]
    raise AssertionError("it is not refused")


@pytest.mark.parametrize(
    ("asked", "value", "sentence"),
    [
        (SUBMIT, [], "the body is a list; expected an object"),
        (SUBMIT, None, "the body is null; expected an object"),
        (SUBMIT, "x", 'the body is "x"; expected an object'),
        (SUBMIT, {"graph": 5}, "graph is 5; expected an object"),
        (SUBMIT, {**GOOD, "grpah": 1}, "there is no field grpah; did you mean graph?"),
        (SUBMIT, {**GOOD, "Tier": 1}, "there is no field Tier; did you mean tier?"),
        (
            ACT,
            {"action": "cancel", "filter": "", "xyz": 1},
            "there is no field xyz; this takes action, filter, dry_run, cursor, reason, idempotency_key",
        ),
        (SUBMIT, {**GOOD, "params": []}, "params is a list; expected an object"),
        (SUBMIT, {**GOOD, "inputs": {"1.a": 5}}, "inputs.1.a is 5; expected an object"),
        (SUBMIT, {**GOOD, "pool": ""}, f'pool is ""; {NAME}'),
        (SUBMIT, {**GOOD, "pool": "A\n"}, f'pool is "A\\n"; {NAME}'),
        (SUBMIT, {**GOOD, "pool": "a" * 70}, f"pool has 70 characters; {NAME}"),
        (SUBMIT, {**GOOD, "pin": 5}, f"pin is 5; {NAME}"),
        (SUBMIT, {**GOOD, "pool": "\ud800"}, f"pool holds half a character (a lone surrogate); {NAME}"),
        (SUBMIT, {**GOOD, "tier": "now"}, f'tier is "now"; {TIERS}'),
        (SUBMIT, {**GOOD, "tier": {}}, f"tier is an object; {TIERS}"),
        (SUBMIT, {**GOOD, "metadata": {"a.b": 5}}, "metadata.a.b is 5; expected text"),
        (
            SUBMIT,
            {**GOOD, "start_within_s": 0},
            "start_within_s is 0; expected a number above 0 and of at most 315,360,000",
        ),
        (
            SUBMIT,
            {**GOOD, "run_within_s": "soon"},
            'run_within_s is "soon"; expected a number above 0 and of at most 315,360,000',
        ),
        (SUBMIT, {**GOOD, "deliver": 5}, "deliver is 5; expected an object"),
        (
            SUBMIT,
            {**GOOD, "deliver": {}},
            "deliver.to is missing; expected text of at most 2,000 characters",
        ),
        (
            SUBMIT,
            {**GOOD, "deliver": {"to": "x", "quality": 0}},
            "deliver.quality is 0; expected a whole number from 1 to 100",
        ),
        (
            SUBMIT,
            {**GOOD, "deliver": {"to": "x", "thumbnail": 17.5}},
            "deliver.thumbnail is 17.5; expected a whole number from 16 to 4,096",
        ),
        (
            SUBMIT,
            {**GOOD, "deliver": {"to": "x", "metadata": "x" * 500}},
            f'deliver.metadata is "{"x" * 78}…; expected keep or strip',
        ),
        (
            SUBMIT,
            {**GOOD, "deliver": {"to": "x", "formt": "png"}},
            "there is no field formt in deliver; did you mean format?",
        ),
        (
            SUBMIT,
            {**GOOD, "idempotency_key": ""},
            'idempotency_key is ""; expected text of 1 to 512 characters',
        ),
        (ACT, {"action": "cancel"}, "filter is missing; expected text of at most 4,000 characters"),
        (ACT, {"filter": ""}, "action is missing; expected cancel, hold, release or retry"),
        (
            ACT,
            {"action": "cancel", "filter": "", "dry_run": "x"},
            'dry_run is "x"; expected true or false',
        ),
        (HOOK, {"name": "a", "url": "b", "events": "x"}, 'events is "x"; expected a list of at most 50'),
        (HOOK, {"name": "a", "url": "b", "events": [5]}, "events.0 is 5; expected text"),
        (
            HOOK,
            {"name": "a", "url": "b", "events": ["x"] * 51},
            "events has 51 entries; expected a list of at most 50",
        ),
        (HOOK, {"name": "a", "url": "b", "body": "fat"}, 'body is "fat"; expected thin or full'),
        (
            DRAIN,
            {"until": "tomorrow"},
            'until is "tomorrow"; expected a time with its zone, as 2026-11-28T17:00:00Z',
        ),
        (
            DRAIN,
            {"until": "2026-11-28T17:00:00"},
            'until is "2026-11-28T17:00:00"; expected a time with its zone, as 2026-11-28T17:00:00Z',
        ),
        (DRAIN, {"reason": "x" * 201}, "reason has 201 characters; expected text of at most 200 characters"),
    ],
)  # fmt: skip
def test_a_body_is_refused_in_one_sentence(asked, value, sentence):
    [flaw] = flaws(asked, "body", value)
    assert flaw.detail == sentence
    assert flaw.pointer.startswith("#")
    assert not flaw.parameter


@pytest.mark.parametrize(
    ("asked", "value", "name", "sentence"),
    [
        (LIST, {"limit": "x"}, "", 'limit is "x"; expected a whole number from 1 to 1,000'),
        (LIST, {"limit": "1.5"}, "", 'limit is "1.5"; expected a whole number from 1 to 1,000'),
        (LIST, {"limit": "9" * 5_000}, "", f'limit is "{"9" * 78}…; expected a whole number from 1 to 1,000'),
        (LIST, {"filter": "x" * 4_001}, "", "filter has 4,001 characters; expected text of at most 4,000 characters"),
        (LIST, {"filtr": "x"}, "", "there is no parameter filtr; did you mean filter?"),
        (ARTIFACT, "soon", "expires_s", 'expires_s is "soon"; expected a number from 1 to 604,800'),
        (ARTIFACT, "maybe", "redirect", 'redirect is "maybe"; expected true or false'),
    ],
)  # fmt: skip
def test_a_parameter_is_refused_in_one_sentence(asked, value, name, sentence):
    [flaw] = flaws(asked, "query", value, name)
    assert flaw.detail == sentence
    assert flaw.parameter == (name or next(iter(value)))
    assert not flaw.pointer


def test_what_would_do_is_listed_where_it_is_a_short_list():
    [flaw] = flaws(SUBMIT, "body", {**GOOD, "tier": "now"})
    assert flaw.allowed == ["rush", "default", "batch", "idle"]
    [flaw] = flaws(HOOK, "body", {"name": "a", "url": "b", "body": "fat"})
    assert flaw.allowed == ["thin", "full"]
    [flaw] = flaws(SUBMIT, "body", {**GOOD, "grpah": 1})
    assert {"graph", "template", "params"} <= set(flaw.allowed)


def test_each_field_at_fault_is_told():
    found = flaws(SUBMIT, "body", {"graph": 5, "tier": "now", "deliver": {"to": 1, "x": 2}})
    assert [flaw.pointer for flaw in found] == ["#/graph", "#/tier", "#/deliver/to", "#/deliver/x"]


def test_no_sentence_is_pydantic_s_own():
    for router in (
        submissions.router,
        jobs.router,
        batches.router,
        actions.router,
        webhooks.router,
        nodes.router,
    ):
        for one in router.routes:
            if isinstance(one, APIRoute) and one.dependant.body_params:
                for value in ([], 5, {"x": 1}):
                    for flaw in flaws(one, "body", value):
                        assert "nput" not in flaw.detail.replace("inputs", "")
