"""Problems of the HTTP API: every error of the library is one, and every type has its page."""

from __future__ import annotations

import json
import time

import pytest

from producer.contract import errors
from producer.contract.errors import FleetError
from producer.http.problems import Flaw, Problem, ProblemType, pointer_of, problem_of
from producer.http.strict_json import parse
from tests.docs.written import DOCS

#: What only workers, waits and settings raise: no request meets them.
NOT_ANSWERED = {
    "LeaseLost", "NodeNameTaken", "UnreadableRecord", "JobNotSucceeded", "WaitTimeout", "InvalidSettings", "FleetError",
}  # fmt: skip


def test_every_type_has_a_page_and_every_page_a_type():
    pages = {page.stem for page in (DOCS / "problems").glob("*.md")} - {"index"}
    assert pages == {kind.slug for kind in ProblemType}


def kinds(parent=FleetError):
    yield parent
    for kind in parent.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_every_error_that_a_request_can_meet_is_a_problem_of_its_own(kind):
    error = kind.__new__(kind)
    FleetError.__init__(error, "it is so", advice="do this")
    error.field = error.graph_node = error.allowed = None
    error.rows = []
    error.after = errors.timedelta(seconds=3.2)
    found = problem_of(error).kind
    assert (found is ProblemType.INTERNAL) == (kind.__name__ in NOT_ANSWERED)


def test_outages_name_no_address_of_the_fleet():
    error = errors.FleetUnreachable("Redis at 10.0.0.7:6379 does not answer: no route")
    answer = problem_of(error).response()
    assert b"10.0.0.7" not in answer.body
    assert answer.headers["retry-after"] == "2"


def test_a_pointer_is_one_of_rfc_6901():
    assert pointer_of(["params", "a/b~c.text"]) == "#/params/a~1b~0c.text"
    assert pointer_of([]) == "#"
    assert len(pointer_of(["x" * 10_000])) < 300


def test_a_problem_is_whole_whatever_is_in_it():
    flaw = Flaw("invalid_param", "\ud800" + "x" * 10_000, pointer="#/params")
    answer = Problem(ProblemType.INVALID_PARAM, "\udfff", flaws=[flaw], advice="\0").response()
    assert len(answer.body) < 2_000
    assert json.loads(answer.body)["errors"][0]["code"] == "invalid_param"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"{", b"NaN", b"[Infinity]", b"[-Infinity]", b'{"a": 1, "a": 2}', b"9" * 5_000,
     b"[" * 101 + b"]" * 101, b"[" * 200_000, b'{"a":' * 5_000],
)  # fmt: skip
def test_what_is_no_plain_json_is_refused(body):
    with pytest.raises(Problem) as caught:
        parse(body)
    assert caught.value.kind is ProblemType.MALFORMED_REQUEST


def test_a_key_that_is_there_twice_among_thousands_is_found_in_one_pass():
    body = "{" + "".join(f'"{n}":0,' for n in range(100_000)) + '"99999":0}'
    began = time.process_time()
    with pytest.raises(Problem, match="says 99999 twice"):
        parse(body.encode())
    assert time.process_time() - began < 5


def test_what_is_plain_json_is_read():
    assert parse(b'{"a": [1, 2.5, null, "\xc3\xa4"]}') == {"a": [1, 2.5, None, "ä"]}
    assert parse(b"[" * 100 + b"]" * 100)
