"""The loop that most people write first: post, wait on the socket, fetch, store, next."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import requests
import websocket


def render_one_by_one(
    graphs: Sequence[dict], node_url: str, s3_url: str, settings: Mapping[str, Any]
) -> list[str]:
    """Render each graph and store its pictures before the next; return the prompt ids."""
    client_id, prompts = uuid.uuid4().hex, []
    with credentials(settings["s3_credentials_file"]):
        s3 = boto3.client("s3", endpoint_url=s3_url, region_name=settings["s3_region"])
    socket = websocket.create_connection(
        f"{node_url.replace('http', 'ws', 1)}/ws?clientId={client_id}", timeout=60
    )
    with requests.Session() as session:
        session.trust_env = False
        for graph in graphs:
            prompt_id = str(uuid.uuid4())
            body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
            session.post(f"{node_url}/prompt", json=body, timeout=60).raise_for_status()
            _wait(socket, prompt_id)
            entry = session.get(f"{node_url}/history/{prompt_id}", timeout=60).json()[prompt_id]
            for output in entry["outputs"].values():
                for image in output["images"]:
                    picture = session.get(f"{node_url}/view", params=image, timeout=60).content
                    key = f"plain/{prompt_id}/{image['filename']}"
                    s3.put_object(Bucket=settings["s3_bucket"], Key=key, Body=picture)
            prompts.append(prompt_id)
    socket.close()
    s3.close()
    return prompts


@contextmanager
def credentials(file: str) -> Iterator[None]:
    """Have boto3 find *file* while the block runs."""
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = file
    try:
        yield
    finally:
        del os.environ["AWS_SHARED_CREDENTIALS_FILE"]


def _wait(socket: websocket.WebSocket, prompt_id: str) -> None:
    while True:
        text = socket.recv()
        message = json.loads(text) if isinstance(text, str) else {}
        data = message.get("data", {})
        is_last = message.get("type") == "executing" and data.get("node") is None
        if is_last and data.get("prompt_id") == prompt_id:
            return
