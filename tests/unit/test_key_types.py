"""The types by which foreign keys are known are those of the table in keys.py."""

from __future__ import annotations

from producer.store import keys
from producer.store.key_types import INDEXES, TYPES

_WORDS = {
    "zset": "zset",
    "hash": "hash",
    "stream": "stream",
    "string": "string",
    "number": "string",
}


def table():
    rows = (line.split("|") for line in str(keys.__doc__).splitlines() if "| comfyfleet:" in line)
    return {row[1].strip(): row[2].replace(",", " ").replace(":", " ").split()[0] for row in rows}


def test_every_key_with_a_fixed_name_has_the_type_of_the_table():
    fixed = {key: _WORDS[word] for key, word in table().items() if "<" not in key}
    assert fixed == TYPES


def test_indexes_with_a_name_in_them_have_the_type_of_the_table():
    by_begin = {key.partition("<")[0]: word for key, word in table().items() if "<" in key}
    by_begin[f"{keys.JOBS}:"] = "zset"  # told as "the same"
    assert {begin: by_begin[begin] for begin in INDEXES} == INDEXES
