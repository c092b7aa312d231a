"""What most people build first: the graph in the message, a task that posts it. For comparison."""

from __future__ import annotations

import os

import requests
from celery import Celery

app = Celery("plain", broker=os.environ["PLAIN_BROKER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="plain.render")
def render(url: str, graph: dict, prompt_id: str) -> None:
    """Post a graph to its node."""
    requests.post(f"{url}/prompt", json={"prompt": graph, "prompt_id": prompt_id}, timeout=10)
