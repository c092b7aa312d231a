"""What the fleet has done and does, as Prometheus reads it: from the records at each scrape, so that all processes say the same.

Labels are pools, tiers, nodes, statuses, causes and stages: what there are few of, and never a job, a batch or a text.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from starlette.responses import Response

from producer.contract.nodes import Node, NodeState
from producer.contract.queue_lines import QueueLine, WaitReason
from producer.contract.totals import PoolTotals, StageTotals
from producer.http.access import Fleet, Operator
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute)

_TEXT: Final[dict[str, Any]] = {"schema": {"type": "string"}}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Metrics in Prometheus' text format, or OpenMetrics",
        "content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT},
    }
}
_COUNTS_AS: Final = ("charged", "free", "uncounted")


@dataclass(frozen=True)
class Snapshot:
    """What was read for one scrape.

    Args:
        streams: open in this process; the only figure that is not the whole fleet's.
    """

    nodes: Sequence[Node]
    queue: Sequence[QueueLine]
    totals: Mapping[str, PoolTotals]
    streams: int
    at: datetime


class _Shown(Collector):
    def __init__(self, found: Snapshot) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        return families(self._found)


@router.get(
    "/metrics",
    response_class=Response,
    responses=_ANSWER | answers(403, 503),
)
async def metrics(
    request: Request, fleet: Fleet, _: Operator, accept: Annotated[str, Header()] = ""
) -> Response:
    """Answer what the fleet does and has done. The key needs the scope `operate`."""
    nodes, queue, totals = await asyncio.gather(fleet.nodes(), fleet.queue(), fleet.totals())
    found = Snapshot(nodes, queue, totals, len(request.app.state.streams), datetime.now(UTC))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(found))
    encode, kind = choose_encoder(accept)
    return Response(encode(registry), headers={"Content-Type": kind})


def families(found: Snapshot) -> Iterator[Metric]:
    """Yield each metric with its samples."""
    yield from _of_queue(found)
    yield from _of_nodes(found.nodes)
    yield from _of_totals(found.totals)
    yield GaugeMetricFamily(
        "comfyfleet_sse_clients", "Streams that this process has open.", value=found.streams
    )
    build = GaugeMetricFamily("comfyfleet_build_info", "1, of this version.", labels=["version"])
    build.add_metric([version("comfyfleet")], 1)
    yield build


def _of_queue(found: Snapshot) -> Iterator[Metric]:
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
    for line in found.queue:
        status = "held" if line.reason == WaitReason.HELD else "queued"
        group = (line.pool, str(line.tier), status)
        counts[group] = counts.get(group, 0) + line.jobs
        if status == "queued":
            since[group[:2]] = min(since.get(group[:2], line.oldest_at), line.oldest_at)
    for group, count in sorted(counts.items()):
        jobs.add_metric(group, count)
    for place, at in sorted(since.items()):
        oldest.add_metric(place, max(0.0, (found.at - at).total_seconds()))
    yield jobs
    yield oldest


def _of_nodes(nodes: Sequence[Node]) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "comfyfleet_node_state",
        "1 of the state that a node is in, 0 of the others.",
        labels=["node", "pool", "state"],
    )
    ages = GaugeMetricFamily(
        "comfyfleet_node_beat_age_seconds", "Since a node's last beat.", labels=["node", "pool"]
    )
    for node in nodes:
        for state in NodeState:
            states.add_metric([node.name, node.pool, str(state)], int(node.state is state))
        ages.add_metric([node.name, node.pool], node.silent_s)
    yield states
    yield ages


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
    for pool, found in sorted(totals.items()):
        for status, causes in found.ended.items():
            for cause, count in causes.items():
                ended.add_metric([pool, str(status), cause], count)
        for cause, attempt in found.attempts.items():
            for counts_as in _COUNTS_AS:
                attempts.add_metric([pool, cause, counts_as], getattr(attempt, counts_as))
        rendered.add_metric([pool], found.rendered_s)
        for stage, took in found.stages.items():
            stages.add_metric([pool, stage], _buckets(took), took.seconds)
    yield from (ended, attempts, rendered, stages)


def _buckets(took: StageTotals) -> list[tuple[str, float]]:
    """Return buckets as Prometheus has them: each with all that a smaller bound has."""
    bounds = sorted({*took.within, math.inf})
    counts = [sum(took.within.get(one, 0) for one in bounds if one <= bound) for bound in bounds]
    return list(zip(map(floatToGoString, bounds), map(float, counts), strict=True))
