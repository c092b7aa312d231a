"""A backend in Django, in one file: a night of pictures by rows, and what has become of it.

    GRAPH=graph.json DJANGO_SETTINGS_MODULE=django_backend python -m django runserver

In a project of yours the views are views, and `fleet()` stands beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from producer.client import Producer
from producer.contract.errors import BatchNotFound, FleetError, InvalidJob

ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-the-example")
ROOT_URLCONF = __name__
MIDDLEWARE = [f"{__name__}.Refusals"]


@cache
def fleet() -> Producer:
    """Return the one client of this process; it is thread-safe."""
    return Producer.from_env()


class Refusals:
    """Middleware that answers what the library refuses."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, FleetError):
            return None
        statuses = {BatchNotFound: 404, InvalidJob: 422}
        status = next((n for kind, n in statuses.items() if isinstance(error, kind)), 503)
        rows = [vars(row) for row in getattr(error, "rows", ())]
        return JsonResponse({"error": error.message, "rows": rows}, status=status)


@require_POST
def submit(request: HttpRequest) -> HttpResponse:
    """Take `{"name": ..., "texts": [...]}`; all of it, or nothing."""
    order = json.loads(request.body)
    graph = json.loads(Path(os.environ["GRAPH"]).read_text())
    rows = ({"6.text": text, "3.seed": seed} for seed, text in enumerate(order["texts"]))
    # The same order again is the same batch, so a request that timed out may be sent again.
    batch = fleet().submit_many(graph, rows, name=order["name"], idempotency_key=order["name"])
    return JsonResponse({"id": batch.id, "rows": batch.rows}, status=202)


@require_GET
def show(_: HttpRequest, batch_id: str) -> HttpResponse:
    """Tell the counts, and a link to each picture that is there."""
    batch = fleet().batch(batch_id)
    jobs = fleet().batch_jobs(batch_id, statuses=["succeeded"])
    urls = {row: [fleet().url(artifact) for artifact in job.artifacts] for row, job in jobs}
    return JsonResponse({"done": batch.done, "counts": batch.counts.model_dump(), "urls": urls})


urlpatterns = [path("nights", submit), path("nights/<batch_id>", show)]
