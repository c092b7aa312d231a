"""Metrics of the fleet: each with its name, its labels and its samples.

Labels are pools, tiers, nodes, statuses, causes and stages: what there are few of, and never a job, a batch or a text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from producer.contract.figures import FleetFigures, RedisMemory, WaitingJobs
from producer.contract.nodes import GAP_BOUNDS, Node, NodeState
from producer.contract.totals import STAGE_BOUNDS, Durations, PoolTotals, Recovery

_COUNTS_AS: Final = ("charged", "free", "uncounted")


def families(found: FleetFigures, *, streams: int) -> Iterator[Metric]:
    """Yield each metric with its samples.

    Args:
        streams: open in this process; the only figure that is not the whole fleet's.
    """
    yield from _of_queue(found.waiting, found.at)
    yield from _of_nodes(found.nodes)
    yield from _of_work(found.nodes)
    yield from _of_totals(found.totals)
    yield from _of_memory(found.memory)
    yield from _of_webhooks(found)
    yield from _of_actions(found)
    yield _gauge("sse_clients", "Streams that this process has open.", streams)
    build = GaugeMetricFamily("comfyfleet_build_info", "1, of this version.", labels=["version"])
    build.add_metric([version("comfyfleet")], 1)
    yield build


def _of_queue(waiting: Sequence[WaitingJobs], now: datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(
        "comfyfleet_queue_jobs", "Jobs that wait.", labels=["pool", "tier", "status"]
    )
    oldest = GaugeMetricFamily(
        "comfyfleet_queue_oldest_seconds",
        "How long the job waits that waits longest; held ones do not count.",
        labels=["pool", "tier"],
    )
    counts: dict[tuple[str, str, str], int] = {}
    since: dict[tuple[str, str], datetime] = {}
    for line in waiting:
        place = (line.pool, line.tier or "")
        group = (*place, "held" if line.is_held else "queued")
        counts[group] = counts.get(group, 0) + line.jobs
        if line.oldest_at is not None:
            since[place] = min(since.get(place, line.oldest_at), line.oldest_at)
    for group, count in sorted(counts.items()):
        jobs.add_metric(group, count)
    for place, at in sorted(since.items()):
        oldest.add_metric(place, _age_s(at, now))
    yield jobs
    yield oldest


def _of_nodes(nodes: Sequence[Node]) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "comfyfleet_node_state",
        "1 of the state that a node is in, 0 of the others.",
        labels=["node", "pool", "state"],
    )
    wanted = GaugeMetricFamily(
        "comfyfleet_node_wanted",
        "1 of a node that should take jobs, 0 of one that a person has resting, or whose worker was stopped.",
        labels=["node", "pool"],
    )
    ages = GaugeMetricFamily(
        "comfyfleet_node_beat_age_seconds", "Since a node's last beat.", labels=["node", "pool"]
    )
    for node in nodes:
        for state in NodeState:
            states.add_metric([node.name, node.pool, state], int(node.state is state))
        wanted.add_metric([node.name, node.pool], int(node.is_wanted))
        ages.add_metric([node.name, node.pool], node.silent_s)
    yield from (states, wanted, ages)


def _of_work(nodes: Sequence[Node]) -> Iterator[Metric]:
    rendered = CounterMetricFamily(
        "comfyfleet_node_render_seconds",
        "For how long a node had prompts of the fleet since its worker began.",
        labels=["node", "pool"],
    )
    gaps = HistogramMetricFamily(
        "comfyfleet_node_gap_seconds",
        "How long a node waited between two renders while a job waited.",
        labels=["node", "pool"],
    )
    for node in nodes:
        if node.work is not None:
            rendered.add_metric([node.name, node.pool], node.work.rendered_s)
            gap = node.work.gaps
            gaps.add_metric([node.name, node.pool], _buckets(gap, GAP_BOUNDS), gap.seconds)
    yield from (rendered, gaps)


def _of_totals(totals: Mapping[str, PoolTotals]) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "comfyfleet_jobs_ended",
        "Jobs that have ended; those that succeeded have no cause.",
        labels=["pool", "status", "cause"],
    )
    attempts = CounterMetricFamily(
        "comfyfleet_attempts",
        "Attempts that ended without success, by what they count as.",
        labels=["pool", "cause", "charged"],
    )
    rendered = CounterMetricFamily(
        "comfyfleet_render_seconds", "What nodes have rendered, in vain or not.", labels=["pool"]
    )
    stages = HistogramMetricFamily(
        "comfyfleet_stage_seconds",
        "How long each stage of the jobs took that succeeded.",
        labels=["pool", "stage"],
    )
    recovered = CounterMetricFamily(
        "comfyfleet_recoveries",
        "Jobs that went on after a worker, a lease or a message was lost.",
        labels=["pool", "kind"],
    )
    for pool, found in sorted(totals.items()):
        for status, causes in found.ended.items():
            for cause, count in causes.items():
                ended.add_metric([pool, status, cause], count)
        for cause, attempt in found.attempts.items():
            for counts_as in _COUNTS_AS:
                attempts.add_metric([pool, cause, counts_as], getattr(attempt, counts_as))
        rendered.add_metric([pool], found.rendered_s)
        for stage, took in found.stages.items():
            stages.add_metric([pool, stage], _buckets(took, STAGE_BOUNDS), took.seconds)
        for kind in sorted({*map(str, Recovery), *found.recovered}):
            recovered.add_metric([pool, kind], found.recovered.get(kind, 0))
    yield from (ended, attempts, rendered, stages, recovered)


def _of_memory(memory: RedisMemory) -> Iterator[Metric]:
    yield _gauge("redis_memory_bytes", "What Redis has in memory.", memory.used)
    yield _gauge("redis_memory_limit_bytes", "Its maxmemory, if it has one.", memory.limit)


def _of_webhooks(found: FleetFigures) -> Iterator[Metric]:
    webhooks = found.webhooks
    yield _gauge(
        "webhook_undelivered", "Messages to webhooks that wait, or are tried.", webhooks.undelivered
    )
    yield _gauge(
        "webhook_oldest_due_seconds",
        "How long the message is due that is due longest; to receivers that fail none counts.",
        _age_s(webhooks.oldest_due_at, found.at),
    )
    yield _gauge("webhooks_failing", "Webhooks whose last message was not taken.", webhooks.failing)


def _of_actions(found: FleetFigures) -> Iterator[Metric]:
    actions = found.actions
    yield _gauge("actions_open", "Actions on many jobs that have not ended.", actions.open)
    yield _gauge(
        "actions_oldest_seconds",
        "Since the first of them was asked for.",
        _age_s(actions.oldest_at, found.at),
    )
    yield _gauge(
        "actions_oldest_turn_seconds",
        "Since the last turn of the one that waits longest for its next.",
        _age_s(actions.oldest_turn_at, found.at),
    )


def _gauge(name: str, what: str, value: float | None) -> Metric:
    """Return a metric without labels; without a sample if there is no value."""
    found = GaugeMetricFamily(f"comfyfleet_{name}", what)
    if value is not None:
        found.add_metric([], value)
    return found


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _buckets(took: Durations, bounds: Iterable[float]) -> list[tuple[str, float]]:
    """Return buckets as Prometheus has them: each with all that a smaller bound has.

    All bounds are told, also those that nothing was within: a bucket that comes later would be a jump.
    """
    told = sorted({*bounds, *took.within, math.inf})
    counts = [sum(took.within.get(one, 0) for one in told if one <= bound) for bound in told]
    return list(zip(map(floatToGoString, told), map(float, counts), strict=True))
