"""The page of guarantees says what the code and the tests say."""

from __future__ import annotations

from tests.guarantees import PAGE, page


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == page(), "run: python -m tests.guarantees"
