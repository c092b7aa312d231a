"""A check of the fleet that a test leads by hand."""

from __future__ import annotations

from producer.checking.check import Check


def check(led, *, repair=False, objects=False, **options):
    with Check(led.settings, repair=repair, **options) as checking:
        return list(checking.run(objects=objects))


def assert_found_and_mended(led, kind, about, **options):
    """Find one thing, find it again, mend it, and find nothing."""
    for _ in range(2):
        [finding] = check(led, **options)
        assert (finding.kind, finding.about) == (kind, about)
        assert finding.is_left
        assert finding.can_be_mended
    [finding] = check(led, repair=True, **options)
    assert (finding.kind, finding.mended, finding.is_left) == (kind, True, False)
    assert check(led, **options) == []
