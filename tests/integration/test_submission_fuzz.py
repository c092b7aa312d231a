"""Odd submissions, a few of them; `python -m tests.fuzz submissions` hands in thousands."""

from __future__ import annotations

from producer.client import Producer
from producer.contract.config.settings import Settings
from tests.fuzz.node import living_node
from tests.fuzz.submissions import SubmissionFuzz

CASES = 200


def test_odd_submissions_are_refused_in_a_line_or_can_be_posted(
    redis_client, redis_server, s3_settings, tmp_path
):
    settings = Settings(redis_url=redis_server.url, lease_s=86_400, **s3_settings)
    with Producer(settings) as fleet:
        catalog = living_node(fleet, tmp_path / "node")
        fuzz = SubmissionFuzz(fleet, redis_client, catalog, tmp_path)
        report = fuzz.run(cases=CASES, seed=1)
    assert not report.broken, "\n".join(report.broken)
    assert report.accepted >= CASES // 6
    assert report.refused.total() >= CASES // 6
