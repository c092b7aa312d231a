"""Filters in records and logs: people read them in the language in which they are written."""

from __future__ import annotations

import pytest

from producer.contract.filters.parser import parse_filter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "status:failed owner:shop",
        "created:>2030-01-01",
        "created:<=2026-11-28T18:30",
        "ended:2026-11-28 -batch:night",
        "-created:>2026-11-28",
        "all",
        "-created:2026-11-28 -ended:2026-11-28T18:30",
        "-ended:2026-11-28T18:30:05+02:00",
    ],
)
def test_a_readable_filter_means_what_was_asked(text):
    asked = parse_filter(text)
    again = parse_filter(asked.readable)
    assert again.readable == asked.readable
    assert again.is_all == asked.is_all
    for field in ("created", "ended"):
        assert again.span(field) == asked.span(field)
    assert {one for one in again.terms if one.is_not} == {one for one in asked.terms if one.is_not}
    assert "[" not in asked.readable


def test_times_are_told_by_their_bounds():
    told = parse_filter("created:>2030-01-01").readable
    assert told == "created:>=2030-01-02T00:00:00+00:00"
