"""What the documentation takes from the code is what the code says."""

from __future__ import annotations

import inspect
import re

import pytest

from producer.contract.config.settings import Settings
from producer.storage import object_keys
from producer.store import keys
from tests.docs import key_tables, settings_table
from tests.docs.written import DOCS, as_written, names, replaced


@pytest.mark.parametrize("page", names())
def test_a_page_is_what_the_code_says(page):
    assert (DOCS / page).read_text() == as_written(page), "run: python -m tests.docs"


def test_every_setting_says_what_it_means():
    rows = re.findall(
        r"^\| `COMFYFLEET_(\w+)` \| \S.* \| \S.* \|$", settings_table.table(), re.MULTILINE
    )
    assert rows == [name.upper() for name in Settings.model_fields]


def test_every_redis_key_that_the_builders_make_is_in_the_table():
    told = [re.sub(r"<[^>]*>", "*", key) for key in re.findall(r"`([^`]+)`", key_tables.redis())]
    built = {value for name, value in vars(keys).items() if name.isupper() and is_key(value)}
    built |= {built_key(builder) for builder in vars(keys).values() if is_builder(builder)}
    prefixes = {key for key in built if key.endswith(":")}
    assert {key for key in built - prefixes if not is_told(key, told)} == {keys.CALLS}
    assert all(any(key.startswith(prefix) for key in told) for prefix in prefixes)


def is_key(value: object) -> bool:
    return isinstance(value, str) and value.startswith("comfyfleet:")


def is_builder(value: object) -> bool:
    return inspect.isfunction(value) and value.__module__ == keys.__name__


def built_key(builder) -> str:
    arguments = [
        1 if p.annotation == "int" else "x" for p in inspect.signature(builder).parameters.values()
    ]
    key = builder(*arguments)
    return key if is_key(key) else "comfyfleet:nodes"  # kombu's own lists are not ours to describe


def is_told(key: str, told: list[str]) -> bool:
    patterns = (re.escape(row).replace(r"\*", "[^:]+") for row in told)
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def test_every_key_of_the_bucket_is_in_the_table():
    told = re.findall(r"`\{prefix\}/(\w+)/", key_tables.s3())
    source = inspect.getsource(object_keys)
    assert set(re.findall(r'_under\(prefix, f?"(\w+)/', source)) == set(told)


def test_a_page_without_the_marks_of_its_part_is_an_error():
    with pytest.raises(ValueError, match="no marks of 'settings'"):
        replaced("text", "settings", "new")
