"""Problems of the HTTP API: every error of the library is one, and every type has its page."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
import requests

from producer.contract import errors
from producer.contract.batches import BadRow
from producer.contract.errors import FleetError
from producer.http.problems import PAGES, Flaw, Problem, ProblemType, pointer_of, problem_of
from producer.http.strict_json import parse
from producer.over_http.problems import OF_TYPES, error_of
from tests.docs.written import DOCS

#: What only workers, waits and settings raise: no request meets them.
NOT_ANSWERED = {
    "LeaseLost", "NodeNameTaken", "JobNotSucceeded", "ActionFailed", "WaitTimeout", "InvalidSettings", "FleetError",
}  # fmt: skip


def test_every_type_has_a_page_and_every_page_a_type():
    pages = {page.stem for page in (DOCS / "problems").glob("*.md")} - {"index"}
    assert pages == {kind.slug for kind in ProblemType}


def kinds(parent=FleetError):
    yield parent
    for kind in parent.__subclasses__():
        if kind.__module__.startswith(errors.__name__):
            yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_every_error_that_a_request_can_meet_is_a_problem_of_its_own(kind):
    error = kind.__new__(kind)
    FleetError.__init__(error, "it is so", advice="do this")
    error.field = error.graph_node = error.allowed = None
    error.rows = []
    error.after = timedelta(seconds=3.2)
    found = problem_of(error).kind
    assert (found is ProblemType.INTERNAL) == (kind.__name__ in NOT_ANSWERED)


#: One of each class that is made from more than a message.
MADE = [
    errors.InvalidParam(
        "it is so", field="params.6.text", graph_node="6", allowed=["a"], advice="do"
    ),
    errors.InvalidGraph("it is so", field="graph", graph_node="a/b~c"),
    errors.InvalidBatch("01", "is sealed", advice="another"),
    errors.InvalidQuery("it is so", field="filter", position=3),
    errors.InvalidRows(
        [BadRow(7, "6.text", "is empty", "write"), BadRow(9, None, "is torn")], count=30
    ),
    errors.InvalidRows([BadRow(7, "6.text", "x" * 300)] * 20, count=20, accepted="01"),
    errors.AddressRefused("it is so"),
    errors.ScopeMissing("shop", "operate", ["read"]),
    errors.TooManyRequests("slowly", after=timedelta(seconds=3)),
    errors.BacklogFull(7, 7),
    errors.OwnerBacklogFull("shop", 7, 7),
    errors.TooManyOpenBatches("shop", 100, 100),
    errors.TooManyActions("shop", 10, 10),
    errors.ActionNotFound("01"),
    errors.JobNotFound("01"),
    errors.BatchNotFound("01"),
    errors.UnreadableRecord("01", "it is torn"),
    errors.WebhookNotFound("there is none", field="delivery"),
    errors.TemplateNotFound("there is none"),
    errors.TemplateChanged("it is 3-abc by now", etag="3-abc"),
    errors.KeyReused("order", "01"),
    errors.NoNodeCanRun("none"),
    errors.AccessKeyNotValid("it has expired"),
]


def answer_of(error):
    response = requests.Response()
    found = problem_of(error).response()
    response.status_code = found.status_code
    response.headers.update(found.headers)
    response._content = found.body
    return response


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_that_is_read_from_its_problem_is_the_one_that_was_raised(error):
    made = error_of(answer_of(error))
    assert type(made) is type(error)
    if isinstance(
        error, errors.UnreadableRecord
    ):  # the flaw quotes the record, which may be another owner's
        assert "it is torn" not in str(made)
        assert made.job_id == error.job_id
    else:
        assert (str(made), vars(made)) == (str(error), vars(error))


def test_each_class_that_carries_more_than_a_message_has_been_made_above():
    own = {kind.__name__ for kind in kinds() if "__init__" in vars(kind)} - NOT_ANSWERED
    assert own - {"InvalidJob", "KeyOfAnotherType", "CredentialsRefused"} <= {
        type(error).__name__ for error in MADE
    }


def test_every_type_of_problem_is_known_to_the_client():
    for kind in ProblemType:
        told = answer_of(errors.JobNotFound("01"))
        told._content = json.dumps(
            {"type": f"{PAGES}{kind.slug}.md", "detail": "it is so", "error": {"kind": "Newer"}}
        ).encode()
        assert str(error_of(told)) == "it is so" or kind is ProblemType.INVALID_ROWS
        assert kind.slug in OF_TYPES


def test_an_answer_that_is_not_the_api_s_is_an_outage():
    for body, status in ((b"<html>bad gateway", 502), (b"", 200), (b"[]", 503)):
        answer = answer_of(errors.JobNotFound("01"))
        answer.status_code, answer._content, answer.url = status, body, "http://fleet/v1/jobs"
        assert isinstance(error_of(answer), errors.FleetUnreachable)


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


def test_a_body_of_many_values_is_refused_before_they_are_made(monkeypatch):
    """Each takes a hundred bytes, and `[],` three: 64 MiB of it, which gzip packs into 64 kB, would take 1.7 GB."""
    monkeypatch.setattr("producer.http.strict_json._MOST_VALUES", 1_000)
    for few in (b'{"a":[' + b"[]," * 400 + b"[]]}", b'"' + b"{" * 900 + b'"', b" " * 5_000 + b"{}"):
        parse(few)
    for many in (b"[],", b"{},", b"1,", b'{"a":', b'"",'):
        with pytest.raises(Problem, match="more than 1,000 values") as caught:
            parse(b'{"a":[' + many * 2_000)
        assert caught.value.kind is ProblemType.TOO_LARGE
