"""Result lines made of a bucket's columns are those that its jobs would give, whatever the rows are like."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract.jobs import JobStatus
from producer.contract.result_lines import line_of
from producer.store import ended_lines
from producer.store.ended_buckets import TornBucket, pack_ended
from producer.store.ended_lines import EndedLines
from producer.store.ended_rows import EndedBucket
from tests.unit.test_ended_buckets import BATCH, id_of, record

EVERY = tuple(JobStatus)
TEXTS = st.text(max_size=9) | st.sampled_from(["\x01", "\x03", "f" * 64, "\x007\x00", "0" * 130])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ERROR = {"cause": "execution_error", "message": "no such colour", "graph_node": "2"}
ATTEMPT = {"number": 1, "node": "gpu-01", "charged": True, "error": ERROR}
ATTEMPT["ended_at"] = "2026-11-28T00:00:00.123456Z"


def bucket_of(records, made_again=None):
    return EndedBucket(BATCH, 0, pack_ended(records, id_of), made_again or {})


def assert_same_lines(bucket):
    lines = {row: json.loads(text) for row, text in EndedLines(bucket).of(EVERY)}
    slow = {job.row: line_of(job.row, job) for job in bucket.jobs().values()}
    assert lines == slow
    return lines


def test_rows_that_are_alike_are_read_as_jobs_once(monkeypatch):
    reads = []
    monkeypatch.setattr(
        ended_lines, "line_of", lambda row, job: reads.append(row) or line_of(row, job)
    )
    again = record(40, attempt="2", charged="1", **{"attempt:1": json.dumps(ATTEMPT)})
    failed = record(70, status="failed", cause="execution_error", error=json.dumps(ERROR))
    rows = {index: record(index) for index in range(100)} | {40: again, 70: failed}
    assert len(assert_same_lines(bucket_of(rows))) == 100
    assert reads == [1, 41, 71]


def test_rows_of_every_kind_give_the_lines_of_their_jobs():
    odd = {
        "6.text": "\x00 \x01 \x03 \ud800 ü 漢字",
        "1.x": None,
        "2.x": {},
        "3.x": [],
        "4.x": [None],
    }
    never_begun = record(9, status="cancelled", cause="cancelled")
    for name in ("queued_ms", "started_ms", "node", "prompt_id", "result", "at:preparing"):
        del never_begun[name]
    assert_same_lines(
        bucket_of(
            {
                1: record(1, params=odd),
                2: record(2, params={**odd, "1.x": "a", "4.x": [7]}),
                3: record(3, result={"artifacts": [], "values": {"a": [1, "b"]}, "notes": ["one"]}),
                4: record(4, result={"artifacts": [], "values": {"a": [2, "c"]}, "notes": ["two"]}),
                5: record(5, node=f"of {id_of(5)}"),
                6: record(6, progress=json.dumps({"value": 3, "max": 4.0})),
                7: record(7, progress=json.dumps({"value": 5.5, "max": 4.0})),
                9: never_begun,
                40: record(40, status="expired", cause="start_deadline"),
            }
        )
    )


def test_text_of_a_node_is_cleaned_in_each_line():
    def named(index, name):
        found = json.loads(record(index)["result"])
        found["artifacts"][0]["name"] = name
        return record(index, result=found)

    names = ["plain.png", "half \ud800.png", "x" * 5_000, "ü.png", "\x00\x01.png"]
    assert_same_lines(bucket_of({index: named(index, name) for index, name in enumerate(names)}))


@settings(max_examples=60)
@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=2, max_size=5))
def test_whatever_rows_set_and_return_stands_in_their_lines(rows):
    assert_same_lines(
        bucket_of(
            {
                index: record(index, params=values, result={"artifacts": [], "values": values})
                for index, values in enumerate(rows)
            }
        )
    )


@settings(max_examples=60)
@given(VALUES, VALUES)
def test_values_of_one_address_may_be_of_any_kind(one, other):
    rows = [{"6.text": one}, {"6.text": other}, {"6.text": one}]
    assert_same_lines(
        bucket_of({index: record(index, params=params) for index, params in enumerate(rows)})
    )


def test_rows_that_were_made_again_and_statuses_that_nobody_wants_are_left_out():
    rows = {
        index: record(index, status="failed" if index % 2 else "succeeded") for index in range(6)
    }
    lines = EndedLines(bucket_of(rows, {"2": "another"}))
    assert [row for row, _ in lines.of([JobStatus.FAILED])] == [4, 6]


def test_a_torn_bucket_is_told_as_one():
    with pytest.raises(TornBucket):
        EndedLines(EndedBucket(BATCH, 0, bucket_of({1: record(1)}).data[:-1], {}))
    nonsense = record(1, result={"artifacts": 7, "values": {}})
    with pytest.raises(TornBucket):
        dict(EndedLines(bucket_of({1: nonsense})).of(EVERY))
