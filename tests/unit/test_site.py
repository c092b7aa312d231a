"""The site loads nothing from another host."""

from __future__ import annotations

import pytest

from tests.docs.self_contained import loaded_from_elsewhere


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example.com/a.js"></script>',
        "<script async src=//cdn.example.com/a.js>",
        '<link href="https://fonts.example.com/css" rel="stylesheet">',
        '<img alt="" src="https://example.com/badge.svg">',
        "<style>@import url('https://example.com/a.css')</style>",
        '<pre class="mermaid">',
    ],
)
def test_what_a_browser_would_load_from_elsewhere_is_seen(page):
    assert loaded_from_elsewhere(page)


def test_links_to_follow_and_files_of_the_site_are_fine():
    page = '<a href="https://example.com"> <img src="a.svg"> <link rel="icon" href="i.svg">'
    assert not loaded_from_elsewhere(page + '<link rel="canonical" href="https://example.com">')
