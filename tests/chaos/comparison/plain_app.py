"""What a careful person builds first, for comparison: a Celery task with every advised setting.

Late acks, rejection when a worker is lost, a visibility timeout of a minute, retries with
back-off. It posts the graph, polls the history, fetches the outputs, stores them and says so.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

import boto3
import redis
import requests
from botocore.config import Config
from celery import Celery

QUEUE = "comfyfleet.pool.plain.any"
COMMITS = "plain:commits"
ENDS = "plain:ends"

app = Celery("plain", broker=os.environ["COMFYFLEET_REDIS_URL"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 60, "socket_timeout": 10},
)


@app.task(
    name="plain.render", bind=True, autoretry_for=(Exception,), retry_backoff=1, max_retries=5
)
def render(self: Any, job: str, graph: dict[str, Any], params: dict[str, Any]) -> None:
    """Render one job on this worker's node."""
    for address, value in params.items():
        graph_node, _, name = address.partition(".")
        graph[graph_node]["inputs"][name] = value
    try:
        outputs = _rendered(job, graph)
    except Exception:
        if self.request.retries >= self.max_retries:
            _redis().hset(ENDS, job, "failed")
        raise
    for number, output in enumerate(outputs):
        answer = requests.get(f"{_node()}/view", params=output, timeout=60)
        answer.raise_for_status()
        key = f"plain/{job}/{number}.png"
        _s3().put_object(Bucket=os.environ["COMFYFLEET_S3_BUCKET"], Key=key, Body=answer.content)
    with _redis() as client:
        client.hincrby(COMMITS, job, 1)
        client.hset(ENDS, job, "succeeded")


def _rendered(job: str, graph: dict[str, Any]) -> list[dict[str, str]]:
    prompt_id = str(uuid.uuid4())
    body = {"prompt": graph, "prompt_id": prompt_id, "extra_data": {"job_id": job}}
    requests.post(f"{_node()}/prompt", json=body, timeout=60).raise_for_status()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        entry = requests.get(f"{_node()}/history/{prompt_id}", timeout=60).json().get(prompt_id)
        if entry and entry["status"]["status_str"] != "success":
            raise RuntimeError("the prompt failed")
        if entry:
            shown = entry["outputs"].values()
            return [file for one in shown for files in one.values() for file in files]
        time.sleep(0.1)  # a plain task polls like this, and here has a deadline
    raise TimeoutError("the prompt did not end")


def _node() -> str:
    return os.environ["CHAOS_NODE"]


def _redis() -> redis.Redis:
    return redis.Redis.from_url(os.environ["COMFYFLEET_REDIS_URL"], socket_timeout=10)


def _s3() -> Any:
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["COMFYFLEET_S3_CREDENTIALS_FILE"]
    return boto3.Session().client(
        "s3",
        endpoint_url=os.environ["COMFYFLEET_S3_ENDPOINT_URL"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
