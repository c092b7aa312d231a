"""A backend that hands in a job and a batch; it prints what it came to, as JSON."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from celery import current_app, shared_task

import celery_config
import infra
import producer
import worker
from producer.celery_app import celery_app
from producer.client import Producer

GRAPH, SOON = Path("graph.json").read_text(), timedelta(seconds=60)


@shared_task
def restock() -> None:
    """Stand for what the backend has its own Celery for."""


with Producer.from_env() as fleet:
    job = fleet.wait(fleet.submit(GRAPH, params={"2.nonce": 1}).id, timeout=SOON)
    batch = fleet.submit_many(GRAPH, [{"2.nonce": 2}, {"2.nonce": 3}])
    counts = fleet.wait_batch(batch.id, timeout=SOON).counts
    json.dump(
        {
            "job": job.status,
            "artifacts": len(job.artifacts),
            "batch": counts.succeeded,
            "library": producer.__file__,
            "own": [celery_config.__file__, infra.__file__, worker.__file__],
            "app_of_ours": celery_app().main,
            "current_app": current_app.main,
            "app_of_its_tasks": restock.app.main,
        },
        sys.stdout,
    )
