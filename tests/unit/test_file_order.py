"""The order in which test files begin."""

from __future__ import annotations

from tests.file_order import SECONDS, TESTS, weight


def test_every_file_with_a_weight_is_there():
    assert [name for name in SECONDS if not (TESTS / name).is_file()] == []


def test_the_longest_file_begins_first_and_one_without_a_weight_last():
    names = ["unit/test_gate.py", "acceptance/test_shutdown.py", "acceptance/test_node_faults.py"]
    ordered = sorted((TESTS / name for name in names), key=weight, reverse=True)
    assert [path.name for path in ordered] == [
        "test_node_faults.py",
        "test_shutdown.py",
        "test_gate.py",
    ]
