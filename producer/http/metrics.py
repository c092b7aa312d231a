"""What the fleet has done and does, as Prometheus reads it: from the records at each scrape, so that all processes say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from producer.contract.figures import FleetFigures
from producer.http.access import Fleet, Operator
from producer.http.metric_families import families
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


class _Shown(Collector):
    def __init__(self, found: FleetFigures, streams: int) -> None:
        self._found = found
        self._streams = streams

    def collect(self) -> Iterable[Metric]:
        """Give all metrics."""
        return families(self._found, streams=self._streams)


@router.get(
    "/metrics",
    response_class=Response,
    responses=_ANSWER | answers(403, 503),
)
async def metrics(
    request: Request, fleet: Fleet, _: Operator, accept: Annotated[str, Header()] = ""
) -> Response:
    """Answer what the fleet does and has done. The key needs the scope `operate`."""
    found = await fleet.figures()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(found, len(request.app.state.streams)))
    encode, kind = choose_encoder(accept)
    return Response(encode(registry), headers={"Content-Type": kind})
