"""When the benchmark of progress holds."""

from __future__ import annotations

import pytest

from tests.bench.progress import Shown, case_of


def shown(*pairs):
    return [Shown(passed, ours, 0.0) for passed, ours in pairs]


@pytest.mark.parametrize(
    ("renders", "holds"),
    [
        ([[(0.1, 0.05), (0.9, 0.99)], [(0.5, 0.55)]], True),
        ([[(0.1, 0.1)], [(0.5, 0.61)]], False),
        ([[(0.1, 0.1)], [(0.5, 0.39)]], False),
        ([[(0.5, 0.52), (0.51, 0.51)]], False),
    ],
    ids=["within", "ahead", "behind", "backwards"],
)
def test_it_holds_within_ten_points_and_forwards(renders, holds):
    assert case_of(20, [shown(*pairs) for pairs in renders]).holds is holds


def test_the_worst_of_all_renders_counts():
    case = case_of(20, [shown((0.5, 0.53)), shown((0.5, 0.58)), shown((0.5, 0.5))])
    assert case.value == pytest.approx(8)
    assert case.name.startswith("KSampler of 20 steps, runs 2 to 4: 3.0/8.0/0.0 points")
    assert case.plain == pytest.approx(50)
