"""What Prometheus is told of a snapshot, and whether the page says the same."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from prometheus_client.core import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from producer.contract.figures import (
    ActionFigures,
    FleetFigures,
    RedisMemory,
    WaitingJobs,
    WebhookFigures,
)
from producer.contract.nodes import LEFT, Node, NodeState, NodeWork
from producer.contract.operations import Desired, DesiredState
from producer.contract.queues import Tier
from producer.contract.totals import AttemptTotals, Durations, PoolTotals, StageTotals
from producer.http.metric_families import families

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/operate/monitoring.md"
RUNBOOK = ROOT / "docs/operate/alerts.md"
ALERTS = ROOT / "infra/prometheus/alerts.yaml"
ALERT_TESTS = ROOT / "tests/release/alerts_test.yaml"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
TOTALS = PoolTotals(
    ended={"succeeded": {"": 7}, "failed": {"out_of_memory": 2}},
    attempts={"out_of_memory": AttemptTotals(charged=3, free=1)},
    rendered_s=12.5,
    stages={"rendering": StageTotals(seconds=70, within={1: 2, 4: 3, math.inf: 1})},
    recovered={"resent": 2, "of a newer version": 1},
)
WORK = NodeWork(rendered_s=20, gaps=Durations(seconds=7.02, within={0.01: 5, 10: 1}))
WAITING = [
    WaitingJobs(pool="default", tier=Tier.RUSH, is_held=False, jobs=3, oldest_at=NOW - timedelta(seconds=60)),
    WaitingJobs(pool="default", tier=Tier.RUSH, is_held=False, jobs=4, oldest_at=NOW - timedelta(seconds=90)),
    WaitingJobs(pool="default", tier=Tier.RUSH, is_held=True, jobs=5),
    WaitingJobs(pool="", tier=None, is_held=True, jobs=2),
]  # fmt: skip
FIGURES = FleetFigures(
    at=NOW,
    nodes=[],
    waiting=WAITING,
    totals={"default": TOTALS},
    memory=RedisMemory(used=90, limit=100),
    webhooks=WebhookFigures(undelivered=3, oldest_due_at=NOW - timedelta(seconds=4), failing=1),
    actions=ActionFigures(open=2, oldest_at=NOW - timedelta(hours=1), oldest_turn_at=NOW),
)


def node(**fields):
    given = {"name": "gpu-01", "pool": "default", "url": "http://n", "state": NodeState.READY}
    return Node(**{**given, **fields})


def told(**changed):
    nodes = [node(silent_s=1.5, work=WORK)]
    found = FIGURES.model_copy(update={"nodes": nodes, **changed})

    class Shown(Collector):
        def collect(self):
            return families(found, streams=9)

    registry = CollectorRegistry()
    registry.register(Shown())
    # The parser checks what it reads: that buckets rise, that counters are called so.
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def values(name, *, found=None, **labels):
    return [
        sample.value
        for family in (told() if found is None else found)
        for sample in family.samples
        if sample.name == f"comfyfleet_{name}" and labels.items() <= sample.labels.items()
    ]


def value(name, **labels):
    [found] = values(name, **labels)
    return found


def test_what_waits_is_counted_by_status_and_what_is_held_is_not_late():
    place = {"pool": "default", "tier": "rush"}
    assert value("queue_jobs", status="queued", **place) == 7
    assert value("queue_jobs", status="held", **place) == 5
    assert value("queue_jobs", status="held", pool="", tier="") == 2
    assert values("queue_oldest_seconds") == [90]


def test_a_node_is_in_one_state():
    states = {state: value("node_state", node="gpu-01", state=str(state)) for state in NodeState}
    assert states == {state: int(state is NodeState.READY) for state in NodeState}
    assert value("node_beat_age_seconds", node="gpu-01", pool="default") == 1.5


def wish(state):
    return Desired(state=state, actor="kim", since=NOW)


def test_a_node_is_wanted_unless_somebody_has_it_resting_or_stopped_its_worker():
    silent = node(state=NodeState.OFFLINE, reason="silent for 20 s")
    for one, is_wanted in (
        (node(), True),
        (silent, True),
        (node(state=NodeState.QUARANTINED, reason="3 faults"), True),
        (node(state=NodeState.OFFLINE, reason=LEFT), False),
        (node(desired=wish(DesiredState.DRAINED)), False),
        (node(quarantine=wish(DesiredState.QUARANTINED)), False),
        (node(pool_desired=wish(DesiredState.PAUSED)), False),
    ):
        assert values("node_wanted", found=told(nodes=[one])) == [is_wanted], one


def test_a_node_tells_what_it_renders_and_its_gaps_if_its_worker_does():
    place = {"node": "gpu-01", "pool": "default"}
    assert value("node_render_seconds_total", **place) == 20
    assert [value("node_gap_seconds_bucket", le=le, **place) for le in ("0.01", "5.0", "10.0")] == [
        *(5, 5, 6)
    ]
    assert value("node_gap_seconds_sum", **place) == 7.02
    assert values("node_gap_seconds_count", found=told(nodes=[node()])) == []


def test_recoveries_of_each_kind_are_told_from_the_first_on_and_those_of_newer_versions():
    kinds = {
        kind: value("recoveries_total", pool="default", kind=kind)
        for kind in ("taken_back", "requeued", "resent", "of a newer version")
    }
    assert list(kinds.values()) == [0, 0, 2, 1]


def test_redis_webhooks_and_actions_are_told():
    assert [value(f"redis_memory{part}_bytes") for part in ("", "_limit")] == [90, 100]
    assert values("redis_memory_limit_bytes", found=told(memory=RedisMemory(used=1))) == []
    assert value("webhook_undelivered") == 3
    assert value("webhook_oldest_due_seconds") == 4
    assert value("webhooks_failing") == 1
    assert [
        value(f"actions_{what}") for what in ("open", "oldest_seconds", "oldest_turn_seconds")
    ] == [*(2, 3600, 0)]


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


def alerts():
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return group["rules"]


def test_each_alert_asks_for_metrics_that_are_told_by_labels_that_they_have():
    shown = {sample.name: set(sample.labels) for one in told() for sample in one.samples}
    for alert in alerts():
        asked = re.findall(r"(comfyfleet_\w+)(?:{([^}]*)})?", alert["expr"])
        assert asked or alert["alert"] == "MetricsMissing"
        for name, labels in asked:
            assert set(re.findall(r'(\w+)!?="', labels)) <= shown[name], alert["alert"]
        grouped = {
            word
            for found in re.findall(r"(?:by|on) \(([^)]*)\)", alert["expr"])
            for word in found.split(", ")
        }
        assert grouped <= {"instance", *(label for name, _ in asked for label in shown[name])}


def test_the_runbook_has_a_heading_for_each_alert_and_a_test_makes_it_fire():
    names = [alert["alert"] for alert in alerts()]
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == names
    for alert in alerts():
        page = f"docs/operate/alerts.md#{alert['alert'].lower()}"
        assert alert["annotations"]["runbook_url"].endswith(page)
        severity = f"## {alert['alert']}\n\n*{alert['labels']['severity']}.*"
        assert severity in RUNBOOK.read_text()
    cases = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    fired = {
        one["alertname"] for case in cases for one in case["alert_rule_test"] if one["exp_alerts"]
    }
    assert fired == set(names)
