from __future__ import annotations

import pytest

from producer.contract.number_words import how_many


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "job", "0 jobs"),
        (1, "job", "1 job"),
        (2, "flaw", "2 flaws"),
        (12_345, "row", "12,345 rows"),
        (1, "batch", "1 batch"),
        (3, "batch", "3 batches"),
    ],
)
def test_a_noun_agrees_with_its_number(number, noun, said):
    assert how_many(number, noun) == said
