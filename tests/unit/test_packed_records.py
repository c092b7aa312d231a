"""A packed record unpacks to what it was, whatever stands in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.ids import new_job_id
from producer.store.packed_records import KEPT_FIELDS, is_packed, packed, unpacked

JOB = new_job_id()
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.dictionaries(TEXT.filter(lambda name: not name.startswith("p")), TEXT),
    st.sampled_from(["succeeded", "failed"]),
)
def test_every_field_comes_back_but_those_of_the_claim(rest, status):
    record = {**rest, "status": status, "ended_ms": "17", "claim": "a token", "worker": "w"}
    small = packed(JOB, record)
    assert is_packed(small)
    del record["claim"], record["worker"]
    dropped = {"shun", "deaths", "last_call", "taken_ms", "left"}
    assert unpacked(JOB, small) == {k: v for k, v in record.items() if k not in dropped}


def test_what_scripts_look_at_stays_a_field_of_its_own():
    record = dict.fromkeys([*KEPT_FIELDS, "spec"], "x")
    assert set(packed(JOB, record)) == {*KEPT_FIELDS, "p0"}


@pytest.mark.parametrize("length", [0, 500, 20_000, 1_000_000])
def test_redis_keeps_it_as_a_list_unless_it_is_long(length):
    record = {"status": "failed", "spec": "".join(map(str, range(length)))}
    pieces = [piece for name, piece in packed(JOB, record).items() if name not in KEPT_FIELDS]
    assert len(pieces) <= 100
    assert len(pieces) == 1 or max(map(len, pieces)) == 64
    assert unpacked(JOB, packed(JOB, record)) == record


def test_a_record_that_is_not_packed_is_read_as_it_is():
    record = {"status": "running", "spec": "{}"}
    assert unpacked(JOB, record) is record


@pytest.mark.parametrize("torn", ["", "1", "1~~", "1abc", "1" + "0" * 63])
def test_a_torn_one_is_an_error_of_its_own(torn):
    with pytest.raises(ValueError, match="packed"):
        unpacked(JOB, {"status": "failed", "p0": torn})


def test_another_jobs_record_is_not_taken_for_ones_own():
    small = packed(JOB, {"status": "failed", "result": f"jobs/{JOB}/1/9-0.png"})
    other = new_job_id()
    assert unpacked(other, small)["result"] != f"jobs/{JOB}/1/9-0.png"
