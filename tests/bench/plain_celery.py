"""What most people build first: the graph in the message, a task that posts it. For comparison.

`PLAIN_BROKER_URL` is its Redis. With `PLAIN_VISIBILITY_TIMEOUT_S` it acknowledges late, as people do
who want no job lost. `PLAIN_NODE_URL` is the node of a worker that has one of its own.
"""

from __future__ import annotations

import os
import time

import requests
from celery import Celery

app = Celery("plain", broker=os.environ["PLAIN_BROKER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
if "PLAIN_VISIBILITY_TIMEOUT_S" in os.environ:
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={
            "visibility_timeout": float(os.environ["PLAIN_VISIBILITY_TIMEOUT_S"])
        },
    )


@app.task(name="plain.render")
def render(url: str, graph: dict, prompt_id: str) -> None:
    """Post a graph to its node."""
    requests.post(f"{url}/prompt", json={"prompt": graph, "prompt_id": prompt_id}, timeout=10)


@app.task(name="plain.render_here")
def render_here(graph: dict, prompt_id: str) -> None:
    """Post a graph to the worker's own node and wait until it has ended."""
    url = os.environ["PLAIN_NODE_URL"]
    render(url, graph, prompt_id)
    while not requests.get(f"{url}/history/{prompt_id}", timeout=10).json():
        time.sleep(0.2)  # a plain loop polls like this
