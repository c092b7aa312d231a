"""A client that keeps four prompts in the node's own queue and stores beside it.

What the best peer does: each of four threads posts, waits on one shared websocket for the end, fetches, puts.
A crash of it or of the node loses what it holds.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, Self

import boto3
import requests
import websocket
from botocore.config import Config

from tests.bench.plain_loop import credentials

IN_FLIGHT = 4
_PATIENCE_S = 120


def render_four_at_once(
    graphs: Sequence[dict], node_url: str, s3_url: str, settings: Mapping[str, Any]
) -> list[str]:
    """Render each graph and store its pictures, four in flight; return the prompt ids."""
    with credentials(settings["s3_credentials_file"]):
        s3 = boto3.client(
            "s3",
            endpoint_url=s3_url,
            region_name=settings["s3_region"],
            config=Config(max_pool_connections=2 * IN_FLIGHT),
        )
    with closing(s3), _Ends(node_url) as ends, requests.Session() as session:
        session.trust_env = False
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=2 * IN_FLIGHT))

        def render(graph: dict) -> str:
            prompt_id = str(uuid.uuid4())
            has_ended = ends.of(prompt_id)
            body = {"prompt": graph, "prompt_id": prompt_id, "client_id": ends.client_id}
            session.post(f"{node_url}/prompt", json=body, timeout=60).raise_for_status()
            if not has_ended.wait(_PATIENCE_S):
                raise TimeoutError(f"prompt {prompt_id} did not end")
            entry = session.get(f"{node_url}/history/{prompt_id}", timeout=60).json()[prompt_id]
            for output in entry["outputs"].values():
                for image in output["images"]:
                    picture = session.get(f"{node_url}/view", params=image, timeout=60)
                    picture.raise_for_status()
                    key = f"queue/{prompt_id}/{image['filename']}"
                    s3.put_object(Bucket=settings["s3_bucket"], Key=key, Body=picture.content)
            return prompt_id

        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            return list(threads.map(render, graphs))


class _Ends:
    """One websocket, and an event for the end of each prompt."""

    def __init__(self, node_url: str) -> None:
        self.client_id = uuid.uuid4().hex
        self._ends: dict[str, threading.Event] = {}
        self._socket = websocket.create_connection(
            f"{node_url.replace('http', 'ws', 1)}/ws?clientId={self.client_id}", timeout=60
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close(timeout=1)
        self._thread.join(timeout=5)

    def of(self, prompt_id: str) -> threading.Event:
        """Return what is set when the prompt ends; to be asked for before it is posted."""
        return self._ends.setdefault(prompt_id, threading.Event())

    def _run(self) -> None:
        with suppress(websocket.WebSocketException, OSError):
            while text := self._socket.recv():
                message = json.loads(text) if isinstance(text, str) else {}
                data = message.get("data", {})
                if message.get("type") == "executing" and data.get("node") is None:
                    self.of(data.get("prompt_id")).set()
