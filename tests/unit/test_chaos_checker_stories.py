"""The checker of the chaos ring judges what persons do in a storm: actions, moves, names, brakes and restarts."""

from __future__ import annotations

import copy
import json

import pytest

from tests.chaos.checker.actions import check_actions
from tests.chaos.checker.brakes import check_brakes
from tests.chaos.checker.history import History
from tests.chaos.checker.names import check_names
from tests.chaos.checker.places import check_places
from tests.chaos.checker.restarts import check_restarts

JOBS = ("01a202fc-72b0-7acb-9f17-73fc8595814e", "01a202fc-72b0-7acb-9f17-73fc8595814f")
BATCH = "01a202fc-72b0-7acb-9f17-000000000000"
ROWS = tuple(f"{BATCH[:-8]}0000000{number}" for number in (1, 2, 3))
MADE = {JOBS[0]: "01a202fd-0000-7acb-9f17-73fc8595814e"}


def events(job, *told, node="n1"):
    """Return events of a job, each a type and when it was, ms; those of all jobs are in the order of their times."""
    return [
        {"id": f"{at}-0", "job": job, "type": type_, "at": str(at), "node": node, "attempt": "2"}
        | {"cause": cause[0] if cause else ""}
        for type_, at, *cause in told
    ]


def asked(job, *, at=1, answer="accepted", **more):
    return {"at": at, "do": "submit", "key": job, "answer": answer, "job": job} | more


def acted(verb="cancel", *, done=2, refused=0, state="done"):
    """Return evidence of an action on two jobs that wait, from 2,000 to 4,000 ms."""
    about = {"do": "act", "action": verb, "about": "owner:shop", "key": "k"}
    counts = {"matched": done + refused, "done": done, "refused": refused}
    kind = {"cancel": "cancelled", "hold": "held", "retry": "cancelled"}[verb]
    at = 1_400 if verb == "retry" else 3_000
    return {
        "client": [
            *(asked(job, owner="shop") for job in JOBS),
            {**about, "at": 2.1, "asked_at": 2, "answer": "accepted", "id": "a"},
            {"at": 4, "do": "acted", "id": "a", "state": state, "error": None, **counts},
        ],
        "events": [one for job in JOBS for one in events(job, ("submitted", 1_000), (kind, at))],
        "redis": {
            "jobs": {
                f"{n}{job[1:]}": {"spec": json.dumps({"retry_of": job})}
                for n, job in enumerate(JOBS if verb == "retry" else ())
            },
            "actions": {"a": {name: str(count) for name, count in counts.items()}},
            "actions_waiting": [],
        },
    }


def without_the_second(evidence):
    evidence["events"] = [event for event in evidence["events"] if event["job"] != JOBS[1]]
    evidence["events"] += events(JOBS[1], ("submitted", 1_000), ("claimed", 9_000))


ACTIONS_BROKEN = {
    "it never ended": (acted, lambda e: e["client"][-1].update(state=None)),
    "it failed": (acted, lambda e: e["client"][-1].update(state="failed", error="no")),
    "it was stopped by nobody": (acted, lambda e: e["client"][-1].update(state="cancelled")),
    "its record says otherwise now": (acted, lambda e: e["redis"]["actions"]["a"].update(done="1")),
    "its counts do not add up": (
        lambda: acted(done=2, refused=0),
        lambda e: (
            e["client"][-1].update(matched=3),
            e["redis"]["actions"]["a"].update(matched="3"),
        ),
    ),
    "one was passed over, and counted": (acted, without_the_second),
    "one was passed over": (lambda: acted(done=1), without_the_second),
    "one that waited was not held": (lambda: acted("hold", done=1), without_the_second),
    "one was held twice": (
        lambda: acted("hold"),
        lambda e: e["events"].extend(events(JOBS[0], ("held", 3_100))),
    ),
    "one was made again twice": (
        lambda: acted("retry"),
        lambda e: e["redis"]["jobs"].update(
            {MADE[JOBS[0]]: {"spec": json.dumps({"retry_of": JOBS[0]})}}
        ),
    ),
    "one that had ended badly was not made again": (
        lambda: acted("retry", done=1),
        lambda e: e["redis"]["jobs"].popitem(),
    ),
    "it still waits": (acted, lambda e: e["redis"]["actions_waiting"].append("a")),
    "its key has two": (acted, lambda e: e["client"].append({**e["client"][2], "id": "b"})),
}


@pytest.mark.parametrize("verb", ["cancel", "hold", "retry"])
def test_an_action_that_did_what_it_says_is_no_violation(verb):
    assert list(check_actions(History(**acted(verb)))) == []


def test_one_that_was_stopped_may_have_left_some_out():
    evidence = acted("hold", done=1, state="cancelled")
    without_the_second(evidence)
    evidence["client"].append({"at": 2.5, "do": "stop", "id": "a", "answer": "done"})
    assert list(check_actions(History(**evidence))) == []


def test_what_failed_before_it_could_be_stopped_is_refused():
    evidence = acted(done=1, refused=1)
    evidence["events"] = events(JOBS[0], ("cancelled", 3_000))
    evidence["events"] += events(JOBS[1], ("cancel_requested", 3_000), ("failed", 3_100))
    assert list(check_actions(History(**evidence))) == []


@pytest.mark.parametrize("name", ACTIONS_BROKEN)
def test_each_action_that_did_otherwise_is_named(name):
    make, break_ = ACTIONS_BROKEN[name]
    evidence = make()
    break_(evidence)
    assert {found.invariant for found in check_actions(History(**evidence))} == {"I30"}


def moved(*nodes, asked_pool="default", now="side"):
    """Return evidence of a job that a node claims, that is moved, and that another node claims."""
    told = [("submitted", 1_000), ("claimed", 2_000), ("moved", 3_000), ("claimed", 4_000)]
    story = events(JOBS[0], *told)
    story[1]["node"], story[3]["node"] = nodes
    return History(
        client=[asked(JOBS[0], pool=asked_pool), {"do": "move", "pool": now}],
        events=story,
        redis={
            "jobs": {JOBS[0]: {"spec": json.dumps({"key": JOBS[0], "pool": now})}},
            "nodes": {"n1": {"pool": "default"}, "n4": {"pool": "side"}},
        },
    )


def test_a_job_is_claimed_where_it_waits():
    assert list(check_places(moved("n1", "n4"))) == []
    for nodes in (("n4", "n4"), ("n1", "n1")):
        [found] = check_places(moved(*nodes))
        assert (found.invariant, found.job) == ("I31", JOBS[0])


def test_a_job_in_two_queues_is_named():
    history = moved("n1", "n4")
    history.waiting.append({"at": 1.0, "job": JOBS[0], "queues": ["a", "b"]})
    [found] = check_places(history)
    assert found.evidence == "at 1.000 it waited in ['a', 'b']"


def named(*, asked_at=1.5, done_at=1.6, template="one", color=1, tries=("done", "done")):
    """Return evidence of a name that means graph `one`, of colour 1, from 1 s on, `two` from 2 s, and `three` from 4."""
    said = {"do": "name", "owner": "shop", "name": "portrait"}
    namings = [
        {**said, "color": n, "template": name, "at": at, "asked_at": at - 0.1, "answer": answer}
        for n, name, at, answer in (
            *((1, "one", 1 + n / 10, answer) for n, answer in enumerate(tries)),
            (2, "two", 2, "done"),
            (3, "three", 4, "done"),
        )
    ]
    job = {"owner": "shop", "named": "portrait"}
    key = "jobs/1"
    return History(
        client=[
            *namings,
            asked(JOBS[0], at=asked_at, answer="asked", **job),
            asked(JOBS[0], at=done_at, **job),
            asked(JOBS[0], at=99, **job),
        ],
        objects={key: {"picture": {"color": color}}},
        redis={
            "jobs": {
                JOBS[0]: {
                    "owner": "shop",
                    "spec": json.dumps({"key": JOBS[0], "template": template}),
                    "result": json.dumps({"artifacts": [{"key": key}]}),
                }
            }
        },
    )


@pytest.mark.parametrize(
    ("how", "is_fine"),
    [
        ({}, True),
        ({"template": "two", "color": 2}, False),
        ({"color": 2}, False),
        ({"asked_at": 1.95, "done_at": 2.1, "template": "two", "color": 2}, True),
        ({"asked_at": 1.95, "done_at": 2.1}, True),
        ({"asked_at": 3, "done_at": 3.1}, False),
        # Nobody heard of the first try, which may come late.
        ({"asked_at": 3, "done_at": 3.1, "tries": ("unknown", "done")}, True),
        ({"asked_at": 5, "done_at": 5.1, "tries": ("unknown", "done")}, False),
    ],
)
def test_a_job_has_the_graph_that_its_name_had_when_it_was_handed_in(how, is_fine):
    found = {violation.invariant for violation in check_names(named(**how))}
    assert found == (set() if is_fine else {"I32"})


def braked(*told, faults=()):
    """Return evidence of a batch of three rows that is braked after two: types, times, and causes of rows."""
    of_rows = [one for row, *what in told if row for one in events(ROWS[row - 1], tuple(what))]
    of_batch = [
        {"id": f"{at}-0", "kind": "batch", "about": BATCH, "type": type_, "at": str(at)}
        for row, type_, at, *_ in told
        if not row
    ]
    client = [{"do": "open", "batch": BATCH, "max_failed": 2}]
    return History(client=client, events=of_rows, fleet_events=of_batch, faults=list(faults))


OWN, OTHERS = "execution_error", "worker_died"
FAILED = ((1, "failed", 1, OWN), (2, "failed", 2, OWN))


@pytest.mark.parametrize(
    ("told", "is_fine"),
    [
        ((*FAILED, (0, "braked", 3), (0, "cancelled", 9)), True),
        ((*FAILED, (0, "progress", 3)), False),
        ((*FAILED[:1], (0, "braked", 3)), False),
        ((*FAILED[:1], (2, "failed", 2, OTHERS), (3, "claimed", 3)), True),
        ((*FAILED[:1], (0, "finished", 2), (2, "failed", 3, OWN), (0, "reopened", 4)), True),
        ((*FAILED, (0, "braked", 3), (0, "released", 4), (3, "failed", 5, OWN), (0, "x", 6)), True),
        ((*FAILED, (0, "braked", 3), (3, "claimed", 4)), True),
        ((*FAILED, (0, "braked", 3), (3, "claimed", 9_000)), False),
        ((*FAILED, (0, "braked", 3), (0, "released", 4), (3, "claimed", 9_000)), True),
    ],
)
def test_a_brake_holds_with_the_failure_that_is_one_too_many(told, is_fine):
    found = {violation.invariant for violation in check_brakes(braked(*told))}
    assert found == (set() if is_fine else {"I33"})


def test_a_fault_explains_that_a_row_began_late():
    told = (*FAILED, (0, "braked", 3), (3, "claimed", 9_000))
    assert not list(check_brakes(braked(*told, faults=[{"from": 1, "until": 2}])))


RESTART = {"do": "ask", "verb": "restart", "about": "n1", "asked_at": 2, "answer": "done"}
LOST = {
    "client": [RESTART],
    "events": events(JOBS[0], ("claimed", 1_000), ("requeued", 3_000, "prompt_lost")),
}


@pytest.mark.parametrize(
    ("broken", "is_fine"),
    [
        (lambda _: None, False),
        (lambda e: e["client"][0].update(now=True), True),
        (lambda e: e["client"][0].update(about="n2"), True),
        (lambda e: e["client"][0].update(verb="probe"), True),
        (lambda e: e["events"][1].update(cause="execution_error"), True),
        (lambda e: e["events"][1].update(at="1500"), True),
        (lambda e: e.update(faults=[fault("node killed")]), True),
        (lambda e: e.update(faults=[fault("node restarted by a person")]), False),
    ],
)
def test_a_restart_that_may_wait_costs_no_prompt(broken, is_fine):
    evidence = copy.deepcopy(LOST)
    broken(evidence)
    found = {violation.invariant for violation in check_restarts(History(**evidence))}
    assert found == (set() if is_fine else {"I34"})


def fault(kind):
    return {"kind": kind, "target": "n1", "from": 1.5, "until": 1.6}
