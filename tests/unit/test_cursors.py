"""A cursor that somebody built by hand is refused as a torn one is: its sum is no secret."""

from __future__ import annotations

import json

import pytest

from producer.contract.errors import InvalidQuery
from producer.listing import cursors
from producer.listing.cursors import Cursor, read_cursor

BATCH = "01a202b8-2e5f-7533-81db-221400000000"
FIELDS = {"query": "q", "plan": "jobs", "source": 0, "after": "", "began_ms": 0, "batches": [BATCH]}


def built(content: bytes) -> str:
    return f"{cursors._encoded(content)}.{cursors._sum(content)}"


def test_a_cursor_is_read_as_it_was_given():
    given = Cursor("q", "jobs", 0, "", 0, (BATCH,))
    assert read_cursor(given.text, query="q") == given
    assert read_cursor(built(json.dumps([1, FIELDS]).encode()), query="q") == given


@pytest.mark.parametrize(
    "content",
    [b"5", b"[]", b"[1, 2, 3]", b"[1, {}]", b"[1, null]", b"\xff", b"[" * 5_000]
    + [
        json.dumps([1, {**FIELDS, name: value}]).encode()
        for name, value in [
            ("plan", 5),
            ("source", -1),
            ("began_ms", 10**300),
            ("batches", None),
            ("batches", [f"{BATCH}:ended"]),
            ("batches", ["*"]),
            ("batches", [BATCH + "\n"]),
        ]
    ],
)
def test_one_that_was_built_by_hand_is_refused(content):
    with pytest.raises(InvalidQuery, match="cursor is torn"):
        read_cursor(built(content), query="q")
