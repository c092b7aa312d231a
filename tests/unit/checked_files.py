"""Whole files to check and to damage, and what a check says of them."""

from __future__ import annotations

from tests import media_samples as samples
from worker.media.file_check import Damaged, FileCheck

SAMPLES = samples.all_samples()
PNG = SAMPLES["RGB.png"].content


def check(name, content, *, declared=None, cuts=()):
    """Feed *content* in the pieces that *cuts* make of it."""
    file = FileCheck(name, declared)
    ends = sorted({min(cut, len(content)) for cut in cuts} | {len(content)})
    for start, end in zip([0, *ends], ends, strict=False):
        file.feed(content[start:end])
    return file.finish()


def is_damaged(name, content):
    try:
        check(name, content)
    except Damaged:
        return True
    return False
