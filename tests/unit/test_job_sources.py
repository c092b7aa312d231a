"""Lists of several owners are merged page by page, and nothing is lost between the pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.store.job_sources import merged

ENTRIES = st.lists(
    st.lists(st.integers(0, 99).map("{:02d}".format), unique=True, max_size=20),
    min_size=1,
    max_size=6,
).map(
    lambda lists: [[f"{entry}-{number}" for entry in found] for number, found in enumerate(lists)]
)


@given(ENTRIES, st.integers(1, 7), st.integers(1, 9))
def test_pages_of_merged_lists_are_the_whole_in_order(lists, of_each, count):
    read, after, is_last = [], "~", False
    while not is_last:
        rest = [sorted((e for e in found if e < after), reverse=True) for found in lists]
        page, is_last = merged([found[:of_each] for found in rest], of_each, count)
        assert page or is_last, "a page without an entry would be asked for again and again"
        read += page
        after = read[-1] if read else after
    assert read == sorted((entry for found in lists for entry in found), reverse=True)
