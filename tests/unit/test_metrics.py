"""What Prometheus is told of a snapshot, and whether the page says the same."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.core import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from producer.contract.nodes import Node, NodeState
from producer.contract.queue_lines import QueueLine, WaitReason
from producer.contract.queues import Tier
from producer.contract.totals import AttemptTotals, PoolTotals, StageTotals
from producer.http.metrics import Snapshot, families

PAGE = Path(__file__).parents[2] / "docs/operate/monitoring.md"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
TOTALS = PoolTotals(
    ended={"succeeded": {"": 7}, "failed": {"out_of_memory": 2}},
    attempts={"out_of_memory": AttemptTotals(charged=3, free=1)},
    rendered_s=12.5,
    stages={"rendering": StageTotals(seconds=70, within={1: 2, 4: 3, math.inf: 1})},
)


def line(reason, jobs, *, waits_s):
    return QueueLine(
        pool="default",
        tier=Tier.RUSH,
        reason=reason,
        jobs=jobs,
        oldest_at=NOW - timedelta(seconds=waits_s),
        nodes=1,
    )


def told():
    node = Node(name="gpu-01", pool="default", url="http://n", state=NodeState.READY, silent_s=1.5)
    queue = [
        line(WaitReason.CAPACITY, 3, waits_s=60),
        line(WaitReason.NOT_READY, 4, waits_s=90),
        line(WaitReason.HELD, 5, waits_s=900),
    ]
    found = Snapshot([node], queue, {"default": TOTALS}, 9, NOW)

    class Shown(Collector):
        def collect(self):
            return families(found)

    registry = CollectorRegistry()
    registry.register(Shown())
    # The parser checks what it reads: that buckets rise, that counters are called so.
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def value(name, **labels):
    [found] = [
        sample.value
        for family in told()
        for sample in family.samples
        if sample.name == f"comfyfleet_{name}" and labels.items() <= sample.labels.items()
    ]
    return found


def test_what_waits_is_counted_by_status_and_what_is_held_is_not_late():
    place = {"pool": "default", "tier": "rush"}
    assert value("queue_jobs", status="queued", **place) == 7
    assert value("queue_jobs", status="held", **place) == 5
    assert value("queue_oldest_seconds", **place) == 90


def test_a_node_is_in_one_state():
    states = {state: value("node_state", node="gpu-01", state=str(state)) for state in NodeState}
    assert states == {state: int(state is NodeState.READY) for state in NodeState}
    assert value("node_beat_age_seconds", node="gpu-01", pool="default") == 1.5


def test_totals_are_told_as_they_are():
    assert value("jobs_ended_total", pool="default", status="succeeded", cause="") == 7
    assert value("jobs_ended_total", status="failed", cause="out_of_memory") == 2
    attempts = [
        value("attempts_total", cause="out_of_memory", charged=counts_as)
        for counts_as in ("charged", "free", "uncounted")
    ]
    assert attempts == [3, 1, 0]
    assert value("render_seconds_total", pool="default") == 12.5


def test_a_bucket_has_what_the_smaller_ones_have():
    assert [value("stage_seconds_bucket", le=le) for le in ("1.0", "4.0", "+Inf")] == [2, 5, 6]
    assert value("stage_seconds_sum", pool="default", stage="rendering") == 70
    assert value("stage_seconds_count", pool="default", stage="rendering") == 6


def test_the_page_names_each_metric_with_its_labels():
    named = re.findall(r"^\| `(\w+)` \| (\w+) \| (?:([\w, ]+) )?\|", PAGE.read_text(), re.MULTILINE)
    shown = [
        (
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            sorted({name for one in family.samples for name in one.labels} - {"le"}),
        )
        for family in told()
    ]
    assert [
        (name, kind, sorted(labels.split(", ")) if labels else []) for name, kind, labels in named
    ] == shown
