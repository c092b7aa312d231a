"""The words of a command line become the filter that a person meant, though a shell took the quotes away."""

from __future__ import annotations

import pytest

from producer.cli.filter_words import filter_of
from producer.contract.errors import InvalidQuery
from producer.contract.filters.parser import parse_filter

OPTIONS = ("--limit", "--cursor", "--json")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["batch:my night", "-status:failed"], [("my night",), ("failed",)]),
        (["batch:my night: 2"], [("my night: 2",)]),
        (["owner:"], [("",)]),
        (["status:failed pool:video"], [("failed",), ("video",)]),
        (['batch:"my night" pool:video'], [("my night",), ("video",)]),
        (["batch:a\\b c"], [("a\\b c",)]),
        (["status:failed,cancelled"], [("failed", "cancelled")]),
        (None, []),
    ],
)
def test_each_word_is_the_term_that_was_typed(words, values):
    terms = parse_filter(filter_of(words, options=OPTIONS)).terms
    assert [term.values for term in terms] == values


@pytest.mark.parametrize(
    ("word", "told"),
    [("--limt", "did you mean --limit"), ("--jsn", "did you mean --json"), ("--x", "expected one")],
)
def test_an_option_that_there_is_not_is_no_term(word, told):
    with pytest.raises(InvalidQuery, match=told):
        filter_of(["status:failed", word], options=OPTIONS)


def test_what_is_wrong_with_a_word_is_still_told_with_its_place():
    with pytest.raises(InvalidQuery, match="character 11: 'night' names no field"):
        parse_filter(filter_of(["tier:rush", "night"], options=OPTIONS))
