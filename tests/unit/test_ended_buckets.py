"""Ended rows packed by the hundred: all that a record says comes back, and it takes little room."""

from __future__ import annotations

import json
import random
import zlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.ids import new_batch_id, prompt_id, row_id
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.store.ended_buckets import IN_COMMON, TornBucket, letters_of, pack_ended
from producer.store.ended_columns import unpack_ended
from producer.store.records import fields_of, job_of
from tests.chaos.checker.packed import packed_rows

BATCH = new_batch_id()
SEALED = 1_796_000_000_000
PHASES = ("preparing", "ahead", "rendering", "fetching", "storing")
TEXTS = st.text(max_size=20) | st.sampled_from(["\x01", "\x03", "f" * 64, "\ud800", "0" * 130])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def id_of(index):
    return row_id(BATCH, index + 1)


def record(index, *, status="succeeded", params=None, result=None, **fields):
    """Return a record as scripts leave it, of an attempt that took a few seconds."""
    chance = random.Random(index)
    submission = Submission(
        id=id_of(index),
        template="5" * 64,
        needs=Needs.of("default"),
        params=params or {"3.seed": chance.getrandbits(48), "6.text": f"a fox, {index} of them"},
        start_within=timedelta(days=30),
        run_within=timedelta(hours=6),
        tier=Tier.BATCH,
        batch=BATCH,
    )
    queued = SEALED + index // 50 * 60_000
    stamp = queued + chance.randrange(400_000)
    stamps = {}
    for phase in PHASES:
        stamps[f"at:{phase}"] = stamp
        stamp += chance.randrange(3_000)
    artifact = {
        "key": f"renders/jobs/{id_of(index)}/1/9-0.png",
        "graph_node": "9",
        "index": 0,
        "kind": "images",
        "type": "output",
        "name": f"comfyfleet-{id_of(index)}-1-9-out_00001_.png",
        "media_type": "image/png",
        "bytes": chance.randrange(1_200_000, 1_900_000),
        "sha256": chance.randbytes(32).hex(),
    }
    return {name: str(value) for name, value in fields_of(submission).items()} | {
        "status": status,
        "created_ms": str(SEALED),
        "start_by_ms": str(SEALED + 30 * 86_400_000),
        "queued_ms": str(queued),
        "started_ms": str(stamps["at:preparing"]),
        **{name: str(value) for name, value in stamps.items()},
        "ended_ms": str(stamp),
        "cause": "",
        "node": f"gpu-{chance.randrange(12):02}",
        "prompt_id": prompt_id(id_of(index), 1),
        "result": json.dumps(result or {"artifacts": [artifact], "values": {}}),
        **fields,
    }


def job(index, fields):
    return job_of(id_of(index), {**fields, "batch": BATCH})


def assert_comes_back(records):
    found = unpack_ended(pack_ended(records, id_of), id_of)
    assert {index: job(index, fields) for index, fields in found.items()} == {
        index: job(index, fields) for index, fields in records.items()
    }


def test_a_hundred_rows_come_back_and_take_less_than_100_bytes_each():
    records = {index: record(index) for index in range(100)}
    assert len(pack_ended(records, id_of)) < 100 * 100
    assert_comes_back(records)


def test_rows_that_ended_in_every_way_come_back():
    error = {"cause": "execution_error", "message": "no such colour", "graph_node": "2"}
    attempt = {"number": 1, "node": "gpu-01", "charged": True, "error": error}
    attempt["ended_at"] = "2026-11-28T00:00:00.123456Z"
    failed = {"error": json.dumps(error), "attempt:1": json.dumps(attempt), "charged": "1"}
    never_begun = record(9, status="cancelled", cause="cancelled")
    for name in ("queued_ms", "started_ms", "node", "prompt_id", "result", "at:preparing"):
        del never_begun[name]
    assert_comes_back(
        {
            2: record(2, status="failed", cause="execution_error", **failed),
            3: record(3, result={"artifacts": [], "values": {"a": None}, "notes": ["one", "two"]}),
            9: never_begun,
            40: record(40, status="expired", cause="start_deadline"),
            99: record(99),
        }
    )


@given(st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), min_size=1, max_size=4))
def test_whatever_rows_set_comes_back(rows):
    records = {
        index: record(index, params=params, result={"artifacts": [], "values": params})
        for index, params in enumerate(rows)
    }
    found = unpack_ended(pack_ended(records, id_of), id_of)
    for index, fields in records.items():
        assert json.loads(found[index]["spec"]) == json.loads(fields["spec"])
        assert json.loads(found[index]["result"]) == json.loads(fields["result"])


def test_a_row_comes_alone_if_it_alone_is_wanted():
    data = pack_ended({index: record(index) for index in range(20)}, id_of)
    [(index, fields)] = unpack_ended(data, id_of, wanted={7}).items()
    assert job(index, fields) == job(7, record(7))


def test_packing_again_with_more_rows_changes_none_of_those_before():
    message = "x" * 5_000
    error = json.dumps({"cause": "execution_error", "message": message})
    first = unpack_ended(pack_ended({1: record(1, status="failed", error=error)}, id_of), id_of)
    again = unpack_ended(pack_ended({**first, 2: record(2)}, id_of), id_of)
    assert job(1, again[1]) == job(1, first[1])
    assert len(job(1, first[1]).error.message) < 310


def test_large_values_are_left_to_the_manifest_which_a_note_says():
    large = record(1, result={"artifacts": [], "values": {"text": ["y" * 3_000]}})
    found = job(1, unpack_ended(pack_ended({1: large}, id_of), id_of)[1])
    assert found.values == {}
    assert found.notes == ["values of 3,014 characters are in the job's manifest only"]


def test_the_checker_of_the_chaos_ring_reads_what_is_packed_as_it_was():
    error = json.dumps({"cause": "x", "message": "y"})
    records = {index: record(index) for index in range(30)}
    records[50] = record(50, status="failed", error=error, **{"attempt:1": error})
    bucket = pack_ended(records, id_of)
    again = json.dumps({"51": "another"}).encode()
    found = dict(packed_rows(BATCH, {b"0": bucket, b"0:again": again}))
    assert found.keys() == {id_of(index) for index in records}
    assert found[id_of(50)]["retried_as"] == "another"
    for index, fields in records.items():
        told = found[id_of(index)]
        json_fields = {"spec", "result", "error", "attempt:1"} & fields.keys()
        assert {name: told[name] for name in fields.keys() - json_fields} == {
            name: fields[name] for name in fields.keys() - json_fields
        }
        for name in json_fields:
            assert json.loads(told[name]) == json.loads(fields[name])


def test_the_dictionary_is_that_with_which_rows_have_been_packed():
    """One that is changed needs another first character of what is packed with it."""
    assert zlib.crc32(IN_COMMON) == 0xFF10909F


def test_letters_say_who_is_there_and_how_it_ended():
    records = {0: record(0), 3: record(3, status="failed"), 4: record(4, status="cancelled")}
    assert letters_of(pack_ended(records, id_of)) == "s--fc"


@pytest.mark.parametrize(
    "tear",
    [
        lambda data: data[:-1],
        lambda data: data[:-32],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[: len(data) // 2],
        lambda data: data + bytes(32),
        lambda data: data.replace(b"ss", b"s-", 1),
        lambda data: b"2" + data[1:],
        lambda data: data[:4] + b"\x00" * (len(data) - 4),
        lambda _: b"",
        lambda _: b"1ss\n",
    ],
)
def test_what_is_torn_is_told_and_never_guessed(tear):
    data = pack_ended({0: record(0), 1: record(1)}, id_of)
    with pytest.raises(TornBucket):
        unpack_ended(tear(data), id_of)
